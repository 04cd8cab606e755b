//! The shape of the configuration: every table and key that exists, as it is written.
//!
//! One type for each kind of table, deserialized on its own. Every field may be absent here, because `build` says what
//! is needed, and goes on. Values that have a notation of their own stay text until `build` reads them by `notation`.
//! No `untagged` and no `flatten`: they would turn a clear complaint into "did not match any variant".

use std::collections::BTreeMap;
use std::fmt;

use curb_profiles::Scalar;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// `[hub]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Hub {
    pub(super) site: Option<String>,
}

/// `[core]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Core {
    pub(super) url: Option<String>,
    pub(super) fallback: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) ack: Option<Ack>,
    pub(super) retry: Option<Quantity>,
    pub(super) reconnect_spread: Option<Quantity>,
    pub(super) keep_alive: Option<Quantity>,
    pub(super) grace: Option<Quantity>,
    pub(super) encoding: Option<Encoding>,
    pub(super) compress: Option<Compress>,
    pub(super) linger: Option<Quantity>,
    pub(super) bytes_per_day: Option<Quantity>,
    pub(super) bytes_per_minute: Option<Quantity>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ack {
    Broker,
    Core,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Encoding {
    SenmlJson,
    SenmlCbor,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Compress {
    None,
    Deflate,
}

/// `[identity]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Identity {
    pub(super) key: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) roots: Option<String>,
}

/// `[paths]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Paths {
    pub(super) state: Option<String>,
    pub(super) run: Option<String>,
    pub(super) cache: Option<String>,
    pub(super) profiles: Option<String>,
}

/// `[clock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Clock {
    pub(super) trust: Option<Trust>,
    pub(super) wait: Option<Quantity>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Trust {
    Ntp,
    System,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Log {
    pub(super) level: Option<Level>,
    pub(super) format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    Text,
    Json,
}

/// `[store]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Store {
    pub(super) limit: Option<Quantity>,
    pub(super) when_full: Option<WhenFull>,
    pub(super) commit_every: Option<Quantity>,
    pub(super) commit_bytes: Option<Quantity>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WhenFull {
    DropOldest,
}

/// `[plugins]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Plugins {
    pub(super) dir: Option<String>,
    pub(super) state_every: Option<Quantity>,
    pub(super) engine: Option<Engine>,
    pub(super) socket: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Engine {
    Cranelift,
    Pulley,
}

/// `[policy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Policy {
    pub(super) allow: Option<Vec<String>>,
    pub(super) deny: Option<Vec<String>>,
    pub(super) text: Option<PolicyText>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PolicyText {
    Allow,
    Deny,
}

/// `[bus.<name>]`: a serial line or a TCP device.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Bus {
    pub(super) serial: Option<String>,
    pub(super) baud: Option<i64>,
    pub(super) parity: Option<Parity>,
    pub(super) data: Option<i64>,
    pub(super) stop: Option<i64>,
    pub(super) rs485: Option<Rs485>,
    pub(super) latency: Option<Quantity>,
    pub(super) tcp: Option<String>,
    pub(super) rtu_over_tcp: Option<String>,
    pub(super) frame: Option<Frame>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rs485 {
    Auto,
    On,
    Off,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Parity {
    None,
    Even,
    Odd,
}

/// `frame` of a bus whose device talks by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Frame {
    pub(super) delimiter: Option<String>,
    pub(super) start: Option<String>,
    pub(super) stop: Option<String>,
    pub(super) length: Option<i64>,
    pub(super) length_at: Option<i64>,
    pub(super) length_bytes: Option<i64>,
    pub(super) length_order: Option<Order>,
    pub(super) length_extra: Option<i64>,
    pub(super) silence: Option<Quantity>,
    pub(super) max: Option<i64>,
}

/// `[device.<name>]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Device {
    pub(super) bus: Option<String>,
    pub(super) unit_id: Option<i64>,
    pub(super) every: Option<Quantity>,
    pub(super) timeout: Option<Quantity>,
    pub(super) min_gap: Option<Quantity>,
    pub(super) max_registers: Option<i64>,
    pub(super) max_bits: Option<i64>,
    pub(super) max_hole: Option<i64>,
    pub(super) mask_write: Option<bool>,
    pub(super) write_with: Option<WriteWith>,
    pub(super) setup: Option<Vec<Setup>>,
    pub(super) profile: Option<String>,
    pub(super) points: Option<Vec<String>>,
    pub(super) settings: Option<BTreeMap<String, Scalar>>,
    pub(super) decode: Option<Decode>,
    pub(super) separator: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) request: Option<Request>,
    pub(super) stale_after: Option<Quantity>,
    pub(super) expire: Option<Quantity>,
    pub(super) point: Option<BTreeMap<String, Point>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WriteWith {
    Auto,
    Single,
    Multiple,
}

/// An entry of `setup` of a device: what it is told at each connect, or by hand only. Its value lies as a point's does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "a table: { register = \"holding:10\", type = \"u16\", value = 7 }")]
pub(super) struct Setup {
    pub(super) name: Option<String>,
    pub(super) register: Option<Quantity>,
    pub(super) r#type: Option<String>,
    pub(super) order: Option<Order>,
    pub(super) radix: Option<i64>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    #[serde(rename = "enum")]
    pub(super) names: Option<BTreeMap<String, String>>,
    pub(super) value: Option<Scalar>,
    pub(super) why: Option<String>,
    pub(super) by_hand: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Decode {
    Csv,
    Json,
    Regex,
    Nmea,
    Binary,
}

impl Decode {
    /// The word in the file.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Regex => "regex",
            Self::Nmea => "nmea",
            Self::Binary => "binary",
        }
    }
}

/// `checksum` of a device with binary frames.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table: checksum = { kind = \"sum8\", skip = 2, behind = 1 }")]
pub(super) struct Checksum {
    pub(super) kind: Option<ChecksumKind>,
    pub(super) skip: Option<i64>,
    pub(super) behind: Option<i64>,
    pub(super) order: Option<Order>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ChecksumKind {
    Sum8,
    Sum16,
    Xor8,
    Lrc8,
    Crc16Modbus,
}

/// `request` of a device that talks when it is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table: request = { send = \"R?\\r\", every = \"5s\" }")]
pub(super) struct Request {
    pub(super) send: Option<String>,
    pub(super) every: Option<Quantity>,
    pub(super) timeout: Option<Quantity>,
}

/// `[device.<name>.point.<name>]`: a register, or a place in a talker's frame.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Point {
    pub(super) register: Option<Quantity>,
    pub(super) column: Option<i64>,
    pub(super) pointer: Option<String>,
    pub(super) group: Option<String>,
    pub(super) field: Option<String>,
    pub(super) at: Option<i64>,
    pub(super) r#type: Option<String>,
    pub(super) order: Option<Order>,
    pub(super) byte: Option<Byte>,
    pub(super) bits: Option<Quantity>,
    pub(super) radix: Option<i64>,
    pub(super) exponent: Option<Quantity>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) unit: Option<String>,
    pub(super) every: Option<Quantity>,
    pub(super) range: Option<Vec<f64>>,
    pub(super) absent: Option<Vec<Raw>>,
    #[serde(rename = "enum")]
    pub(super) names: Option<BTreeMap<String, String>>,
    pub(super) access: Option<Access>,
    pub(super) write: Option<Write>,
}

/// What can be done with a point of a Modbus device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Access {
    Read,
    Write,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Order {
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Byte {
    High,
    Low,
}

/// `write` of a point: that it may be written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "a table: write = { min = 0, max = 100 }, or write = {} where the value is no number")]
pub(super) struct Write {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) register: Option<Quantity>,
    pub(super) r#type: Option<String>,
}

/// `[plugin.<name>]`. Its `settings` are the plugin's own affair, and go to it as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Plugin {
    pub(super) order: Option<i64>,
    pub(super) component: Option<String>,
    pub(super) points: Option<Vec<String>>,
    pub(super) settings: Option<serde_json::Map<String, serde_json::Value>>,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) component_size: Option<Quantity>,
    pub(super) memory: Option<Quantity>,
    pub(super) call_time: Option<Quantity>,
    pub(super) compile_time: Option<Quantity>,
    pub(super) compile_memory: Option<Quantity>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnFailure {
    Pass,
    Drop,
    Hold,
}

/// Text with a notation of its own: a duration, a size, a register. A bare number is taken as it stands, so that
/// `notation` can say what it lacks.
#[derive(Debug, Clone)]
pub(super) struct Quantity(pub(super) String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A raw number of up to 64 bits, as registers hold it; a negative one is kept, so that it can be told what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw(pub(super) i128);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw(number.into()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
                Ok(Raw(number.into()))
            }
        }
        deserializer.deserialize_any(Number)
    }
}
