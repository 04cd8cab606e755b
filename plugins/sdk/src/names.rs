//! Names for points of a plugin's own that stand for points that it sees: `meter/power` becomes `meter-power-mean`.
//!
//! A name has 1 to 32 of a-z, 0-9 and -, a device and a point have that each: so a derived name may be too long, and two may
//! be one. Both are for the operator to settle, by a setting `names = { "meter/power" = "power" }`.

use crate::{Setting, Settings, join};

/// What a name may have.
const LONGEST: usize = 32;

/// `device-point` of `device/point`.
#[must_use]
pub fn dashed(input: &str) -> String {
    let mut name = String::new();
    input.chars().for_each(|c| name.push(if c == '/' { '-' } else { c }));
    name
}

/// The names given out so far, and those that the operator chose.
#[derive(Debug, Default)]
pub struct Names {
    chosen: Settings,
    /// Own names, each with the point that it stands for.
    given: Vec<(String, String)>,
}

impl Names {
    /// Takes the setting `names`: a table from `device/point` to what its names begin with.
    ///
    /// # Errors
    /// It is no table.
    pub fn take(settings: &mut Settings) -> Result<Self, String> {
        Ok(Self { chosen: settings.table("names")?.unwrap_or_default(), given: Vec::new() })
    }

    /// The name of what the plugin makes of `input` (`device/point`) under the word `what`.
    ///
    /// # Errors
    /// The name is none, or stands for another input already; the text says what to write into the settings.
    pub fn give(&mut self, input: &str, what: &str) -> Result<String, String> {
        let mut name = match self.chosen.get(input) {
            None => dashed(input),
            Some(Setting::Text(text)) => text.clone(),
            Some(_) => return Err(join(&["names: \"", input, "\": expected a text"])),
        };
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_name = !name.is_empty() && name.bytes().all(is_plain);
        name.extend(["-", what]);
        let other = self.given.iter().find(|(given, _)| *given == name);
        let (wrong, other) = match other {
            _ if !is_name => (" is not made of a-z, 0-9 and -", ""),
            _ if name.len() > LONGEST => (" is longer than 32", ""),
            Some((_, other)) => (" is what there is of ", other.as_str()),
            None => {
                self.given.push((name.clone(), input.to_owned()));
                return Ok(name);
            }
        };
        Err(join(&["names: ", &name, wrong, other, "; choose one, as in names = { \"", input, "\" = \"short\" }"]))
    }

    /// All inputs have their names.
    ///
    /// # Errors
    /// The operator chose one for a point that the plugin does not see.
    pub fn finish(self) -> Result<(), String> {
        let seen = |name: &str| self.given.iter().any(|(_, input)| input == name);
        match self.chosen.names().find(|name| !seen(name)) {
            Some(name) => Err(join(&["names: ", name, " is not among the points that this plugin sees"])),
            None => Ok(()),
        }
    }
}
