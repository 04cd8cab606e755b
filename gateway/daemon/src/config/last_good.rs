//! The merged configuration that last ran, kept in the state folder: what a hub boots when the one it finds is wrong.
//!
//! Stored is what people wrote, with its place, and no default: the defaults of the version that reads it apply. Kept in
//! two generations by `curb-durable`, as JSON:
//!
//! ```text
//! {"v":1,"settings":[{"key":["hub","site"],"value":"port-credit","from":{"file":{"path":"…","position":[2,1]}}},…]}
//! ```
//!
//! A version that reads an older file checks it like any other configuration. One that meets a higher `v` says so, and
//! has no last good.

use std::path::Path;

use config::{Map, Value, ValueKind};
use curb_durable::File;
use serde::{Deserialize, Serialize};

use super::build::Surroundings;
use super::merged::Merged;
use super::problem::Origin;
use super::report::{Key, Report};
use super::{Loaded, layers};

/// Below the state folder.
const FILE: &str = "last-good.json";

/// What this version writes.
const VERSION: u32 = 1;

/// Why the last good configuration could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LastGoodError {
    /// The file could not be read or replaced.
    #[error("use the last good configuration's file")]
    File(#[from] curb_durable::Error),
    /// Its content is whole, and not what any version wrote.
    #[error("read the last good configuration")]
    Format(#[from] serde_json::Error),
    /// A later version of Curb wrote it.
    #[error("read the last good configuration: version {found} is newer than this program knows ({VERSION})")]
    Newer {
        /// Its version.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    settings: Vec<Setting>,
}

#[derive(Serialize, Deserialize)]
struct Setting {
    key: Key,
    value: serde_json::Value,
    from: Origin,
}

/// Keeps a configuration that runs.
///
/// # Errors
/// The state folder cannot be written.
pub(crate) fn save_last_good(state: &Path, merged: &Merged) -> Result<(), LastGoodError> {
    let written = merged.leaves().into_iter().filter(|leaf| *leaf.origin != Origin::BuiltIn);
    let settings =
        written.map(|leaf| Setting { key: leaf.key, value: leaf.value, from: leaf.origin.clone() }).collect();
    Ok(File::new(state.join(FILE)).write(&serde_json::to_vec(&Stored { v: VERSION, settings })?)?)
}

/// The configuration that last ran; `None` if none has. Plugins' files need not be there.
///
/// # Errors
/// There is one that cannot be read.
pub(crate) fn load_last_good(state: &Path) -> Result<Option<Loaded>, LastGoodError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Some(read) = File::new(state.join(FILE)).read()? else {
        return Ok(None);
    };
    let Version { v: found } = serde_json::from_slice(&read.bytes)?;
    if found > VERSION {
        return Err(LastGoodError::Newer { found });
    }
    let stored: Stored = serde_json::from_slice(&read.bytes)?;
    let mut report = Report::default();
    let settings = stored.settings.into_iter().map(|setting| (setting.key, from_json(setting.value), setting.from));
    let root = layers::over_defaults(settings, &mut report);
    Ok(Some(Loaded::build(root, Surroundings::Trusted, report)))
}

fn from_json(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(truth) => ValueKind::Boolean(truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => ValueKind::I64(number),
            (None, Some(number), _) => ValueKind::U64(number),
            (None, None, number) => number.map_or(ValueKind::Nil, ValueKind::Float),
        },
        serde_json::Value::String(text) => ValueKind::String(text),
        serde_json::Value::Array(elements) => ValueKind::Array(elements.into_iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key, from_json(value)));
            ValueKind::Table(entries.collect::<Map<_, _>>())
        }
    };
    Value::new(None, kind)
}
