//! A plugin is loaded once its component is compiled, once, and only if it is still wanted.

use std::collections::BTreeMap;

use curb_model::{Batch, Class, HubClock, HubTime, Reading, Sample, Stream, Value};
use tokio::time::Instant;

use super::state::{Street, part};
use super::{name, point};
use crate::flow::Flow;
use crate::health::{Board, PluginState};
use crate::leaving::Leaving;
use crate::link::{ToHost, take_frame};

struct Bench {
    flow: Flow,
    board: Board,
    now: Instant,
}

impl Bench {
    /// A host is up, and the plugin's component is to be compiled.
    fn new() -> Self {
        let (clock, board, now) = (HubClock::starting_at(HubTime::ZERO), Board::default(), Instant::now());
        let mut flow = Flow::new(clock, board.clone(), BTreeMap::new());
        flow.configure(vec![part(&["meter/*"])], &Street::known(), now);
        flow.host_started(now);
        Self { flow, board, now }
    }

    /// What was asked for, and is not any more.
    fn asked(&mut self) -> Vec<u32> {
        self.flow.to_compile.drain(..).map(|(slot, _)| slot).collect()
    }

    fn compiled(&mut self, slot: u32, code: Result<Vec<u8>, String>) {
        self.flow.compiled(slot, code, self.now);
    }

    /// The code of each load that was sent.
    fn loads(&mut self) -> Vec<Vec<u8>> {
        let mut loads = Vec::new();
        while let Some(question) = take_frame::<ToHost>(&mut self.flow.to_host).unwrap() {
            if let ToHost::Load(load) = question {
                loads.push(load.code);
            }
        }
        loads
    }

    fn state(&self) -> PluginState {
        self.board.lock().plugins[&name("tally")].health.state
    }
}

#[test]
fn a_host_that_dies_meanwhile_is_told_once_what_the_next_one_needs() {
    let mut bench = Bench::new();
    let first = bench.asked();
    assert_eq!((first.len(), bench.loads()), (1, vec![]), "nothing is loaded before it is compiled");
    bench.flow.host_died(bench.now);
    bench.compiled(first[0], Ok(vec![1]));
    assert_eq!(bench.loads(), Vec::<Vec<u8>>::new(), "there is no host");
    bench.flow.host_started(bench.now);
    let second = bench.asked();
    bench.compiled(second[0], Ok(vec![2]));
    bench.compiled(second[0], Ok(vec![3]));
    assert_eq!(bench.loads(), [vec![2]]);
    assert_eq!(bench.state(), PluginState::Starting);
}

#[test]
fn what_is_replaced_meanwhile_is_not_loaded() {
    let mut bench = Bench::new();
    let old = bench.asked();
    bench.flow.configure(vec![part(&["meter/a"])], &Street::known(), bench.now);
    let new = bench.asked();
    assert_ne!(old, new);
    bench.compiled(old[0], Ok(vec![1]));
    assert_eq!(bench.loads(), Vec::<Vec<u8>>::new());
    bench.compiled(new[0], Ok(vec![2]));
    assert_eq!(bench.loads(), [vec![2]]);
}

#[test]
fn what_cannot_be_compiled_is_told_and_holds_nobody_up() {
    let mut bench = Bench::new();
    let slot = bench.asked()[0];
    let reading = Reading { point: point("meter/a"), at: HubTime::ZERO, sample: Sample::Good(Value::Bool(true)) };
    let batch = Batch::read(Stream::device(&name("meter")), Class::Data, None, vec![reading]);
    bench.flow.take_in(batch, bench.now);
    assert!(bench.flow.outbox.is_empty(), "it waits");
    bench.compiled(slot, Err("compiling it took longer than 30s (compile_time)".to_owned()));
    assert_eq!(bench.state(), PluginState::Failed);
    let trouble = bench.board.health(bench.now).faults;
    assert!(trouble.iter().any(|f| f.word == "plugin-failed" && f.detail.contains("compile_time")), "{trouble:?}");
    let Some(Leaving::Batch(batch)) = bench.flow.outbox.pop_front() else { panic!("it goes on") };
    assert!(batch.closes() && batch.dropped.len() == 1, "as on_failure says: {batch:?}");
}
