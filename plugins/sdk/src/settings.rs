//! The settings of a plugin: a table of JSON, and readers that name the setting which does not fit.
//!
//! Not serde, and lists where maps would be: a component may have 64 KB, and serde_json with one derived struct takes a
//! third of that, two instances of the tree map of std another.

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
        let mut reader = Reader { rest: text, depth: 0 };
        let value = reader.value().ok_or("settings are no JSON")?;
        reader.blank();
        let table = match value {
            Setting::Table(table) => Some(table),
            Setting::Null => Some(Self::default()),
            Setting::Bool(_) | Setting::Number(_) | Setting::Text(_) | Setting::List(_) => None,
        };
        table.filter(|_| reader.rest.is_empty()).ok_or_else(|| "settings are no table".to_owned())
    }

    /// Takes a number, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        match self.take(name) {
            Some(Setting::Number(number)) => Ok(Some(number)),
            other => misfit(other, name, "a number"),
        }
    }

    /// Takes a text, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            Some(Setting::Text(text)) => Ok(Some(text)),
            other => misfit(other, name, "a text"),
        }
    }

    /// Takes a yes or no, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            Some(Setting::Bool(bit)) => Ok(Some(bit)),
            other => misfit(other, name, "true or false"),
        }
    }

    /// Takes a table, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn table(&mut self, name: &str) -> Result<Option<Self>, String> {
        match self.take(name) {
            Some(Setting::Table(table)) => Ok(Some(table)),
            other => misfit(other, name, "a table"),
        }
    }

    /// Takes a list, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Setting>>, String> {
        match self.take(name) {
            Some(Setting::List(list)) => Ok(Some(list)),
            other => misfit(other, name, "a list"),
        }
    }

    /// Takes a duration, if it is there, as nanoseconds: a whole number and a unit, as `500ms`, `60s`, `5m` or `5min`, `1h`.
    ///
    /// # Errors
    /// It is something else.
    pub fn duration(&mut self, name: &str) -> Result<Option<i64>, String> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let bad = || join(&[name, ": found \"", &text, "\", expected a duration like \"60s\""]);
        nanoseconds(&text).map(Some).ok_or_else(bad)
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
        self.names().next().map_or(Ok(()), |name| Err(join(&[name, ": no such setting"])))
    }

    fn take(&mut self, name: &str) -> Option<Setting> {
        let place = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(place).1)
    }
}

/// A setting of another kind than was asked for: one that is not there, or is `null`, is none.
fn misfit<T>(found: Option<Setting>, name: &str, expected: &str) -> Result<Option<T>, String> {
    match found {
        None | Some(Setting::Null) => Ok(None),
        Some(_) => Err(join(&[name, ": expected ", expected])),
    }
}

/// One text of several, for what the operator reads. As `concat` of std, and a kilobyte of the component less.
#[must_use]
pub fn join(parts: &[&str]) -> String {
    let mut text = String::new();
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// A number as JSON writes it, and nothing else. As `parse` of std for what people write, and 15 KB less: see `Reader::number`.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let mut reader = Reader { rest: text, depth: 0 };
    match reader.number()? {
        Setting::Number(number) if reader.rest.is_empty() => Some(number),
        Setting::Null
        | Setting::Bool(_)
        | Setting::Number(_)
        | Setting::Text(_)
        | Setting::List(_)
        | Setting::Table(_) => None,
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

fn nanoseconds(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).filter(|(number, _)| !number.is_empty())?;
    let unit: i64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let mut digits = number.bytes().map(|digit| i64::from(digit - b'0'));
    digits.try_fold(0i64, |n, digit| n.checked_mul(10)?.checked_add(digit))?.checked_mul(unit)
}

struct Reader<'a> {
    rest: &'a str,
    depth: u32,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// The next byte, which is no part of a longer character: those stand in texts only.
    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.rest = self.rest.get(1..)?;
        Some(byte)
    }

    /// Takes `byte` if it is next.
    fn next_if(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte) && self.byte().is_some()
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Skips blanks, then takes `byte` if it is next.
    fn next_is(&mut self, byte: u8) -> bool {
        self.blank();
        self.next_if(byte)
    }

    fn word(&mut self, word: &str, value: Setting) -> Option<Setting> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(value)
    }

    fn value(&mut self) -> Option<Setting> {
        self.blank();
        match self.peek()? {
            b'n' => self.word("null", Setting::Null),
            b't' => self.word("true", Setting::Bool(true)),
            b'f' => self.word("false", Setting::Bool(false)),
            b'"' => self.text().map(Setting::Text),
            b'[' => self.nested(Self::list),
            b'{' => self.nested(Self::table),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Setting>) -> Option<Setting> {
        self.byte()?;
        self.depth += 1;
        let value = if self.depth <= DEPTH { read(self) } else { None };
        self.depth -= 1;
        value
    }

    /// Exact for up to 15 digits and powers of ten up to 22, else to within a few units in the last of 16 places: the
    /// tables that std needs for exactness beyond are 15 KB, and no threshold needs them.
    fn number(&mut self) -> Option<Setting> {
        let negative = self.next_if(b'-');
        let mut number = Decimal::default();
        self.digits(&mut number, 0)?;
        if self.next_if(b'.') {
            self.digits(&mut number, -1)?;
        }
        if self.next_if(b'e') || self.next_if(b'E') {
            let down = !self.next_if(b'+') && self.next_if(b'-');
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
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.byte()?;
            any = Some(());
            if number.digits < 1_000_000_000_000_000_000 {
                number.digits = number.digits * 10 + u64::from(digit - b'0');
                number.power += step;
            } else {
                number.power += step + 1;
            }
        }
        any
    }

    fn list(&mut self) -> Option<Setting> {
        let mut list = Vec::new();
        if self.next_is(b']') {
            return Some(Setting::List(list));
        }
        loop {
            list.push(self.value()?);
            if self.next_is(b']') {
                return Some(Setting::List(list));
            }
            self.next_is(b',').then_some(())?;
        }
    }

    fn table(&mut self) -> Option<Setting> {
        let mut table = Settings::default();
        if self.next_is(b'}') {
            return Some(Setting::Table(table));
        }
        loop {
            self.blank();
            let name = self.text()?;
            self.next_is(b':').then_some(())?;
            let value = self.value()?;
            // As elsewhere, the last of two of one name counts.
            drop(table.take(&name));
            table.0.push((name, value));
            if self.next_is(b'}') {
                return Some(Setting::Table(table));
            }
            self.next_is(b',').then_some(())?;
        }
    }

    fn text(&mut self) -> Option<String> {
        self.next_if(b'"').then_some(())?;
        let mut text = String::new();
        loop {
            let plain = self.rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
            let (head, rest) = self.rest.split_at_checked(plain)?;
            text.push_str(head);
            self.rest = rest;
            match self.byte()? {
                b'"' => return Some(text),
                _ => text.push(self.escaped()?),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.byte()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let first = self.unit()?;
                if (0xd800..0xdc00).contains(&first) {
                    (self.next_if(b'\\') && self.next_if(b'u')).then_some(())?;
                    let second = self.unit()?;
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x10000 + ((first - 0xd800) << 10 | low))?
                } else {
                    char::from_u32(first)?
                }
            }
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | char::from(self.byte()?).to_digit(16)?))
    }
}
