//! The shape of a profile, and reading one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Scalar;

/// What a kind of device has and how it is read.
///
/// ```text
/// [profile] [device] [device.point.NAME] [setting.NAME] [[setup]] [[fingerprint]] [[example]]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `[profile]`: what it is.
    #[serde(rename = "profile")]
    pub about: About,
    /// `[device]`. Only what a tool shows or a choice depends on; all of it is for the configuration's schema.
    pub device: Device,
    /// `[setting.NAME]`: what an installer may change.
    #[serde(default, rename = "setting")]
    pub settings: BTreeMap<String, Setting>,
    /// `[[setup]]`: what is written at each connect, in this order.
    #[serde(default)]
    pub setup: Vec<Setup>,
    /// `[[fingerprint]]`: how a scan tells this device from others.
    #[serde(default, rename = "fingerprint")]
    pub fingerprints: Vec<Fingerprint>,
    /// `[[example]]`: known registers and what they mean.
    #[serde(default, rename = "example")]
    pub examples: Vec<Example>,
}

/// `[profile]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// As on the device's label.
    pub maker: String,
    /// As on the device's label.
    pub model: String,
    /// What it is for.
    pub kind: Kind,
    /// The document, its version and section; or the code that reads the device.
    pub source: String,
    /// How the source was seen.
    pub confirmed: Confirmed,
    /// The line as delivered.
    pub serial: Option<Serial>,
    /// The TCP port as delivered.
    pub tcp_port: Option<u16>,
    /// The Modbus address as delivered.
    pub unit_id: u8,
}

/// What a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Counts energy.
    EnergyMeter,
    /// Drives or dims lamps.
    LedDriver,
    /// Inputs and outputs.
    Io,
    /// Switches.
    Relay,
    /// Particles and gases.
    AirQuality,
    /// Sound level.
    Noise,
    /// Wind, rain, temperature.
    Weather,
    /// How full a bin or a gully is.
    Level,
    /// Charges cars.
    EvCharger,
    /// Charges batteries from the sun, or feeds the mains.
    Solar,
    /// Counts people.
    PeopleCounter,
}

impl Kind {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnergyMeter => "energy-meter",
            Self::LedDriver => "led-driver",
            Self::Io => "io",
            Self::Relay => "relay",
            Self::AirQuality => "air-quality",
            Self::Noise => "noise",
            Self::Weather => "weather",
            Self::Level => "level",
            Self::EvCharger => "ev-charger",
            Self::Solar => "solar",
            Self::PeopleCounter => "people-counter",
        }
    }
}

/// How a profile's source was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmed {
    /// The maker's own text was read.
    Manual,
    /// Only somebody's code that reads the device.
    Code,
    /// Neither.
    Memory,
}

impl Confirmed {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Code => "code",
            Self::Memory => "memory",
        }
    }
}

/// A serial line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// Bits per second.
    pub baud: u32,
    /// Check bit.
    pub parity: Parity,
    /// Bits in a character.
    pub data: u8,
    /// Bits of rest after one.
    pub stop: u8,
    /// Other rates that it can be set to.
    #[serde(default)]
    pub also: Vec<u32>,
}

/// Check bit of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// No check bit.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

impl Parity {
    /// N, E or O, as in 8N1.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'N',
            Self::Even => 'E',
            Self::Odd => 'O',
        }
    }
}

/// `[device]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Device {
    /// `[device.point.NAME]`.
    #[serde(rename = "point")]
    pub points: BTreeMap<String, Point>,
}

/// `[device.point.NAME]`, as far as it is shown or chosen by.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Point {
    /// Table and address.
    pub register: String,
    /// Its type; a coil or discrete input is a bool.
    pub r#type: Option<String>,
    /// Unit of measure.
    pub unit: Option<String>,
    /// Read only if the installer's list of points has it.
    #[serde(default)]
    pub optional: bool,
    /// Read only if each of these settings has one of its values.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<Scalar>>,
    /// Whether it can be read.
    #[serde(default)]
    pub access: Access,
    /// What the device can take.
    pub write: Option<Limits>,
}

/// `access` of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It is read.
    #[default]
    Read,
    /// It cannot be read, only written.
    Write,
}

impl Point {
    /// Whether there is never a reading of it.
    #[must_use]
    pub fn is_only_written(&self) -> bool {
        self.access == Access::Write
    }
}

/// `write` of a point: what the device can take. It grants nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Where it is written, if not where it is read.
    pub register: Option<String>,
    /// How it is written, if not as it is read.
    pub r#type: Option<String>,
    /// Least value; none where the value is no number.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
}

/// `[setting.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Setting {
    /// Table and address.
    pub register: String,
    /// Its type.
    pub r#type: Option<String>,
    /// Unit of measure.
    pub unit: Option<String>,
    /// As delivered.
    pub default: Option<Scalar>,
    /// What it can be: one of these,
    pub choices: Option<Vec<Scalar>>,
    /// or from the first to the second,
    pub range: Option<(f64, f64)>,
    /// or one of these names.
    #[serde(rename = "enum")]
    pub names: Option<BTreeMap<String, String>>,
    /// Each write wears the device.
    #[serde(default)]
    pub eeprom: bool,
    /// Where it is written, if not where it is read.
    pub write: Option<Limits>,
}

impl Setting {
    /// Whether it can have this value. A setting without choices, range and names can have any.
    #[must_use]
    pub fn allows(&self, value: &Scalar) -> bool {
        let number = value.as_f64();
        let in_range = self.range.is_none_or(|(least, most)| number.is_some_and(|n| least <= n && n <= most));
        let chosen = self.choices.as_ref().is_none_or(|choices| choices.contains(value));
        let named =
            self.names.as_ref().is_none_or(|names| names.values().any(|name| *value == Scalar::Text(name.clone())));
        in_range && chosen && named
    }

    /// What it can be, for people.
    #[must_use]
    pub fn allowed(&self) -> String {
        let list = |words: Vec<String>| format!("one of {}", words.join(", "));
        match (&self.names, &self.choices, self.range) {
            (Some(names), ..) => list(names.values().map(|name| format!("{name:?}")).collect()),
            (None, Some(choices), _) => list(choices.iter().map(ToString::to_string).collect()),
            (None, None, Some((least, most))) => format!("{least} to {most}"),
            (None, None, None) => "a value".to_owned(),
        }
    }
}

/// An entry of `[[setup]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Table and address.
    pub register: String,
    /// Its type.
    pub r#type: Option<String>,
    /// Order of bytes and registers.
    pub order: Option<String>,
    /// What the raw number is multiplied by.
    pub scale: Option<f64>,
    /// What is written.
    pub value: Scalar,
    /// Why.
    pub why: String,
}

/// How a scan tells this device from others: a number, a text or what the device says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Table and address; none where `identification` is asked for.
    pub register: Option<String>,
    /// Type, as of a point.
    pub r#type: Option<String>,
    /// Order of bytes and registers, as of a point.
    pub order: Option<String>,
    /// Half of the register, as of a point.
    pub byte: Option<String>,
    /// Bits of the register, as of a point.
    pub bits: Option<String>,
    /// Fits if the number is one of these.
    pub equals: Option<Vec<i64>>,
    /// Fits if the number is not below the first or above the second.
    pub range: Option<(f64, f64)>,
    /// Fits if the text begins so.
    pub text: Option<String>,
    /// Fits if these are found in the answer to function 43/14.
    pub identification: Option<Identification>,
    /// How much it says.
    pub weight: Weight,
}

/// Parts of what a device says of itself, in any case of letters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identification {
    /// Object 0, the maker.
    pub vendor: Option<String>,
    /// Object 1, the product.
    pub product: Option<String>,
}

/// How much a fingerprint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// It is probably such a device, or one of its kind.
    Likely,
    /// It is such a device.
    Sure,
}

/// Known registers and what they mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The manual's page, or "own arithmetic".
    pub from: String,
    /// Consecutive registers, or bits as 0 and 1, by the table and address of the first.
    pub registers: BTreeMap<String, Vec<u16>>,
    /// What every point is whose registers are there: a value, `bad:absent` or `uncertain:range`.
    pub expect: BTreeMap<String, Scalar>,
}

/// What is wrong with a profile's text: the first thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read profile {name}, line {line}: {key}: found {found}, expected {expected}")]
pub struct Error {
    /// The profile's name.
    pub name: String,
    /// Where in the text, in bytes.
    pub offset: usize,
    /// The line, from 1.
    pub line: usize,
    /// The key's path; empty where the text is no TOML.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl Profile {
    /// Reads the text of the profile `name`.
    ///
    /// # Errors
    /// It is no TOML, or has a key that profiles have not, or lacks one that they need.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let error = |key: String, error: &toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = text[..offset].matches('\n').count() + 1;
            let (found, expected) = in_two(error.message());
            Error { name: name.to_owned(), offset, line, key, found, expected }
        };
        let deserializer = toml::Deserializer::parse(text).map_err(|wrong| error(String::new(), &wrong))?;
        serde_path_to_error::deserialize(deserializer).map_err(|wrong| {
            let key = wrong.path().to_string();
            error(if key == "." { String::new() } else { key }, wrong.inner())
        })
    }
}

/// The parser's message as what was found and what was expected.
fn in_two(message: &str) -> (String, String) {
    let message = message.trim();
    if let Some((found, expected)) = message.split_once(", expected ") {
        return (found.to_owned(), expected.to_owned());
    }
    match message.strip_prefix("missing field ") {
        Some(field) => ("nothing".to_owned(), format!("the key {field}")),
        None => (message.to_owned(), "a profile".to_owned()),
    }
}
