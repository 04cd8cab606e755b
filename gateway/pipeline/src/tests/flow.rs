//! Whatever plugins and their host do, and in whatever order: every batch comes out once, in the order of its stream, and
//! closes.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Class, Glob, HubClock, HubTime, PointSet, Reading, Sample, Stream, Value};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{name, point};
use crate::chain::Emission;
use crate::columns::Columns;
use crate::config::{Limits, OnFailure, PluginConfig};
use crate::flow::{Flow, HostVerdict, Part};
use crate::health::{Board, PluginState};
use crate::leaving::Leaving;
use crate::link::{FromHost, Slot, ToHost, take_frame};
use crate::stage::rest;

#[derive(Debug, Clone)]
enum Step {
    /// A batch of this many readings, on the stream of this number.
    Batch(usize, usize),
    /// The host answers its oldest question like this.
    Answer(Answer),
    Die,
    /// The host says this of the plugin in this slot without having been asked.
    Stray(Slot, Answer),
    /// Milliseconds go by.
    Wait(u64),
    /// Another configuration: which of the plugins are in it.
    Configure(bool, bool),
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    KeepAll,
    KeepNone,
    Forge,
    Decline,
    Trap,
    Refuse,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        6 => Just(Answer::KeepAll),
        2 => Just(Answer::KeepNone),
        1 => Just(Answer::Forge),
        1 => Just(Answer::Decline),
        2 => Just(Answer::Trap),
        1 => Just(Answer::Refuse),
    ]
    .boxed();
    let step = prop_oneof![
        6 => (0..3usize, 0..6usize).prop_map(|(stream, rows)| Step::Batch(stream, rows)),
        12 => answer.clone().prop_map(Step::Answer),
        1 => (0..4u32, answer).prop_map(|(slot, answer)| Step::Stray(slot, answer)),
        1 => Just(Step::Die),
        2 => (0..5_000u64).prop_map(Step::Wait),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Step::Configure(a, b)),
    ];
    prop::collection::vec(step, 0..80)
}

const STREAMS: [&str; 3] = ["meter", "air", "lamp"];

/// `first` sees everything of meter and air, `second` of meter and lamp.
fn parts(policies: [OnFailure; 2], first: bool, second: bool) -> Vec<Part> {
    let part = |text: &str, globs: [&str; 2], on_failure| Part {
        config: PluginConfig {
            name: name(text),
            component: PathBuf::new(),
            points: globs.map(|glob| Glob::parse(glob).unwrap()).to_vec(),
            settings: serde_json::Value::Null,
            seed: Vec::new(),
            engine: crate::config::Engine::default(),
            on_failure,
            limits: Limits::default(),
        },
        component: Ok(Arc::from([])),
    };
    let mut parts = Vec::new();
    if first {
        parts.push(part("first", ["meter/*", "air/*"], policies[0]));
    }
    if second {
        parts.push(part("second", ["meter/a", "lamp/*"], policies[1]));
    }
    parts
}

/// A host that answers when it is told to.
struct Street {
    board: Board,
    flow: Flow,
    now: Instant,
    points: PointSet,
    questions: Vec<ToHost>,
    /// Batches that came out, and readings that went in.
    out: Vec<Batch>,
    made: HashMap<&'static str, i64>,
    policies: [OnFailure; 2],
}

impl Street {
    fn new(policies: [OnFailure; 2]) -> Self {
        let names = STREAMS.iter().flat_map(|device| ["a", "b"].map(|p| format!("{device}/{p}")));
        let points: PointSet = names.map(|name| point(&name)).collect();
        let clock = HubClock::starting_at(HubTime::ZERO);
        let board = Board::default();
        let mut flow = Flow::new(clock, board.clone(), BTreeMap::new());
        let now = Instant::now();
        flow.configure(parts(policies, true, true), &points, now);
        flow.host_started(now);
        Self { board, flow, now, points, questions: Vec::new(), out: Vec::new(), made: HashMap::new(), policies }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Batch(stream, rows) => self.batch(STREAMS[*stream], *rows),
            Step::Answer(answer) => self.answer(*answer),
            Step::Die => self.die(),
            Step::Stray(slot, answer) => {
                // One that is owed is no stray.
                if !self.questions.iter().any(|question| slot_of(question) == Some(*slot)) {
                    self.flow.heard(started(*slot, *answer), self.now);
                    self.flow.heard(declined(*slot), self.now);
                    let emission = Box::new(Emission::default());
                    self.flow.heard(FromHost::Done { slot: *slot, emission, metrics: vec![], state: None }, self.now);
                }
            }
            Step::Wait(ms) => {
                self.now += Duration::from_millis(*ms);
                if self.flow.time(self.now) == HostVerdict::Kill {
                    self.die();
                }
            }
            Step::Configure(first, second) => {
                self.flow.configure(parts(self.policies, *first, *second), &self.points, self.now);
            }
        }
        self.collect();
    }

    /// What the flow wants to have done, done.
    fn collect(&mut self) {
        while let Some((slot, _)) = self.flow.to_compile.pop_front() {
            self.flow.compiled(slot, Ok(Vec::new()), self.now);
        }
        while let Some(question) = take_frame::<ToHost>(&mut self.flow.to_host).unwrap() {
            if !matches!(question, ToHost::Unload { .. }) {
                self.questions.push(question);
            }
        }
        self.out.extend(self.flow.outbox.drain(..).map(|leaving| match leaving {
            Leaving::Batch(batch) => batch,
            Leaving::State { .. } | Leaving::Forget { .. } | Leaving::Bundle(_) => {
                panic!("these plugins have no state, and nobody asked for bundles")
            }
        }));
    }

    fn batch(&mut self, device: &'static str, rows: usize) {
        let made = self.made.entry(device).or_default();
        let points = [point(&format!("{device}/a")), point(&format!("{device}/b"))];
        let readings = (0..rows).map(|row| {
            *made += 1;
            let sample = Sample::Good(Value::I64(*made));
            Reading { point: Arc::clone(&points[row % 2]), at: HubTime::from_nanos(*made), sample }
        });
        let batch = Batch::read(Stream::device(&name(device)), Class::Data, None, readings.collect());
        self.flow.take_in(batch, self.now);
    }

    fn answer(&mut self, answer: Answer) {
        if self.questions.is_empty() {
            return;
        }
        let message = match (self.questions.remove(0), answer) {
            (ToHost::Load(load), answer) => started(load.slot, answer),
            (ToHost::Reset { slot, .. }, answer) => started(slot, answer),
            (ToHost::Process { slot, columns, .. }, answer) => {
                let rows = u32::try_from(columns.len()).unwrap();
                let keep = match answer {
                    Answer::KeepAll | Answer::Refuse => (0..rows).collect(),
                    Answer::KeepNone => vec![],
                    Answer::Forge => vec![rows],
                    Answer::Decline => return self.flow.heard(declined(slot), self.now),
                    Answer::Trap => return self.flow.heard(trapped(slot), self.now),
                };
                let emission = Box::new(Emission { keep, ..Emission::default() });
                FromHost::Done { slot, emission, metrics: vec![], state: None }
            }
            (ToHost::Finish { slot, .. }, Answer::Trap) => trapped(slot),
            (ToHost::Finish { slot, .. }, _) => {
                FromHost::Added { slot, added: Columns::default(), metrics: vec![], state: None }
            }
            (ToHost::Unload { .. } | ToHost::Snapshot { .. } | ToHost::Tick { .. }, _) => return,
        };
        self.flow.heard(message, self.now);
    }

    fn die(&mut self) {
        self.collect();
        self.questions.clear();
        self.flow.host_died(self.now);
        self.flow.host_started(self.now);
    }

    fn any_failed(&self) -> bool {
        self.board.lock().plugins.values().any(|plugin| plugin.health.state == PluginState::Failed)
    }

    /// From now on the host answers as it should, and time goes by.
    fn calm(&mut self) {
        for _ in 0..2_000 {
            self.collect();
            if self.questions.is_empty() {
                let Some(wake) = self.flow.wake() else { return };
                self.now = self.now.max(wake);
                assert_eq!(self.flow.time(self.now), HostVerdict::GoOn);
            } else {
                self.answer(Answer::KeepAll);
            }
        }
        panic!("never calm: {:?}", self.flow);
    }

    /// The input ends, and the host answers no more.
    fn close(&mut self) {
        self.flow.close(self.now);
        for _ in 0..100 {
            self.collect();
            if self.flow.is_drained() {
                return;
            }
            self.now = self.now.max(self.flow.wake().expect("what is not drained waits for something"));
            if self.flow.time(self.now) == HostVerdict::Kill {
                self.die();
            }
        }
        panic!("never drained: {:?}", self.flow);
    }
}

fn slot_of(question: &ToHost) -> Option<Slot> {
    match question {
        ToHost::Load(load) => Some(load.slot),
        ToHost::Reset { slot, .. }
        | ToHost::Process { slot, .. }
        | ToHost::Tick { slot, .. }
        | ToHost::Finish { slot, .. }
        | ToHost::Snapshot { slot } => Some(*slot),
        ToHost::Unload { .. } => None,
    }
}

fn started(slot: Slot, answer: Answer) -> FromHost {
    match answer {
        Answer::Trap => trapped(slot),
        Answer::Refuse => FromHost::Refused { slot, refusal: crate::link::Refusal::Settings, text: "no".to_owned() },
        Answer::KeepAll | Answer::KeepNone | Answer::Forge | Answer::Decline => {
            FromHost::Ready { slot, declared: vec![], stateful: false, tick_ms: 0 }
        }
    }
}

fn declined(slot: Slot) -> FromHost {
    FromHost::Declined { slot, text: "no".to_owned() }
}

fn trapped(slot: Slot) -> FromHost {
    FromHost::Trapped { slot, text: "unreachable".to_owned() }
}

fn policies() -> impl Strategy<Value = OnFailure> {
    prop::sample::select(vec![OnFailure::Pass, OnFailure::Drop, OnFailure::Hold])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_reading_comes_out_once_in_order_or_is_counted(steps in steps(), policies in [policies(), policies()]) {
        let mut street = Street::new(policies);
        for step in &steps {
            street.step(step);
        }
        street.close();
        for (device, made) in &street.made {
            let batches: Vec<&Batch> = street.out.iter().filter(|batch| batch.stream.as_str() == *device).collect();
            prop_assert!(batches.iter().all(|batch| batch.closes()));
            prop_assert_eq!(batches.iter().map(|batch| batch.counts.read).sum::<u64>(), u64::try_from(*made).unwrap());
            let times: Vec<HubTime> = batches.iter().flat_map(|batch| batch.readings.iter().map(|r| r.at)).collect();
            prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{device}: {times:?}");
            // Nobody may lose what the operator lets pass.
            if policies == [OnFailure::Pass; 2] {
                prop_assert!(batches.iter().all(|batch| batch.dropped.is_empty()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_batch_is_forgotten_once_all_is_well_again(steps in steps(), policies in [policies(), policies()]) {
        // Who has failed for good may hold what is his for good.
        let refused = |step: &Step| matches!(step, Step::Answer(Answer::Refuse) | Step::Stray(_, Answer::Refuse));
        let mut street = Street::new(policies);
        let mut sent = 0;
        for step in steps.iter().filter(|step| !refused(step)) {
            sent += usize::from(matches!(step, Step::Batch(..)));
            street.step(step);
        }
        street.calm();
        if !street.any_failed() {
            prop_assert_eq!(street.out.len(), sent);
        }
    }
}

#[test]
fn a_stream_that_nobody_sees_is_never_held_up() {
    let mut street = Street::new([OnFailure::Hold; 2]);
    street.flow.configure(parts([OnFailure::Hold; 2], true, false), &street.points, street.now);
    for _ in 0..3 {
        street.step(&Step::Batch(2, 4));
        street.step(&Step::Batch(0, 4));
    }
    assert_eq!(street.out.iter().map(|batch| batch.stream.as_str()).collect::<Vec<_>>(), ["lamp"; 3]);
}

#[test]
fn a_held_stream_is_bounded_and_says_what_it_lost() {
    let mut street = Street::new([OnFailure::Hold; 2]);
    street.step(&Step::Answer(Answer::Refuse));
    let batches = crate::HOLD_READINGS / 5 + 10;
    for _ in 0..batches {
        street.step(&Step::Batch(1, 5));
    }
    assert!(street.out.len() >= 9, "{} came out", street.out.len());
    assert!(street.out.iter().all(|batch| batch.closes() && batch.readings.is_empty() && batch.dropped.len() == 1));
}

#[test]
fn rests_double_and_end() {
    let ms: Vec<Option<u128>> = (0..4).map(|n| rest(n).map(|rest| rest.as_millis())).collect();
    assert_eq!(ms, [None, None, Some(100), Some(200)]);
    assert_eq!(rest(u32::MAX), Some(Duration::from_secs(30)));
}
