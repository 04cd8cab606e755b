//! A batch that a plugin could not handle, with all that it takes to see that again on a laptop. Pure.
//!
//! It is what a fresh instance gets on the hub: the settings, the state before, the calls since, the batch. So
//! [`Runner::replay`](crate::Runner::replay) asks the host the same questions, byte for byte.
//!
//! Deliberately absent: the component (its digest and path are there, and whoever wrote it has it); the plugin's seed, for with it
//! the noise of a whole hub could be taken off again (a replay has zeros in its place); and what the policy refuses.

use std::fmt::Write as _;
use std::sync::Arc;

use curb_model::{HubTime, Point, PointSet, Reading, Stream, UtcOffset, ValueType};
use sha2::{Digest as _, Sha256};

use crate::columns::{Columns, ColumnsError};
use crate::config::PluginConfig;
use crate::link::{Input, Now};
use crate::policy::{Policy, Text};
use crate::stage::Past;
use crate::state::{Ids, Saved};

/// What a plugin could not handle, and what was before.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The plugin as it was configured. Its seed is empty, and of `points` there is one glob: all of `seen`.
    pub plugin: PluginConfig,
    /// SHA-256 of the component, as lower-case hexadecimal digits.
    pub digest: String,
    /// The word of the fault: `plugin-poison`, `plugin-trapped`; `plugin-declined`, which is no fault of the hub.
    pub word: String,
    /// What is wrong, in words.
    pub detail: String,
    /// The points that it sees.
    pub seen: PointSet,
    /// By which ids it knows points. They stand in its state.
    pub ids: Ids,
    /// What it had given out last, if it has state and has ever done so.
    pub state: Option<Saved>,
    /// What it was asked since, oldest first; the last is what it could not handle.
    pub calls: Vec<Call>,
    /// What is missing of it.
    pub left_out: LeftOut,
    /// What it sees must not leave the hub, by its own manifest.
    pub(crate) withholds: bool,
}

/// What a plugin was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// To handle these readings.
    Batch {
        /// The time that it was told.
        now: HubTime,
        /// UTC minus hub time, where that is known.
        offset: Option<UtcOffset>,
        /// What it saw of the batch.
        readings: Vec<Reading>,
    },
    /// To do what is due although nothing was read.
    Tick {
        /// The time that it was told.
        now: HubTime,
        /// UTC minus hub time, where that is known.
        offset: Option<UtcOffset>,
    },
}

/// What a bundle does not have because it must not leave the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Readings, of all calls.
    pub readings: u64,
    /// The state: it may say what a reading said that must not leave.
    pub state: bool,
}

impl Bundle {
    /// One that was read from a file: without state, and nothing left out, until somebody says otherwise.
    #[must_use]
    pub const fn new(plugin: PluginConfig, digest: String, seen: PointSet, ids: Ids, calls: Vec<Call>) -> Self {
        let left_out = LeftOut { readings: 0, state: false };
        Self {
            plugin,
            digest,
            word: String::new(),
            detail: String::new(),
            seen,
            ids,
            state: None,
            calls,
            left_out,
            withholds: false,
        }
    }

    /// Its file's name: by age, then by plugin.
    #[must_use]
    pub fn file_name(&self) -> String {
        let now = self.calls.last().map_or(HubTime::ZERO, Call::now);
        format!("{:015}-{}.jsonl", now.as_nanos() / 1_000_000, self.plugin.name)
    }

    /// Takes out what must not leave the hub. A plugin that withholds what it sees has the policy's part in this: of what it saw
    /// nothing is left.
    pub(crate) fn leave_out(&mut self, policy: &Policy) {
        let withholds = self.withholds;
        let lets = |reading: &Reading| !withholds && policy.permits(&reading.point.name, reading.sample.value());
        for call in &mut self.calls {
            if let Call::Batch { readings, .. } = call {
                let before = readings.len();
                readings.retain(lets);
                self.left_out.readings += (before - readings.len()) as u64;
            }
        }
        let is_open = policy.text == Text::Allow && self.seen.iter().all(|point| policy.allows(&point.name));
        if (withholds || !is_open) && self.state.take().is_some() {
            self.left_out.state = true;
        }
    }

    /// The calls as the flow knows them: those before, and the readings of the last one.
    pub(crate) fn past(&self) -> Vec<Past> {
        let before = self.calls.split_last().map_or(&[][..], |(_, before)| before);
        let past = before.iter().map(|call| match call {
            Call::Tick { now, offset } => Past::Tick(told(*now, *offset)),
            Call::Batch { now, offset, readings } => {
                let mut columns = Columns::default();
                for reading in readings {
                    // A point that the file does not name as one that is seen was put there by hand.
                    if let Some(id) = self.ids.inputs.get(&reading.point.name.to_string()) {
                        columns.push(*id, reading);
                    }
                }
                Past::Batch(told(*now, *offset), columns)
            }
        });
        past.filter(|past| !matches!(past, Past::Batch(_, columns) if columns.is_empty())).collect()
    }
}

impl Call {
    /// The time that the plugin was told.
    #[must_use]
    pub const fn now(&self) -> HubTime {
        match self {
            Self::Batch { now, .. } | Self::Tick { now, .. } => *now,
        }
    }

    /// What the flow knows, as it is kept.
    ///
    /// # Errors
    /// The columns are none that the flow made.
    pub(crate) fn from_past(past: &Past, seen: &[Arc<Point>], inputs: &[Input]) -> Result<Self, ColumnsError> {
        let time = |now: &Now| (HubTime::from_nanos(now.hub), now.utc_offset.map(UtcOffset::from_nanos));
        let (now, offset) = match past {
            Past::Batch(now, _) | Past::Tick(now) => time(now),
        };
        let Past::Batch(_, columns) = past else { return Ok(Self::Tick { now, offset }) };
        let point = |id| {
            let place = inputs.iter().position(|input| input.id == id);
            place.and_then(|place| seen.get(place)).map(Arc::clone).ok_or(ColumnsError::Others)
        };
        Ok(Self::Batch { now, offset, readings: columns.clone().into_readings(point)? })
    }
}

/// A point that a plugin sees, as much as it knows of it.
pub(crate) fn seen(input: &Input) -> Option<Arc<Point>> {
    let name = curb_model::PointName::parse(&input.name).ok()?;
    let stream = Stream::device(name.owner());
    let unit = input.unit.as_deref().map(Into::into);
    let class = curb_model::Class::Data;
    Some(Arc::new(Point { name, stream, class, unit, value_type: ValueType::F64, range: None }))
}

/// SHA-256, as lower-case hexadecimal digits.
pub(crate) fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn told(now: HubTime, offset: Option<UtcOffset>) -> Now {
    Now { hub: now.as_nanos(), utc_offset: offset.map(UtcOffset::as_nanos) }
}
