//! The settings of a plugin: a table of JSON, and readers that name the setting which does not fit.
//!
//! Not serde, and lists where maps would be: a component may have 64 KB, and serde_json with one derived struct takes a
//! third of that, two instances of the tree map of std another.

use std::iter::Peekable;
use std::str::Chars;

/// A value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Setting>),
    /// A table.
    Table(Settings),
}

/// A table of settings, by name. Readers take what they read; [`Settings::finish`] complains of what is left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(Vec<(String, Setting)>);

impl Settings {
    /// Reads a JSON object; `null` is the empty table.
    ///
    /// # Errors
    /// The text is something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.chars().peekable(), depth: 0 };
        let value = reader.value().ok_or("settings are no JSON")?;
        reader.blank();
        let table = match value {
            Setting::Table(table) => Some(table),
            Setting::Null => Some(Self::default()),
            Setting::Bool(_) | Setting::Number(_) | Setting::Text(_) | Setting::List(_) => None,
        };
        table.filter(|_| reader.rest.peek().is_none()).ok_or_else(|| "settings are no table".to_owned())
    }

    /// Takes a number, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        self.take(name, "a number", |setting| if let Setting::Number(n) = setting { Some(n) } else { None })
    }

    /// Takes a text, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name, "a text", |setting| if let Setting::Text(text) = setting { Some(text) } else { None })
    }

    /// Takes a yes or no, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, String> {
        self.take(name, "true or false", |setting| if let Setting::Bool(b) = setting { Some(b) } else { None })
    }

    /// Takes a table, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn table(&mut self, name: &str) -> Result<Option<Self>, String> {
        self.take(name, "a table", |setting| if let Setting::Table(table) = setting { Some(table) } else { None })
    }

    /// Takes a list, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Setting>>, String> {
        self.take(name, "a list", |setting| if let Setting::List(list) = setting { Some(list) } else { None })
    }

    /// Takes a duration, if it is there, as nanoseconds: a whole number and a unit, as `500ms`, `60s`, `5m` or `5min`, `1h`.
    ///
    /// # Errors
    /// It is something else.
    pub fn duration(&mut self, name: &str) -> Result<Option<i64>, String> {
        self.text(name)?.map(|text| nanoseconds(name, &text)).transpose()
    }

    /// A setting, left where it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, setting)| setting)
    }

    /// Names that are still here.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The first setting and its name, taken; `None`: there is none.
    pub fn pop(&mut self) -> Option<(String, Setting)> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// All settings were read.
    ///
    /// # Errors
    /// There is one that nobody asked for: most likely a slip of the pen.
    pub fn finish(self) -> Result<(), String> {
        self.names().next().map_or(Ok(()), |name| Err([name, ": no such setting"].concat()))
    }

    fn take<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Setting) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(place) = self.0.iter().position(|(key, _)| key == name) else {
            return Ok(None);
        };
        let setting = self.0.swap_remove(place).1;
        if setting == Setting::Null {
            return Ok(None);
        }
        read(setting).map(Some).ok_or_else(|| [name, ": expected ", expected].concat())
    }
}

/// Deeper tables are refused: recursion must end before the stack does.
const DEPTH: u32 = 32;

/// `digits` × 10 to the `power`.
#[derive(Default)]
struct Decimal {
    digits: u64,
    power: i32,
}

impl Decimal {
    #[expect(clippy::cast_precision_loss, reason = "documented at Reader::number")]
    fn value(&self) -> f64 {
        let mut value = self.digits as f64;
        let mut left = self.power.unsigned_abs().min(400);
        while left > 0 {
            // 10²² is the greatest power of ten that a float holds exactly.
            let step = left.min(22);
            let scale = (0..step).fold(1.0f64, |scale, _| scale * 10.0);
            value = if self.power < 0 { value / scale } else { value * scale };
            left -= step;
        }
        value
    }
}

fn nanoseconds(name: &str, text: &str) -> Result<i64, String> {
    let bad = || [name, ": found \"", text, "\", expected a duration like \"60s\""].concat();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
    let unit: i64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(bad()),
    };
    number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    depth: u32,
}

impl Reader<'_> {
    fn blank(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    /// Skips blanks, then takes `c` if it is next.
    fn next_is(&mut self, c: char) -> bool {
        self.blank();
        self.rest.next_if_eq(&c).is_some()
    }

    fn word(&mut self, word: &str, value: Setting) -> Option<Setting> {
        word.chars().all(|c| self.rest.next_if_eq(&c).is_some()).then_some(value)
    }

    fn value(&mut self) -> Option<Setting> {
        self.blank();
        match self.rest.peek()? {
            'n' => self.word("null", Setting::Null),
            't' => self.word("true", Setting::Bool(true)),
            'f' => self.word("false", Setting::Bool(false)),
            '"' => self.text().map(Setting::Text),
            '[' => self.nested(Self::list),
            '{' => self.nested(Self::table),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Setting>) -> Option<Setting> {
        self.rest.next();
        self.depth += 1;
        let value = if self.depth <= DEPTH { read(self) } else { None };
        self.depth -= 1;
        value
    }

    /// Exact for up to 15 digits and powers of ten up to 22, else to within a few units in the last of 16 places: the
    /// tables that std needs for exactness beyond are 15 KB, and no threshold needs them.
    fn number(&mut self) -> Option<Setting> {
        let negative = self.rest.next_if_eq(&'-').is_some();
        let mut number = Decimal::default();
        self.digits(&mut number, 0)?;
        if self.rest.next_if_eq(&'.').is_some() {
            self.digits(&mut number, -1)?;
        }
        if self.rest.next_if(|c| matches!(c, 'e' | 'E')).is_some() {
            let down = self.rest.next_if(|c| matches!(c, '+' | '-')) == Some('-');
            let mut power = Decimal::default();
            self.digits(&mut power, 0)?;
            let power = i32::try_from(power.digits).ok().filter(|power| *power < 400)?;
            number.power += if down { -power } else { power };
        }
        let value = number.value();
        value.is_finite().then_some(Setting::Number(if negative { -value } else { value }))
    }

    /// One digit or more; each behind the point counts `step` powers of ten.
    fn digits(&mut self, number: &mut Decimal, step: i32) -> Option<()> {
        let mut any = None;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            self.rest.next();
            any = Some(());
            if number.digits < 1_000_000_000_000_000_000 {
                number.digits = number.digits * 10 + u64::from(digit);
                number.power += step;
            } else {
                number.power += step + 1;
            }
        }
        any
    }

    fn list(&mut self) -> Option<Setting> {
        let mut list = Vec::new();
        if self.next_is(']') {
            return Some(Setting::List(list));
        }
        loop {
            list.push(self.value()?);
            if self.next_is(']') {
                return Some(Setting::List(list));
            }
            self.next_is(',').then_some(())?;
        }
    }

    fn table(&mut self) -> Option<Setting> {
        let mut table = Vec::new();
        if self.next_is('}') {
            return Some(Setting::Table(Settings(table)));
        }
        loop {
            self.blank();
            let name = self.text()?;
            self.next_is(':').then_some(())?;
            let value = self.value()?;
            // As elsewhere, the last of two of one name counts.
            table.retain(|(key, _)| *key != name);
            table.push((name, value));
            if self.next_is('}') {
                return Some(Setting::Table(Settings(table)));
            }
            self.next_is(',').then_some(())?;
        }
    }

    fn text(&mut self) -> Option<String> {
        self.rest.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let first = self.unit()?;
                if (0xd800..0xdc00).contains(&first) {
                    self.word("\\u", Setting::Null)?;
                    let second = self.unit()?;
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x10000 + ((first - 0xd800) << 10 | low))?
                } else {
                    char::from_u32(first)?
                }
            }
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | self.rest.next()?.to_digit(16)?))
    }
}
