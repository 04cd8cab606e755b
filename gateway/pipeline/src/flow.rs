//! The pipeline's decisions: which batch is with which plugin, what an answer or a missing answer means, when a plugin
//! rests. No input and no output: what happened goes in, batches and frames come out.
//!
//! What is promised here: a batch leaves in the order of its stream, once, and closes ([`Batch::closes`]), whatever
//! plugins and their host do.

mod answer;
mod bundle;
mod configure;
mod failure;
mod leave;
mod search;
mod state;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, HubClock, HubTime, Name, PointSet, Stream, UtcOffset};
use tokio::time::Instant;

use crate::chain::Selection;
use crate::compile::{Compiled, Recipe};
use crate::config::PluginConfig;
use crate::health::{Board, PluginState};
use crate::lane::{Job, Lane};
use crate::leaving::Leaving;
use crate::link::{Message, Now, Slot, ToHost};
use crate::stage::{Phase, Stage};
use crate::state::{Ids, from_bytes};

use state::Memory;

/// Deaths of the host under one batch, before `on_failure` decides. Not everybody who was in a call killed it.
const DEATHS: u32 = 3;

/// After the end of input, plugins have this long for what is waiting; then `on_failure` decides.
const DRAIN: Duration = Duration::from_secs(3);

/// A configured plugin, with its component's bytes or why there are none.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) config: PluginConfig,
    pub(crate) component: Result<Arc<[u8]>, Box<str>>,
}

/// All of the state.
#[derive(Debug)]
pub(crate) struct Flow {
    clock: HubClock,
    board: Board,
    /// In the order in which a reading meets them.
    stages: Vec<Stage>,
    lanes: HashMap<Stream, Lane>,
    /// Done, to be passed on. Not longer than what the lanes held and some answers brought.
    pub(crate) outbox: VecDeque<Leaving>,
    /// For the host. One question a plugin at most.
    pub(crate) to_host: Vec<u8>,
    /// To be compiled, for the plugin in this slot; [`Flow::compiled`] is told what came of it.
    pub(crate) to_compile: VecDeque<(Slot, Recipe)>,
    host_up: bool,
    /// Deaths of the host since it last answered for a while.
    host_deaths: u32,
    /// Set at the end of input: when waiting ends.
    closing: Option<Instant>,
    /// Of each plugin that was ever here, or is kept from earlier runs.
    ids: BTreeMap<Name, Ids>,
    states: BTreeMap<Name, Memory>,
    /// Plugins whose state was kept and cannot be read, and why; until they are told.
    unreadable: BTreeMap<Name, String>,
    /// The configuration to change to, when those who go have had their last word.
    next: Option<(Vec<Part>, PointSet)>,
    /// How long state may differ from what was written.
    pub(crate) state_every: Duration,
    /// Where bundles are put; `None`: none are made.
    pub(crate) bundles: Option<PathBuf>,
    next_slot: Slot,
}

/// Whether the host can go on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostVerdict {
    GoOn,
    /// It owes an answer and does not give it.
    Kill,
}

impl Flow {
    /// `states`: what earlier runs have kept.
    pub(crate) fn new(clock: HubClock, board: Board, states: BTreeMap<Name, Arc<[u8]>>) -> Self {
        let mut flow = Self {
            clock,
            board,
            stages: Vec::new(),
            lanes: HashMap::new(),
            outbox: VecDeque::new(),
            to_host: Vec::new(),
            to_compile: VecDeque::new(),
            host_up: false,
            host_deaths: 0,
            closing: None,
            ids: BTreeMap::new(),
            states: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            next: None,
            state_every: Duration::ZERO,
            bundles: None,
            next_slot: 0,
        };
        for (name, bytes) in states {
            match from_bytes(&bytes) {
                Ok((saved, ids)) => {
                    flow.ids.insert(name.clone(), ids);
                    flow.states.insert(name, Memory { saved, unwritten: None, traps: 0 });
                }
                Err(error) => drop(flow.unreadable.insert(name, error.to_string())),
            }
        }
        flow
    }

    /// Whether there is anything to run in a host.
    pub(crate) fn wants_host(&self) -> bool {
        self.stages.iter().any(|stage| stage.phase != Phase::Failed)
    }

    /// A batch comes in.
    pub(crate) fn take_in(&mut self, batch: Batch, now: Instant) {
        self.enqueue(Job::new(batch, self.clock.at(now.into_std())), now);
    }

    /// No batch comes any more.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closing = Some(now + DRAIN);
        for place in 0..self.stages.len() {
            self.release_if_unable(place, now);
            self.feed(place, now);
        }
        self.write_states(now);
    }

    /// Nothing is waiting, nothing is to be passed on.
    pub(crate) fn is_drained(&self) -> bool {
        self.closing.is_some() && self.lanes.is_empty() && self.outbox.is_empty() && !self.owes_state()
    }

    pub(crate) fn host_started(&mut self, now: Instant) {
        self.host_up = true;
        self.to_host.clear();
        for place in 0..self.stages.len() {
            self.load(place, now);
        }
    }

    /// The host was ended because nobody needs it.
    pub(crate) fn host_ended(&mut self, now: Instant) {
        self.host_up = false;
        self.to_host.clear();
        self.change(now);
    }

    /// The host is gone. What it owed is asked again when there is another one.
    pub(crate) fn host_died(&mut self, now: Instant) {
        self.host_up = false;
        self.host_deaths += 1;
        self.to_host.clear();
        let mut owed = Vec::new();
        for place in 0..self.stages.len() {
            if let Some(stream) = self.answered(place) {
                self.stages[place].waiting.push_front(stream.clone());
                owed.push((place, stream));
            }
            if self.stages[place].phase != Phase::Failed {
                self.set(place, Phase::Down);
            }
            self.stages[place].dirty = None;
        }
        for (place, stream) in owed {
            let Some(head) = self.lanes.get_mut(&stream).and_then(Lane::head) else {
                continue;
            };
            head.deaths += 1;
            if head.deaths >= DEATHS {
                self.shed(&stream, now);
            } else {
                let name = self.stages[place].name();
                tracing::info!(plugin = %name, %stream, "the host died in a call; the batch is asked again");
            }
        }
        for place in 0..self.stages.len() {
            self.release_if_unable(place, now);
        }
        self.change(now);
    }

    /// The host has lived long enough to be taken for healthy.
    pub(crate) const fn host_settled(&mut self) {
        self.host_deaths = 0;
    }

    pub(crate) const fn host_deaths(&self) -> u32 {
        self.host_deaths
    }

    /// Whether the host has been asked something that it has not answered.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.stages.iter().any(|stage| match stage.phase {
            Phase::Starting { .. }
            | Phase::Busy { .. }
            | Phase::Ticking { .. }
            | Phase::Replaying { .. }
            | Phase::Saving { .. }
            | Phase::Ending { .. } => true,
            Phase::Down | Phase::Compiling | Phase::Idle | Phase::Ended | Phase::Resting { .. } | Phase::Failed => {
                false
            }
        })
    }

    /// When [`Flow::time`] has something to do.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let closing = self.closing.filter(|_| !self.lanes.is_empty() || self.owes_state());
        self.stages.iter().filter_map(Stage::wake).chain(closing).chain(self.state_wake()).min()
    }

    /// Time has passed.
    pub(crate) fn time(&mut self, now: Instant) -> HostVerdict {
        let mut verdict = HostVerdict::GoOn;
        for place in 0..self.stages.len() {
            match &self.stages[place].phase {
                Phase::Resting { until } if *until <= now => self.reset(place, now),
                Phase::Busy { deadline, .. } if *deadline <= now => {
                    self.trapped(place, "the host gave no answer, and was killed", now);
                    verdict = HostVerdict::Kill;
                }
                Phase::Saving { deadline }
                | Phase::Ticking { deadline }
                | Phase::Replaying { deadline, .. }
                | Phase::Ending { deadline }
                    if *deadline <= now =>
                {
                    self.trapped(place, "the host gave no answer, and was killed", now);
                    verdict = HostVerdict::Kill;
                }
                Phase::Starting { deadline } if *deadline <= now => {
                    self.start_overdue(place, now);
                    verdict = HostVerdict::Kill;
                }
                Phase::Idle => self.feed(place, now),
                Phase::Down
                | Phase::Compiling
                | Phase::Starting { .. }
                | Phase::Busy { .. }
                | Phase::Ticking { .. }
                | Phase::Replaying { .. }
                | Phase::Saving { .. }
                | Phase::Ending { .. }
                | Phase::Ended
                | Phase::Resting { .. }
                | Phase::Failed => {}
            }
        }
        self.write_states(now);
        self.change(now);
        if self.closing.is_some_and(|end| end <= now) {
            let streams: Vec<Stream> = self.lanes.keys().cloned().collect();
            for stream in streams {
                while self.lanes.contains_key(&stream) {
                    self.shed(&stream, now);
                }
            }
            // What they remember stays as it was written last.
            self.stages.iter_mut().for_each(|stage| stage.dirty = None);
        }
        verdict
    }

    fn enqueue(&mut self, job: Job, now: Instant) {
        let stream = job.batch.stream.clone();
        let lane = self.lanes.entry(stream.clone()).or_default();
        let first = lane.head().is_none();
        lane.push(job);
        if first {
            self.advance(&stream, now);
        }
        while self.lanes.get(&stream).is_some_and(Lane::is_over) {
            self.shed(&stream, now);
        }
    }

    /// Moves a stream on until its first batch is with a plugin or waits for one, or the lane is empty.
    fn advance(&mut self, stream: &Stream, now: Instant) {
        loop {
            let Some(lane) = self.lanes.get_mut(stream) else {
                return;
            };
            let Some(job) = lane.head() else {
                self.lanes.remove(stream);
                return;
            };
            let next = self.stages.iter().enumerate().find_map(|(place, stage)| {
                let unseen = !job.done.contains(stage.name());
                unseen.then(|| Selection::of(&job.batch, &stage.inputs)).flatten().map(|selection| (place, selection))
            });
            let Some((place, selection)) = next else {
                let job = lane.pop().expect("it was there");
                debug_assert!(job.batch.closes(), "a batch does not close: {:?}", job.batch);
                self.outbox.push_back(Leaving::Batch(job.batch));
                continue;
            };
            job.selection = Some(selection);
            if self.is_unable(place) && !self.holds(place) {
                self.bypass(place, stream);
                continue;
            }
            self.stages[place].waiting.push_back(stream.clone());
            return self.feed(place, now);
        }
    }

    /// Gives an idle plugin the next batch, or asks for its state or tells it the time first.
    fn feed(&mut self, place: usize, now: Instant) {
        if self.stages[place].phase != Phase::Idle || (self.stages[place].going && !self.is_searching(place)) {
            return;
        }
        if self.snapshot_is_due(place, now) {
            return self.ask_snapshot(place, now);
        }
        if self.is_worn(place, now) {
            return;
        }
        if self.stages[place].next_tick().is_some_and(|due| due <= now) && self.closing.is_none() {
            return self.tick(place, now);
        }
        let stage = &mut self.stages[place];
        let Some(stream) = stage.waiting.pop_front() else {
            return;
        };
        let deadline = stage.call_deadline(now);
        let slot = stage.slot;
        let job = self.lanes.get_mut(&stream).and_then(Lane::head).expect("who waits heads a lane");
        let columns = job.columns();
        let (at, offset) = (job.now, job.batch.offset);
        let time = self.tell_time(place, at, offset);
        self.send(&ToHost::Process { slot, now: time, columns });
        self.stages[place].phase = Phase::Busy { stream: Some(stream), deadline };
    }

    /// The time for a call of this plugin.
    fn tell_time(&mut self, place: usize, at: HubTime, offset: Option<UtcOffset>) -> Now {
        let stage = &mut self.stages[place];
        stage.told = stage.told.max(at);
        Now { hub: stage.told.as_nanos(), utc_offset: offset.map(UtcOffset::as_nanos) }
    }

    fn tick(&mut self, place: usize, now: Instant) {
        let (at, offset) = (self.clock.at(now.into_std()), self.clock.offset());
        let time = self.tell_time(place, at, offset);
        let stage = &mut self.stages[place];
        if let Some((_, last)) = &mut stage.tick {
            *last = now;
        }
        let (slot, deadline) = (stage.slot, stage.call_deadline(now));
        stage.phase = Phase::Ticking { deadline };
        self.send(&ToHost::Tick { slot, now: time });
    }

    fn load(&mut self, place: usize, now: Instant) {
        if self.stages[place].phase == Phase::Failed {
            return;
        }
        match self.stages[place].component.clone() {
            Err(reason) => self.fail(place, "plugin-failed", reason.into_string(), now),
            Ok(component) if self.host_up => {
                let stage = &self.stages[place];
                self.to_compile.push_back((stage.slot, stage.recipe(&component)));
                self.set(place, Phase::Compiling);
            }
            Ok(_) => {}
        }
    }

    /// The component of the plugin in this slot is compiled, or cannot be.
    pub(crate) fn compiled(&mut self, slot: Slot, compiled: Compiled, now: Instant) {
        // It may have gone meanwhile, or the host.
        let waits = |stage: &Stage| stage.slot == slot && stage.phase == Phase::Compiling;
        let Some(place) = self.stages.iter().position(waits) else {
            return;
        };
        match compiled {
            Ok(code) => {
                let state = self.start_state(place);
                let stage = &self.stages[place];
                let ids = self.ids.entry(stage.name().clone()).or_default();
                let (load, deadline) = (stage.load(code, ids, state), stage.reset_deadline(now));
                self.send(&ToHost::Load(Box::new(load)));
                self.set(place, Phase::Starting { deadline });
            }
            Err(why) => self.fail(place, "plugin-failed", why, now),
        }
        self.change(now);
    }

    fn reset(&mut self, place: usize, now: Instant) {
        let stage = &self.stages[place];
        let (slot, deadline) = (stage.slot, stage.reset_deadline(now));
        let state = self.start_state(place);
        self.send(&ToHost::Reset { slot, state });
        self.set(place, Phase::Starting { deadline });
    }

    fn send(&mut self, message: &ToHost) {
        self.to_host.extend_from_slice(&message.to_frame());
    }

    fn set(&mut self, place: usize, phase: Phase) {
        let stage = &mut self.stages[place];
        stage.phase = phase;
        let state = match &stage.phase {
            Phase::Down | Phase::Compiling | Phase::Starting { .. } | Phase::Replaying { .. } => PluginState::Starting,
            Phase::Idle
            | Phase::Busy { .. }
            | Phase::Ticking { .. }
            | Phase::Saving { .. }
            | Phase::Ending { .. }
            | Phase::Ended => PluginState::Running,
            Phase::Resting { .. } => PluginState::Resting,
            Phase::Failed => PluginState::Failed,
        };
        self.board.plugin(stage.name(), |sheet| sheet.health.state = state);
    }
}
