//! One plugin, as the pipeline keeps it: its place in the host, what it is doing, when it is tried again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, HubTime, Name, Point, PointName, Stream, ValueType};
use tokio::time::Instant;

use crate::columns::Columns;
use crate::compile::Recipe;
use crate::config::PluginConfig;
use crate::lines::Lines;
use crate::link::{Declared, Input, Load, Now, Slot};
use crate::state::{Ids, Saved};
use crate::wear::Wear;

/// Time beyond a limit in which the host must have answered: it stops a plugin within two epochs, the rest is a machine
/// with something else to do. Then the host itself hangs, and is killed.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// The pause after a second failure in a row; it doubles with each, up to the longest.
const REST: Duration = Duration::from_millis(100);
const REST_LONGEST: Duration = Duration::from_secs(30);

/// What a plugin is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not in the host: there is none.
    Down,
    /// Its component is being compiled; that has its own end.
    Compiling,
    /// Asked to start or to start afresh.
    Starting { deadline: Instant },
    /// Waits for a batch.
    Idle,
    /// Has the first batch of this stream; `None` if nobody waits for its answer any more.
    Busy { stream: Option<Stream>, deadline: Instant },
    /// Is told that time has passed.
    Ticking { deadline: Instant },
    /// Sees once more what it has seen since its last snapshot: the next is this one of them.
    Replaying { next: usize, deadline: Instant },
    /// Gives its state out.
    Saving { deadline: Instant },
    /// Is asked for its last word: another one takes its place, or nobody.
    Ending { deadline: Instant },
    /// Has said it.
    Ended,
    /// Pauses after failures.
    Resting { until: Instant },
    /// Will not run as it is configured.
    Failed,
}

/// A call that a plugin has answered well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Past {
    Batch(Now, Columns),
    Tick(Now),
}

/// A plugin.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) config: PluginConfig,
    /// The component's bytes, or why there are none. Kept, because a restarted host must get what was checked, not what
    /// has become of the file since.
    pub(crate) component: Result<Arc<[u8]>, Box<str>>,
    pub(crate) slot: Slot,
    /// The points that it sees, and their ids.
    pub(crate) inputs: HashMap<PointName, u32>,
    /// The same as the host is told.
    pub(crate) input_list: Vec<Input>,
    pub(crate) first_own: u32,
    /// Points that it declared.
    pub(crate) own: BTreeMap<u32, Arc<Point>>,
    pub(crate) phase: Phase,
    /// Batches, or starts, that failed one after the other.
    pub(crate) failures: u32,
    /// Streams whose first batch waits for it.
    pub(crate) waiting: VecDeque<Stream>,
    /// What it may still say in the log.
    pub(crate) lines: Lines,
    /// Whether its component is of the world with state.
    pub(crate) stateful: bool,
    /// What of it went to the disk; and if that was too much, until when it is asked nothing.
    pub(crate) wear: Wear,
    pub(crate) worn_until: Option<Instant>,
    /// Since when it has handled batches that no snapshot knows.
    pub(crate) dirty: Option<Instant>,
    /// What it has been asked since, if it has state; and how many rows that are.
    pub(crate) past: Vec<Past>,
    pub(crate) past_rows: usize,
    /// How often it wants to be called although nothing was read, and when it was last.
    pub(crate) tick: Option<(Duration, Instant)>,
    /// The time that it was told last: it never goes back for it, whatever waited where.
    pub(crate) told: HubTime,
    /// It is in the next configuration no more, or otherwise: it gets nothing new.
    pub(crate) going: bool,
    /// It was asked for its last word: there is no way back for it.
    pub(crate) asked_last: bool,
    /// It has given out what it held back.
    pub(crate) finished: bool,
    /// When a bundle was made of what it could not handle, and its file.
    pub(crate) bundled: Option<(Instant, PathBuf)>,
}

impl Stage {
    pub(crate) const fn name(&self) -> &Name {
        &self.config.name
    }

    /// It has answered this call well: its state has it from now on.
    pub(crate) fn has_answered(&mut self, past: Past) {
        if self.stateful {
            self.past_rows += match &past {
                Past::Batch(_, columns) => columns.len(),
                Past::Tick(_) => 1,
            };
            self.past.push(past);
        }
    }

    /// A snapshot has everything that it was asked.
    pub(crate) fn is_clean(&mut self) {
        (self.dirty, self.past_rows) = (None, 0);
        self.past.clear();
    }

    /// When it wants to be called next.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self.tick {
            Some((every, last)) if !self.going => last.checked_add(every),
            Some(_) | None => None,
        }
    }

    /// What its code is made from.
    pub(crate) fn recipe(&self, component: &Arc<[u8]>) -> Recipe {
        recipe(&self.config, component)
    }

    /// The question that starts it in a host that does not know it.
    pub(crate) fn load(&self, code: Vec<u8>, ids: &Ids, state: Option<Saved>) -> Load {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Load {
            slot: self.slot,
            name: self.config.name.to_string(),
            code,
            settings: self.config.settings.to_string(),
            inputs: self.input_list.clone(),
            seed: self.config.seed.clone(),
            own: ids.own.iter().map(|(name, id)| (name.clone(), *id)).collect(),
            first_own: self.first_own,
            state,
            engine: self.config.engine,
            memory: self.config.limits.memory,
            call_ms: ms(self.config.limits.call_time),
            init_ms: ms(self.config.limits.init_time),
        }
    }

    pub(crate) fn reset_deadline(&self, now: Instant) -> Instant {
        now + self.config.limits.init_time + ANSWER_MARGIN
    }

    pub(crate) fn call_deadline(&self, now: Instant) -> Instant {
        now + self.config.limits.call_time + ANSWER_MARGIN
    }

    /// When something has to happen if nothing else does before.
    pub(crate) fn wake(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Starting { deadline }
            | Phase::Busy { deadline, .. }
            | Phase::Ticking { deadline }
            | Phase::Saving { deadline }
            | Phase::Replaying { deadline, .. }
            | Phase::Ending { deadline } => Some(*deadline),
            Phase::Resting { until } => Some(*until),
            Phase::Idle => self.worn_until.or_else(|| self.next_tick()),
            Phase::Down | Phase::Compiling | Phase::Failed | Phase::Ended => None,
        }
    }

    /// What the plugin says that its points are, as ours. Ids are checked: they come from the other end.
    ///
    /// # Errors
    /// A name that is none, or an id that is not this plugin's.
    pub(crate) fn declare(&mut self, declared: Vec<Declared>, ids: &mut Ids) -> Result<(), BadPoint> {
        let mut own = BTreeMap::new();
        for point in declared {
            let offset = point.id.checked_sub(self.first_own);
            let is_new = offset.is_some_and(|offset| offset < crate::host::OWN_POINTS);
            let is_right = ids.own.get(&point.name).map_or(is_new, |id| *id == point.id);
            if !is_right {
                return Err(BadPoint);
            }
            let parse = |text: &str| Name::new(text).map_err(|_| BadPoint);
            let (name, output) = (parse(&point.name)?, parse(&point.output)?);
            let point_of = Point {
                name: PointName::new(self.name().clone(), name),
                stream: Stream::plugin(self.name(), &output),
                class: if point.alarm { Class::Alarm } else { Class::Data },
                unit: point.unit.map(Into::into),
                // A plugin computes; what it makes of it, it does not say.
                value_type: ValueType::F64,
                range: None,
            };
            own.insert(point.id, Arc::new(point_of));
        }
        ids.own.extend(own.iter().map(|(id, point)| (point.name.point().to_string(), *id)));
        self.own = own;
        Ok(())
    }
}

/// What the code of a component is made from, if it is to run with this configuration.
pub(crate) fn recipe(config: &PluginConfig, component: &Arc<[u8]>) -> Recipe {
    Recipe {
        component: Arc::clone(component),
        engine: config.engine,
        memory: config.limits.memory,
        time: config.limits.compile_time,
        bytes: config.limits.compile_memory,
    }
}

/// A declaration that is against the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("declares a point that is none of its own")]
pub(crate) struct BadPoint;

/// The pause after this many failures in a row. One failure is a bad batch and costs no pause.
pub(crate) fn rest(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(2)?;
    Some(REST.saturating_mul(2u32.saturating_pow(doublings)).min(REST_LONGEST))
}
