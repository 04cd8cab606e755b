//! The file of what a plugin could not handle: how it is written, kept and read. JSON lines, for the hub's user alone.
//!
//! ```text
//! {"v":1,"bundle":"plugin-poison","detail":"cannot handle 1 readings of ..","plugin":"tally","component":"/usr/lib/curb/tally.wasm",
//!  "sha256":"..","settings":{..},"engine":"cranelift","on_failure":"drop","limits":{"component":4194304,"memory":8388608,
//!  "call_ms":250,"init_ms":2000,"rows_out":1000},"points":[{"name":"meter/power","unit":"W"}],"ids":{"inputs":{"meter/power":0},"own":{"total":1},"next":257},
//!  "state":{"version":1,"data":"base64"},"left_out":{"readings":0,"state":false,"seed":true}}
//! {"call":"process","ht":1000000000,"offset":null,"readings":[{"point":"meter/power","value":230.5,"quality":"good","ht":1000000000}]}
//! {"call":"tick","ht":1500000000,"offset":null}
//! {"call":"process","ht":2000000000,"offset":null,"readings":[..]}
//! ```
//!
//! First the plugin, then what it has been asked since it gave out `state`, oldest first. The last line is what it could not handle;
//! a plugin without state has no other, for it was tried afresh on the hub, too. `ht` is the hub time that it was told, `offset`
//! UTC minus hub time, both in nanoseconds. Readings are lines of `curb tap --json`. A later version has another `v`.
//!
//! What is left out: the seed of the plugin, always, for whoever has it can take the noise off all that the plugin has ever told.
//! What the policy denies, and of a plugin that withholds what it sees, all readings; then the state, too, for it is made of
//! what was read. A replay says so, and may then not fail.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curb_model::{
    Class, Glob, HubTime, Name, NameError, Point, PointName, PointSet, Reading, Stream, UtcOffset, ValueType,
};
use curb_pipeline::{Bundle, Call, Engine, Ids, LeftOut, Limits, OnFailure, PluginConfig, Saved};
use serde::{Deserialize, Serialize};

use crate::tap::{Line, Unreadable, sample};

/// Their folder in the state folder.
pub(crate) const FOLDER: &str = "poison";

/// The format's version.
const VERSION: u32 = 1;

/// Bundles that are kept: the newest. A hub has few plugins, and each makes one in ten minutes at most.
const FILES: usize = 8;

/// Bytes of all of them. The state of a plugin and 4,096 readings since are 1 MB.
const BYTES: u64 = 4 << 20;

/// Why a file is no bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("line {line}")]
    Json { line: usize, source: serde_json::Error },
    #[error("version {0}, expected {VERSION}: it is of a later curb")]
    Version(u32),
    #[error("line 1: a name")]
    Name(#[from] NameError),
    #[error("line 1: the state")]
    State(#[source] base64::DecodeError),
    #[error("line {line}")]
    Reading { line: usize, source: Unreadable },
    #[error("line {line}: found {point}, expected a point of line 1")]
    Point { line: usize, point: String },
    #[error("found no call behind line 1")]
    NoCall,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    v: u32,
    bundle: String,
    detail: String,
    plugin: String,
    component: PathBuf,
    sha256: String,
    settings: serde_json::Value,
    engine: EngineForm,
    on_failure: OnFailureForm,
    limits: LimitsForm,
    points: Vec<PointForm>,
    ids: IdsForm,
    state: Option<StateForm>,
    left_out: LeftOutForm,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EngineForm {
    Cranelift,
    Pulley,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnFailureForm {
    Pass,
    Drop,
    Hold,
}

#[derive(Debug, Serialize, Deserialize)]
struct LimitsForm {
    component: u64,
    memory: u64,
    call_ms: u64,
    init_ms: u64,
    rows_out: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct PointForm {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdsForm {
    inputs: BTreeMap<String, u32>,
    own: BTreeMap<String, u32>,
    next: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct StateForm {
    version: u32,
    data: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LeftOutForm {
    readings: u64,
    state: bool,
    /// Always true.
    seed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "lowercase")]
enum CallForm {
    Process { ht: i64, offset: Option<i64>, readings: Vec<Line> },
    Tick { ht: i64, offset: Option<i64> },
}

/// Writes a bundle into `folder`; older ones give way to it.
///
/// # Errors
/// It is too long, or the disk takes it not.
pub(crate) fn keep(folder: &Path, bundle: &Bundle) -> io::Result<()> {
    let text = to_text(bundle)?;
    let room = BYTES.checked_sub(text.len() as u64).ok_or_else(|| {
        io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {} bytes (limit {BYTES})", text.len()))
    })?;
    DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
    make_room(folder, FILES - 1, room)?;
    let path = folder.join(bundle.file_name());
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// Deletes the oldest until no more than so many, with so many bytes, are left. What a power cut left half-written goes first.
fn make_room(folder: &Path, files: usize, bytes: u64) -> io::Result<()> {
    let mut kept: Vec<(PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("new") => fs::remove_file(path)?,
            Some("jsonl") => kept.push((path, entry.metadata()?.len())),
            Some(_) | None => {}
        }
    }
    // By name, which begins with hub time: that never goes back.
    kept.sort();
    let mut sum: u64 = kept.iter().map(|(_, len)| len).sum();
    let mut count = kept.len();
    for (path, len) in kept {
        if count <= files && sum <= bytes {
            break;
        }
        fs::remove_file(path)?;
        (count, sum) = (count - 1, sum - len);
    }
    Ok(())
}

/// Whether this is the text of a bundle, and no capture.
pub(super) fn is_bundle(text: &str) -> bool {
    #[derive(Deserialize)]
    struct First {
        #[expect(dead_code, reason = "only whether it is there is asked")]
        bundle: String,
    }
    text.lines().next().is_some_and(|line| serde_json::from_str::<First>(line).is_ok())
}

fn to_text(bundle: &Bundle) -> serde_json::Result<String> {
    let Bundle { plugin, digest, word, detail, seen, ids, state, calls, left_out, .. } = bundle;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let limits = &plugin.limits;
    let head = Head {
        v: VERSION,
        bundle: word.clone(),
        detail: detail.clone(),
        plugin: plugin.name.to_string(),
        component: plugin.component.clone(),
        sha256: digest.clone(),
        settings: plugin.settings.clone(),
        engine: match plugin.engine {
            Engine::Cranelift => EngineForm::Cranelift,
            Engine::Pulley => EngineForm::Pulley,
        },
        on_failure: match plugin.on_failure {
            OnFailure::Pass => OnFailureForm::Pass,
            OnFailure::Drop => OnFailureForm::Drop,
            OnFailure::Hold => OnFailureForm::Hold,
        },
        limits: LimitsForm {
            component: limits.component,
            memory: limits.memory,
            call_ms: millis(limits.call_time),
            init_ms: millis(limits.init_time),
            rows_out: limits.rows_out,
        },
        points: seen
            .iter()
            .map(|point| PointForm { name: point.name.to_string(), unit: point.unit.as_deref().map(ToOwned::to_owned) })
            .collect(),
        ids: IdsForm { inputs: ids.inputs.clone(), own: ids.own.clone(), next: ids.next },
        state: state
            .as_ref()
            .map(|Saved { version, data }| StateForm { version: *version, data: STANDARD.encode(data) }),
        left_out: LeftOutForm { readings: left_out.readings, state: left_out.state, seed: true },
    };
    let mut text = serde_json::to_string(&head)?;
    for call in calls {
        let form = match call {
            Call::Tick { now, offset } => {
                CallForm::Tick { ht: now.as_nanos(), offset: offset.map(UtcOffset::as_nanos) }
            }
            Call::Batch { now, offset, readings } => CallForm::Process {
                ht: now.as_nanos(),
                offset: offset.map(UtcOffset::as_nanos),
                readings: readings.iter().map(|r| Line::new(r, &r.point.stream, *offset, 0)).collect(),
            },
        };
        text.push('\n');
        text.push_str(&serde_json::to_string(&form)?);
    }
    text.push('\n');
    Ok(text)
}

/// Reads a bundle.
///
/// # Errors
/// It is none, or of another version.
pub(super) fn read(text: &str) -> Result<Bundle, Error> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let json = |line: usize| move |source| Error::Json { line, source };
    let Version { v } = serde_json::from_str(first).map_err(json(1))?;
    if v != VERSION {
        return Err(Error::Version(v));
    }
    let head: Head = serde_json::from_str(first).map_err(json(1))?;
    let seen = head.points.iter().map(point).collect::<Result<PointSet, _>>()?;
    let mut calls = Vec::new();
    for (line, text) in (2..).zip(rest.lines()) {
        calls.push(call(serde_json::from_str(text).map_err(json(line))?, line, &seen)?);
    }
    if calls.is_empty() {
        return Err(Error::NoCall);
    }
    let state = head.state.map(|StateForm { version, data }| {
        STANDARD.decode(data).map(|data| Saved { version, data: data.into() }).map_err(Error::State)
    });
    let LimitsForm { component, memory, call_ms, init_ms, rows_out } = head.limits;
    let plugin = PluginConfig {
        name: Name::new(&head.plugin)?,
        component: head.component,
        points: vec![Glob::parse("*")?],
        settings: head.settings,
        seed: Vec::new(),
        engine: match head.engine {
            EngineForm::Cranelift => Engine::Cranelift,
            EngineForm::Pulley => Engine::Pulley,
        },
        on_failure: match head.on_failure {
            OnFailureForm::Pass => OnFailure::Pass,
            OnFailureForm::Drop => OnFailure::Drop,
            OnFailureForm::Hold => OnFailure::Hold,
        },
        limits: Limits {
            component,
            memory,
            call_time: Duration::from_millis(call_ms),
            init_time: Duration::from_millis(init_ms),
            rows_out,
            ..Limits::default()
        },
    };
    let IdsForm { inputs, own, next } = head.ids;
    let left_out = LeftOut { readings: head.left_out.readings, state: head.left_out.state };
    let mut bundle = Bundle::new(plugin, head.sha256, seen, Ids { inputs, own, next }, calls);
    (bundle.word, bundle.detail, bundle.left_out) = (head.bundle, head.detail, left_out);
    bundle.state = state.transpose()?;
    Ok(bundle)
}

fn point(form: &PointForm) -> Result<Arc<Point>, NameError> {
    let name = PointName::parse(&form.name)?;
    let (stream, unit) = (Stream::device(name.owner()), form.unit.as_deref().map(Into::into));
    Ok(Arc::new(Point { name, stream, class: Class::Data, unit, value_type: ValueType::F64, range: None }))
}

fn call(form: CallForm, line: usize, seen: &PointSet) -> Result<Call, Error> {
    let time = |ht, offset: Option<i64>| (HubTime::from_nanos(ht), offset.map(UtcOffset::from_nanos));
    match form {
        CallForm::Tick { ht, offset } => {
            let (now, offset) = time(ht, offset);
            Ok(Call::Tick { now, offset })
        }
        CallForm::Process { ht, offset, readings } => {
            let (now, offset) = time(ht, offset);
            let reading = |form: Line| {
                let name = PointName::parse(&form.point).ok();
                let point = name.and_then(|name| seen.get(&name));
                let point = point.ok_or_else(|| Error::Point { line, point: form.point.clone() })?;
                let sample = sample(form.value.as_ref(), form.kind, Some(&form.quality));
                let sample = sample.map_err(|source| Error::Reading { line, source })?;
                Ok(Reading { point: Arc::clone(point), at: HubTime::from_nanos(form.ht), sample })
            };
            let readings = readings.into_iter().map(reading).collect::<Result<_, Error>>()?;
            Ok(Call::Batch { now, offset, readings })
        }
    }
}

#[cfg(test)]
mod tests;
