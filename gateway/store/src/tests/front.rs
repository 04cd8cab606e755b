//! The handle, its thread, and the run records.

use std::time::Duration;

use curb_model::{Batch, Class, HubClock, Lane, Message, RunId};
use curb_wire::command::{Audit, AuditRecord, Origin, Outcome, Proof};
use curb_wire::record::{ClockEvent, Document as _, RunEvent, RunRecord};
use tokio::time::{Instant, timeout};

use super::support::{Core, OFFSET, at, batch, config, stream};
use crate::{Closed, Config, Error, Store};

const DEADLINE: Duration = Duration::from_secs(20);

fn open(config: &Config) -> (Store, HubClock) {
    let opened = Store::open(config.clone()).unwrap();
    let clock = HubClock::starting_at(opened.hub_time);
    (opened.begin(clock.clone()).unwrap(), clock)
}

async fn all(store: &Store) -> Vec<Message> {
    store.next(Class::Data, None, 10_000, usize::MAX).await.unwrap().messages
}

fn names(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| format!("{} {}", message.stream, message.seq)).collect()
}

#[tokio::test]
async fn synced_messages_are_there_after_a_cut_and_the_core_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    store.append(batch("meter", &clock, [1, 2])).await.unwrap();
    store.append(batch("lamp", &clock, [3])).await.unwrap();
    store.sync().await.unwrap();
    assert_eq!(names(&all(&store).await), ["_run 1", "meter 1", "lamp 1"]);
    assert_eq!(store.health().readings_waiting, 3);
    let first = store.run();
    drop(store);

    let (store, _) = open(&config(folder.path()));
    store.sync().await.unwrap();
    let messages = all(&store).await;
    assert_eq!(names(&messages), ["_run 1", "meter 1", "lamp 1", "_run 1"]);
    let opened = RunRecord::decode(&messages[3].payload).unwrap();
    let previous = opened.previous.unwrap();
    assert_eq!((opened.event, previous.run, previous.clean), (RunEvent::Opened, first, false));
    assert_eq!((previous.streams["meter"].seq, previous.streams["meter"].read), (1, 2));
    assert_eq!(store.health().rows, 4);
    store.close().await;
}

#[tokio::test]
async fn an_audit_record_is_durable_when_the_call_returns() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    let outcome = Outcome { point: None, value: None, result: Ok(Proof::ReadBack), time_ms: None };
    let correlation = Some(vec![7]);
    let audit = Audit { ht: clock.now(), origin: Origin::Core, command: "write".to_owned(), correlation, outcome };
    store.append(batch("meter", &clock, [1])).await.unwrap();
    store.audit(audit.clone()).await.unwrap();
    store.audit(audit.clone()).await.unwrap();
    drop(store);

    let (store, _) = open(&config(folder.path()));
    store.sync().await.unwrap();
    let messages = all(&store).await;
    assert_eq!(names(&messages), ["_run 1", "meter 1", "_audit 1", "_audit 2", "_run 1"]);
    assert_eq!((messages[2].lane, messages[2].readings), (Lane::Audit, 0));
    let record = AuditRecord::decode(&messages[2].payload).unwrap();
    assert_eq!((record.id.stream.as_str(), record.id.seq, record.audit), ("_audit", 1, audit));
    let previous = RunRecord::decode(&messages[4].payload).unwrap().previous.unwrap();
    assert_eq!(previous.streams["_audit"].seq, 2, "the next run tells the core how many there were");
    store.close().await;
}

#[tokio::test]
async fn ended_run_is_clean_and_can_still_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    store.append(batch("meter", &clock, [1])).await.unwrap();
    store.end_run().await.unwrap();
    assert_eq!(store.append(batch("meter", &clock, [2])).await, Err(Closed));
    let messages = all(&store).await;
    assert_eq!(names(&messages), ["_run 1", "meter 1", "_run 2"]);
    let closed = RunRecord::decode(&messages[2].payload).unwrap();
    assert_eq!((closed.event, closed.streams["meter"].read), (RunEvent::Closed, 1));
    store.delivered(messages.iter().map(|message| message.row).collect()).await.unwrap();
    store.close().await;
    store.close().await;
    assert_eq!(store.next(Class::Data, None, 1, 1).await, Err(Closed));

    let opened = Store::open(config(folder.path())).unwrap();
    assert!(opened.previous.as_ref().unwrap().clean);
    let (store, _) = (opened.begin(HubClock::starting_at(at(1))).unwrap(), ());
    store.sync().await.unwrap();
    assert_eq!(names(&all(&store).await), ["_run 1"], "deliveries were written at the end");
}

#[tokio::test]
async fn undated_messages_wait_for_the_clock_and_hold_back_their_own_stream_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    let undated = |name, value| Batch { offset: None, ..batch(name, &clock, [value]) };
    store.append(undated("meter", 1)).await.unwrap();
    store.append(batch("lamp", &clock, [2])).await.unwrap();
    store.append(batch("meter", &clock, [3])).await.unwrap();
    store.sync().await.unwrap();
    let before = all(&store).await;
    assert_eq!(names(&before), ["_run 1", "lamp 1"]);
    assert_eq!(store.health().readings_waiting, 3);

    store.clock_record(ClockEvent::Trusted, clock.now(), Some(OFFSET), "ntp").await.unwrap();
    store.release_undated().await.unwrap();
    store.append(undated("lamp", 4)).await.unwrap();
    store.sync().await.unwrap();
    // Behind what was handed out already: a cursor never misses them.
    let after = store.next(Class::Data, before.last().map(|last| last.row), 100, usize::MAX).await.unwrap().messages;
    let mut sorted = names(&after);
    sorted.sort();
    assert_eq!(sorted, ["_clock 1", "lamp 2", "meter 1", "meter 2"]);
    let mut core = Core::default();
    before.iter().chain(&after).for_each(|message| core.accept(message));
}

#[tokio::test]
async fn what_a_run_held_back_for_its_clock_goes_out_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    for value in 0..3 {
        store.append(Batch { offset: None, ..batch("meter", &clock, [value]) }).await.unwrap();
    }
    store.sync().await.unwrap();
    drop(store);
    let (store, _) = open(&config(folder.path()));
    store.sync().await.unwrap();
    assert_eq!(names(&all(&store).await), ["_run 1", "meter 1", "meter 2", "meter 3", "_run 1"]);
}

#[tokio::test]
async fn counters_without_messages_are_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&Config { counts_every: Duration::from_millis(20), ..config(folder.path()) });
    let mut changed = store.changed();
    let mut filtered = batch("meter", &clock, []);
    filtered.counts.read = 5;
    filtered.counts.filtered = 5;
    store.append(filtered).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    let record = loop {
        let messages = all(&store).await;
        let mut records = messages.iter().map(|message| RunRecord::decode(&message.payload).unwrap());
        if let Some(record) = records.find(|record| record.event == RunEvent::Counts) {
            break record;
        }
        tokio::time::timeout_at(deadline, changed.changed()).await.expect("counters are told").unwrap();
    };
    assert_eq!((record.streams["meter"].read, record.streams["meter"].filtered), (5, 5));
}

#[tokio::test]
async fn receipt_deletes_what_the_core_holds_of_that_run_and_stream_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    for value in 0..4 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
        store.append(batch("lamp", &clock, [value])).await.unwrap();
    }
    store.sync().await.unwrap();
    store.receipt(store.run(), stream("meter"), 3).await.unwrap();
    store.receipt(RunId { counter: 9, nonce: 9 }, stream("lamp"), 4).await.unwrap();
    assert_eq!(names(&all(&store).await), ["_run 1", "lamp 1", "lamp 2", "lamp 3", "meter 4", "lamp 4"]);
}

#[tokio::test]
async fn one_receipt_covers_a_long_outage() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    for value in 0..3_000 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
    }
    store.sync().await.unwrap();
    store.receipt(store.run(), stream("meter"), 2_999).await.unwrap();
    assert_eq!(names(&all(&store).await), ["_run 1", "meter 3000"]);
}

#[tokio::test]
async fn refused_data_goes_aside_and_refused_records_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    store.append(batch("meter", &clock, [1, 2])).await.unwrap();
    store.sync().await.unwrap();
    let messages = all(&store).await;
    for message in &messages {
        store.set_aside(message.row, 0x99).await.unwrap();
    }
    let after = all(&store).await;
    store.sync().await.unwrap();
    let health = store.health();
    assert_eq!((health.aside, health.readings_waiting), (1, 0));
    assert_eq!(health.gaps.values().sum::<u64>(), 2);
    assert!(health.faults.iter().any(|fault| fault.word == "record-refused"));
    assert_eq!(names(&after)[..1], ["_run 1"]);
    assert_eq!(names(&all(&store).await), ["_run 1", "_gap 1"]);
}

#[tokio::test]
async fn next_keeps_its_bounds_and_gives_at_least_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    for value in 0..10 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
    }
    store.sync().await.unwrap();
    let messages = all(&store).await;
    let count =
        async |rows, bytes| store.next(Class::Data, Some(messages[0].row), rows, bytes).await.unwrap().messages.len();
    assert_eq!(count(3, usize::MAX).await, 3);
    assert_eq!(count(100, 1).await, 1);
    assert_eq!(count(100, messages[1].payload.len() * 2).await, 2);
    assert_eq!(count(100, usize::MAX).await, 10);
    assert!(
        store
            .next(Class::Data, messages.last().map(|last| last.row), 100, usize::MAX)
            .await
            .unwrap()
            .messages
            .is_empty()
    );
}

#[tokio::test]
async fn second_daemon_is_told_that_the_queue_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(folder.path()));
    store.sync().await.unwrap();
    assert!(matches!(Store::open(config(folder.path())), Err(Error::Locked { .. })));
    assert_eq!(names(&all(&store).await), ["_run 1"], "and nothing was moved aside");
}

#[tokio::test]
async fn many_tasks_may_append_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&config(folder.path()));
    let mut tasks = tokio::task::JoinSet::new();
    for name in ["a", "b", "c", "d"] {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.spawn(async move {
            for value in 0..250 {
                store.append(batch(name, &clock, [value])).await.unwrap();
            }
        });
    }
    timeout(DEADLINE, tasks.join_all()).await.unwrap();
    store.end_run().await.unwrap();
    let mut core = Core::default();
    all(&store).await.iter().for_each(|message| core.accept(message));
    core.check_closes();
    assert_eq!(core.delivered(), 1_000);
    assert!(store.health().commits < 1_000, "what waits goes into one commit");
}
