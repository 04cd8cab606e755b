//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{Names, PointId, Setting, Settings, join};

use crate::rule::Counter;

/// How long a silence gives a rate all the same, if nothing is said: four times what meters that are read each quarter of an
/// hour take.
const MAX_GAP: i64 = HOUR;

/// A shorter one is what a bus takes for a round, a longer one than a week nothing that a rate says anything of.
const MAX_GAP_RANGE: (i64, i64) = (1_000_000_000, 7 * 24 * HOUR);

/// From one rate to the next, at most.
const EVERY_MOST: i64 = 24 * HOUR;

const HOUR: i64 = 3_600_000_000_000;

/// In which time a rate is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Per {
    const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// Its unit.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }

    /// How long it is.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3_600.0,
        }
    }
}

/// What is told of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// How fast it counts.
    Rate,
    /// What it has counted since it was told last.
    Diff,
}

impl What {
    const ALL: [Self; 2] = [Self::Rate, Self::Diff];

    /// Its word in settings and names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Diff => "diff",
        }
    }
}

/// What becomes of the readings themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// They pass.
    Keep,
    /// They stay here.
    Drop,
}

/// All settings.
#[derive(Debug)]
pub struct Wishes {
    /// In which time a rate is counted.
    pub per: Per,
    /// What is told.
    pub whats: Vec<What>,
    /// What is known of each counter.
    pub counters: Vec<(PointId, Counter)>,
    /// What becomes of the readings themselves.
    pub raw: Raw,
    /// The stream of the results.
    pub output: String,
    /// What the results are called.
    pub names: Names,
}

/// Reads `[plugin.NAME] settings = { .. }` of a plugin that sees these points.
///
/// # Errors
/// A setting is none, or out of its range, or of a point that the plugin does not see.
pub fn wishes<'a>(mut settings: Settings, inputs: impl Iterator<Item = (PointId, &'a str)>) -> Result<Wishes, String> {
    let per = settings.text("per")?.unwrap_or_else(|| Per::Hour.word().to_owned());
    let per = Per::ALL.into_iter().find(|known| known.word() == per).ok_or("per: expected s, min or h")?;
    let whats = whats(settings.list("give")?)?;
    let every = duration(&mut settings, "every", 0, (0, EVERY_MOST), "0s to 24h")?;
    let max_gap = duration(&mut settings, "max_gap", MAX_GAP, MAX_GAP_RANGE, "1s to 168h")?;
    let common = Counter { max: None, max_rate: None, max_gap, every };
    let common = counter(&mut settings, common, per)?;
    let mut points = settings.table("points")?.unwrap_or_default();
    let raw = match settings.text("raw")?.as_deref() {
        None | Some("keep") => Raw::Keep,
        Some("drop") => Raw::Drop,
        Some(_) => return Err("raw: expected keep or drop".to_owned()),
    };
    let output = settings.text("output")?.unwrap_or_else(|| "rate".to_owned());
    let names = Names::take(&mut settings)?;
    settings.finish()?;

    let mut counters = Vec::new();
    for (id, input) in inputs {
        let counter = match points.table(input)? {
            Some(point) => of_point(point, common, per).map_err(|error| join(&["points: ", input, ": ", &error]))?,
            None => common,
        };
        counters.push((id, counter));
    }
    match points.names().next() {
        Some(name) => Err(join(&["points: ", name, " is not among the points that this plugin sees"])),
        None => Ok(Wishes { per, whats, counters, raw, output, names }),
    }
}

fn of_point(mut settings: Settings, common: Counter, per: Per) -> Result<Counter, String> {
    let counter = counter(&mut settings, common, per)?;
    settings.finish().map(|()| counter)
}

/// What these settings say of a counter, and `common` where they say nothing.
fn counter(settings: &mut Settings, common: Counter, per: Per) -> Result<Counter, String> {
    let mut positive = |name| match settings.number(name)? {
        Some(value) if value <= 0.0 => Err(join(&[name, ": expected a number above 0"])),
        value => Ok(value),
    };
    let max = positive("max")?.or(common.max);
    let max_rate = positive("max_rate")?.map(|rate| rate / per.seconds()).or(common.max_rate);
    Ok(Counter { max, max_rate, ..common })
}

fn duration(
    settings: &mut Settings,
    name: &str,
    default: i64,
    (least, most): (i64, i64),
    expected: &str,
) -> Result<i64, String> {
    let value = settings.duration(name)?.unwrap_or(default);
    if (least..=most).contains(&value) { Ok(value) } else { Err(join(&[name, ": expected ", expected])) }
}

fn whats(list: Option<Vec<Setting>>) -> Result<Vec<What>, String> {
    const EXPECTED: &str = "give: expected one or more of rate and diff, each once";
    let Some(list) = list else { return Ok(vec![What::Rate]) };
    let mut whats = Vec::new();
    for setting in list {
        let is_meant = |what: &What| matches!(&setting, Setting::Text(text) if text == what.word());
        match What::ALL.into_iter().find(is_meant) {
            Some(what) if !whats.contains(&what) => whats.push(what),
            Some(_) | None => return Err(EXPECTED.to_owned()),
        }
    }
    if whats.is_empty() { Err(EXPECTED.to_owned()) } else { Ok(whats) }
}
