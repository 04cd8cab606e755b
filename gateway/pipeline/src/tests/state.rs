//! State never falls behind what it has let out, whatever happens, and nothing that was kept is misread.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Class, Fault, Glob, HubClock, HubTime, Name, PointSet, Reading, Sample, Stream, Value};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{name, point};
use crate::chain::Emission;
use crate::columns::Columns;
use crate::config::{Limits, OnFailure, PluginConfig};
use crate::flow::{Flow, HostVerdict, Part};
use crate::health::{Board, PluginHealth};
use crate::leaving::Leaving;
use crate::link::{Declared, FromHost, Slot, ToHost, take_frame};
use crate::state::{Ids, Saved, from_bytes, to_bytes};

const EVERY: Duration = Duration::from_secs(60);

/// A plugin that remembers how many rows it has seen, and a host for it.
pub(super) struct Street {
    board: Board,
    pub(super) flow: Flow,
    pub(super) now: Instant,
    pub(super) questions: Vec<ToHost>,
    /// What the instance in this slot remembers.
    pub(super) seen: HashMap<Slot, u64>,
    /// What the instance was asked to declare with, and sees.
    points: BTreeMap<String, u32>,
    pub(super) out: Vec<Leaving>,
    made: i64,
    pub(super) tick_ms: u32,
    /// Readings of its last word.
    pub(super) last_word: usize,
    /// What plugins were told that the time is.
    pub(super) times: Vec<i64>,
    /// Bytes of its state that say nothing.
    pub(super) padding: usize,
}

pub(super) fn part(globs: &[&str]) -> Part {
    let config = PluginConfig {
        name: name("tally"),
        component: PathBuf::new(),
        points: globs.iter().map(|glob| Glob::parse(glob).unwrap()).collect(),
        settings: serde_json::Value::Null,
        seed: Vec::new(),
        engine: crate::config::Engine::default(),
        // What it cannot handle is not let out as if it had seen it.
        on_failure: OnFailure::Drop,
        limits: Limits::default(),
    };
    Part { config, component: Ok(Arc::from([])) }
}

/// With so many bytes of nothing behind it.
fn saved(seen: u64, padding: usize) -> Saved {
    let data = [&seen.to_le_bytes()[..], &vec![0; padding]].concat();
    Saved { version: 1, data: data.into() }
}

pub(super) fn seen_of(saved: &Saved) -> u64 {
    u64::from_le_bytes(saved.data[..8].try_into().unwrap())
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    KeepAll,
    KeepNone,
    Trap,
    /// Lets readings out and holds the state back.
    Hide,
    Decline,
    /// Names a row that there is not.
    Forge,
    /// None at all.
    Silence,
}

impl Street {
    pub(super) fn new(states: BTreeMap<Name, Arc<[u8]>>) -> Self {
        Self::of(states, &["meter/*"])
    }

    fn of(states: BTreeMap<Name, Arc<[u8]>>, globs: &[&str]) -> Self {
        let points = Self::known();
        let (clock, board, now) = (HubClock::starting_at(HubTime::ZERO), Board::default(), Instant::now());
        let mut flow = Flow::new(clock, board.clone(), states);
        flow.state_every = EVERY;
        flow.configure(vec![part(globs)], &points, now);
        flow.host_started(now);
        let (questions, out) = (Vec::new(), Vec::new());
        let mut street = Self {
            board,
            flow,
            now,
            questions,
            seen: HashMap::new(),
            points: BTreeMap::new(),
            out,
            made: 0,
            tick_ms: 0,
            last_word: 0,
            times: Vec::new(),
            padding: 0,
        };
        street.collect();
        street
    }

    pub(super) fn known() -> PointSet {
        ["meter/a", "meter/b"].map(point).into_iter().collect()
    }

    pub(super) fn collect(&mut self) {
        while let Some((slot, _)) = self.flow.to_compile.pop_front() {
            self.flow.compiled(slot, Ok(Vec::new()), self.now);
        }
        while let Some(question) = take_frame::<ToHost>(&mut self.flow.to_host).unwrap() {
            if !matches!(question, ToHost::Unload { .. }) {
                self.questions.push(question);
            }
        }
        self.out.extend(self.flow.outbox.drain(..));
    }

    pub(super) fn batch(&mut self, rows: usize) {
        let readings = (0..rows).map(|_| {
            self.made += 1;
            let sample = Sample::Good(Value::I64(self.made));
            Reading { point: point("meter/a"), at: HubTime::from_nanos(self.made), sample }
        });
        let batch = Batch::read(Stream::device(&name("meter")), Class::Data, None, readings.collect());
        self.flow.take_in(batch, self.now);
        self.collect();
    }

    fn start(&mut self, slot: Slot, state: Option<Saved>) -> FromHost {
        self.seen.insert(slot, state.as_ref().map_or(0, seen_of));
        let total = Declared {
            id: self.points["total"],
            name: "total".to_owned(),
            unit: None,
            output: "count".to_owned(),
            alarm: false,
        };
        FromHost::Ready { slot, declared: vec![total], stateful: true, tick_ms: self.tick_ms }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        if self.questions.is_empty() {
            return;
        }
        let message = match self.questions.remove(0) {
            ToHost::Load(load) => {
                self.points = load.inputs.into_iter().map(|input| (input.name, input.id)).collect();
                let total = load.own.iter().find(|(name, _)| name == "total").map_or(load.first_own, |(_, id)| *id);
                self.points.insert("total".to_owned(), total);
                self.start(load.slot, load.state)
            }
            ToHost::Reset { slot, .. } if matches!(answer, Answer::Trap) => trapped(slot),
            ToHost::Reset { slot, state } => self.start(slot, state),
            ToHost::Process { slot, columns, now } => {
                self.times.push(now.hub);
                let rows = u32::try_from(columns.len()).unwrap();
                let seen = self.seen.get_mut(&slot).unwrap();
                *seen += u64::from(rows);
                let keep: Vec<u32> = match answer {
                    Answer::KeepAll | Answer::Hide => (0..rows).collect(),
                    Answer::Forge => vec![rows],
                    Answer::KeepNone => vec![],
                    Answer::Trap => return self.hear(trapped(slot)),
                    Answer::Silence => return,
                    Answer::Decline => return self.hear(FromHost::Declined { slot, text: "no".to_owned() }),
                };
                let state = (!keep.is_empty() && !matches!(answer, Answer::Hide)).then(|| saved(*seen, self.padding));
                let emission = Box::new(Emission { keep, ..Emission::default() });
                FromHost::Done { slot, emission, metrics: vec![], state }
            }
            ToHost::Snapshot { slot } if matches!(answer, Answer::Trap) => trapped(slot),
            ToHost::Snapshot { slot } => FromHost::Snapshot { slot, state: saved(self.seen[&slot], self.padding) },
            ToHost::Finish { slot, .. } if matches!(answer, Answer::Trap) => trapped(slot),
            ToHost::Tick { slot, now } => {
                self.times.push(now.hub);
                FromHost::Added { slot, added: Columns::default(), metrics: vec![], state: None }
            }
            ToHost::Finish { slot, now } => {
                let rows = self.last_word;
                let added = Columns {
                    points: vec![self.points["total"]; rows],
                    times: vec![now.hub; rows],
                    values: vec![1.0; rows],
                    kinds: vec![3; rows],
                    quality: vec![0; rows],
                    others: vec![],
                };
                let state = (rows > 0).then(|| saved(self.seen[&slot], self.padding));
                FromHost::Added { slot, added, metrics: vec![], state }
            }
            other @ ToHost::Unload { .. } => panic!("{other:?}"),
        };
        self.hear(message);
    }

    fn hear(&mut self, message: FromHost) {
        self.flow.heard(message, self.now);
        self.collect();
    }

    /// Answers everything that is asked.
    pub(super) fn settle(&mut self) {
        for _ in 0..100 {
            if self.questions.is_empty() {
                return;
            }
            self.answer(Answer::KeepAll);
        }
        panic!("never quiet: {:?}", self.questions);
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.flow.time(self.now) == HostVerdict::Kill {
            self.die();
        }
        self.collect();
    }

    fn die(&mut self) {
        self.collect();
        self.questions.clear();
        self.seen.clear();
        self.flow.host_died(self.now);
        self.flow.host_started(self.now);
        self.collect();
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.board.health(self.now).faults
    }

    pub(super) fn health(&self) -> PluginHealth {
        self.board.lock().plugins[&name("tally")].health.clone()
    }

    /// What a run finds that starts after the last of `out`.
    pub(super) fn kept(&self) -> Option<u64> {
        self.states().values().next().map(|bytes| seen_of(&from_bytes(bytes).unwrap().0))
    }

    pub(super) fn states(&self) -> BTreeMap<Name, Arc<[u8]>> {
        let state = |leaving: &Leaving| match leaving {
            Leaving::State { plugin, bytes } => Some((plugin.clone(), Arc::clone(bytes))),
            Leaving::Batch(_) | Leaving::Forget { .. } | Leaving::Bundle(_) => None,
        };
        self.out.iter().filter_map(state).collect()
    }
}

fn trapped(slot: Slot) -> FromHost {
    FromHost::Trapped { slot, text: "unreachable".to_owned() }
}

#[derive(Debug, Clone)]
enum Step {
    Batch(usize),
    Answer(Answer),
    Die,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        8 => Just(Answer::KeepAll),
        4 => Just(Answer::KeepNone),
        1 => Just(Answer::Trap),
        1 => Just(Answer::Hide),
        1 => Just(Answer::Decline),
        1 => Just(Answer::Forge),
    ];
    let step = prop_oneof![
        6 => (0..6usize).prop_map(Step::Batch),
        12 => answer.prop_map(Step::Answer),
        1 => Just(Step::Die),
        3 => (0..40_000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_output_is_ever_ahead_of_the_state_that_is_written_before_it(steps in steps()) {
        let mut street = Street::new(BTreeMap::new());
        for step in &steps {
            match step {
                Step::Batch(rows) => street.batch(*rows),
                Step::Answer(answer) => street.answer(*answer),
                Step::Die => street.die(),
                Step::Wait(ms) => street.wait(Duration::from_millis(*ms)),
            }
        }
        // Cut anywhere, what was let out is in the state.
        let (mut let_out, mut kept) = (0, 0);
        for leaving in &street.out {
            match leaving {
                Leaving::State { bytes, .. } => {
                    let seen = seen_of(&from_bytes(bytes).unwrap().0);
                    prop_assert!(seen >= kept || street.health().states_lost > 0);
                    kept = seen;
                }
                Leaving::Forget { .. } => prop_assert!(false, "it was not removed"),
                Leaving::Bundle(_) => prop_assert!(false, "none was asked for"),
                Leaving::Batch(batch) => {
                    let_out += batch.readings.len() as u64;
                }
            }
            prop_assert!(let_out <= kept || street.health().states_lost > 0, "{let_out} let out, {kept} kept");
        }
        // In good weather the end writes the rest, and takes no time.
        street.settle();
        street.flow.close(street.now);
        for _ in 0..200 {
            street.collect();
            if street.flow.is_drained() {
                break;
            }
            if street.questions.is_empty() {
                let wake = street.flow.wake().expect("what is not drained waits for something");
                let time = wake.saturating_duration_since(street.now);
                street.wait(time);
            }
            street.answer(Answer::KeepNone);
        }
        prop_assert!(street.flow.is_drained(), "{:?}", street.flow);
        let instance = street.seen.values().next().copied().unwrap_or_default();
        if instance > 0 && street.health().traps == 0 {
            prop_assert_eq!(street.kept(), Some(instance));
        }
    }

    #[test]
    fn what_is_kept_is_read_as_it_was_and_damage_is_refused(
        version in any::<u32>(),
        data in any::<Vec<u8>>(),
        names in prop::collection::btree_map("[a-z]{1,4}/[a-z]", 0..100u32, 0..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let ids = Ids { inputs: names.clone(), own: names, next: 100 };
        let state = Saved { version, data: data.into() };
        let bytes = to_bytes(&state, &ids);
        prop_assert_eq!(from_bytes(&bytes), Ok((state, ids)));
        prop_assert!(from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        let mut later = bytes.to_vec();
        later[0] += 1;
        prop_assert!(from_bytes(&later).is_err());
    }
}

#[test]
fn what_changes_without_output_is_in_memory_after_a_second_and_written_each_minute() {
    let mut street = Street::new(BTreeMap::new());
    street.settle();
    for _ in 0..120 {
        street.batch(1);
        street.answer(Answer::KeepNone);
        street.wait(Duration::from_millis(500));
        street.settle();
    }
    let written = street.health().states_written;
    assert_eq!((written, street.kept()), (0, None), "nothing in the first minute");
    street.wait(Duration::from_secs(2));
    street.settle();
    assert_eq!((street.health().states_written, street.kept()), (1, Some(120)));
    // A trap costs what the last second brought, no more.
    street.batch(1);
    street.answer(Answer::Trap);
    street.settle();
    assert_eq!(street.seen.values().copied().collect::<Vec<_>>(), [121]);
    // What does not change is not written again.
    let written = street.health().states_written;
    for _ in 0..3 {
        street.wait(EVERY * 2);
        street.settle();
    }
    assert!(street.health().states_written <= written + 1, "{:?}", street.health());
}

#[test]
fn a_run_starts_where_the_last_one_stopped_and_points_keep_their_ids() {
    let mut street = Street::new(BTreeMap::new());
    street.settle();
    street.batch(3);
    street.settle();
    let (states, ids) = (street.states(), street.points.clone());
    assert_eq!(street.kept(), Some(3));

    // It sees one point less, then again all.
    for globs in [&["meter/b"][..], &["meter/*"]] {
        let mut street = Street::of(states.clone(), globs);
        street.settle();
        assert_eq!(street.seen.values().copied().collect::<Vec<_>>(), [3]);
        assert!(street.points.iter().all(|(name, id)| ids[name] == *id), "{:?} and {ids:?}", street.points);
        assert_eq!(street.health().state_bytes, 8);
    }
}

#[test]
fn a_state_that_cannot_be_used_is_left_and_told() {
    let unreadable = [(name("tally"), Arc::from(&b"rubbish"[..]))].into();
    let mut street = Street::new(unreadable);
    street.settle();
    let fault = street.board.health(street.now).faults.remove(0);
    assert_eq!((fault.word, fault.detail.contains("cannot be read")), ("plugin-state", true), "{fault:?}");

    let good: Arc<[u8]> = to_bytes(&saved(5, 0), &Ids::default());
    let mut street = Street::new([(name("tally"), Arc::clone(&good))].into());
    let Some(ToHost::Load(load)) = street.questions.pop() else { panic!("it is to be loaded") };
    assert_eq!(load.state, Some(saved(5, 0)));
    street.points.insert("total".to_owned(), load.first_own);
    street.hear(FromHost::Unrestored { slot: load.slot, text: "found 5, expected 6".to_owned() });
    let Some(ToHost::Reset { state: None, .. }) = street.questions.first() else { panic!("{:?}", street.questions) };
    street.settle();
    let fault = street.board.health(street.now).faults.remove(0);
    assert_eq!((fault.word, fault.detail.contains("found 5, expected 6")), ("plugin-state", true), "{fault:?}");
    assert_eq!(street.health().states_lost, 1);
}

#[test]
fn a_state_that_kills_its_plugin_is_given_up_after_some_tries() {
    const POISON: u64 = 1_000_000;
    let poison: Arc<[u8]> = to_bytes(&saved(POISON, 0), &Ids::default());
    let mut street = Street::new([(name("tally"), poison)].into());
    street.answer(Answer::KeepAll);
    for _ in 0..50 {
        street.batch(1);
        // Who remembers traps.
        while !street.questions.is_empty() {
            let remembers = street.seen.values().any(|seen| *seen >= POISON);
            let is_batch = matches!(street.questions[0], ToHost::Process { .. });
            street.answer(if remembers && is_batch { Answer::Trap } else { Answer::KeepAll });
        }
        street.wait(Duration::from_secs(31));
    }
    assert_eq!((street.health().states_lost, street.health().traps), (1, 8));
    assert!((40..POISON).contains(&street.kept().unwrap()), "it works without what it remembered: {:?}", street.kept());
}

#[test]
fn an_answer_that_does_not_count_leaves_no_trace_in_what_is_remembered() {
    for answer in [Answer::Forge, Answer::Hide, Answer::Trap] {
        let mut street = Street::new(BTreeMap::new());
        street.settle();
        street.batch(2);
        street.answer(Answer::KeepNone);
        street.batch(3);
        street.answer(answer);
        // It begins anew, sees once more what it had seen, and then the batch again.
        street.settle();
        assert_eq!((street.kept(), street.health().traps), (Some(5), 1), "{answer:?}");
    }
}
