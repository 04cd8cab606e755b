//! The two retained documents: `status` (birth, will, and what stands wrong) and `points` (what each name means).

use std::collections::BTreeMap;

use curb_model::{Access, Fault, PointSet};
use serde::{Deserialize, Serialize};

use crate::record::{Document, VERSION};

/// Topic `status`, retained. Published at each connection (birth), when it changes, and at a clean stop; the broker
/// publishes the will in its place when the connection is lost. `run` and `connection` tell an old will from a new birth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// 1.
    pub v: u32,
    /// The hub's name.
    pub hub: String,
    /// Whether the hub is connected.
    pub state: State,
    /// The daemon's life, `<counter>-<16 hex digits>`.
    pub run: String,
    /// The number of the connection in this run, from 1. Tries that came to nothing have numbers, too.
    pub connection: u64,
    /// The daemon's version.
    pub version: String,
    /// With `offline`: whether the hub said goodbye itself.
    #[serde(default)]
    pub clean: bool,
    /// What stands wrong; empty is well.
    #[serde(default)]
    pub faults: Vec<FaultEntry>,
    /// What waits on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

/// Whether a hub is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Connected.
    Online,
    /// Not connected.
    Offline,
}

/// A standing fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEntry {
    /// Which part of the hub: `source`, `pipeline`, `store`, `uplink`, `identity`, `clock`, `config`.
    pub room: String,
    /// What it is about.
    pub subject: String,
    /// One stable word.
    pub word: String,
    /// For people.
    pub detail: String,
}

impl From<&Fault> for FaultEntry {
    fn from(fault: &Fault) -> Self {
        Self {
            room: fault.room.as_str().to_owned(),
            subject: fault.subject.clone(),
            word: fault.word.to_owned(),
            detail: fault.detail.clone(),
        }
    }
}

/// What waits in the hub's store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Messages.
    pub rows: u64,
    /// Readings in them.
    pub readings: u64,
    /// Their size.
    pub bytes: u64,
}

impl Document for Status {
    const NAME: &'static str = "status";
}

/// Topic `points`, retained: what each point means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// 1.
    pub v: u32,
    /// The hub's name.
    pub hub: String,
    /// By full name, `device/point`.
    pub points: BTreeMap<String, PointEntry>,
}

/// What a point means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointEntry {
    /// The stream that carries it.
    pub stream: String,
    /// Unit of measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its type on the device: `bool u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 text`.
    #[serde(rename = "type")]
    pub value_type: String,
    /// Least and greatest value that make sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// Names that its values are, by the numbers on the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// That the hub's configuration lets it be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteEntry>,
    /// What can be done with it; left out where it is read, and written if there is `write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessEntry>,
}

/// What can be done with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessEntry {
    /// It is only written: no reading of it ever comes.
    Write,
}

/// Within which bounds a point may be written; an empty object where it is no number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WriteEntry {
    /// Least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Points {
    /// The table of `hub`'s points.
    #[must_use]
    pub fn new(hub: &str, points: &PointSet) -> Self {
        let entry = |point: &curb_model::Point| PointEntry {
            stream: point.stream.as_str().to_owned(),
            unit: point.unit.as_deref().map(ToOwned::to_owned),
            value_type: point.value_type.as_str().to_owned(),
            range: point.range,
            names: Vec::new(),
            write: None,
            access: None,
        };
        let used = |point: &curb_model::Point| match points.usage(&point.name) {
            Some(usage) => PointEntry {
                names: usage.names.iter().map(|name| name.as_ref().to_owned()).collect(),
                write: usage.write.map(|write| {
                    let (min, max) = write.bounds.unzip();
                    WriteEntry { min, max }
                }),
                access: match usage.access {
                    Access::Read => None,
                    Access::Write => Some(AccessEntry::Write),
                },
                ..entry(point)
            },
            None => entry(point),
        };
        let points = points.iter().map(|point| (point.name.to_string(), used(point))).collect();
        Self { v: VERSION, hub: hub.to_owned(), points }
    }
}

impl Document for Points {
    const NAME: &'static str = "points";
}
