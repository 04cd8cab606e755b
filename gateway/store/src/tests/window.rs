//! What is in memory only: for how long, and what it costs and spares.

use std::time::Duration;

use curb_model::{Batch, Class, Lane};
use tokio::time::{Instant, timeout};

use super::support::{Core, batch, config, deliver, drain, settle, writer};
use crate::{Config, Store};

const DEADLINE: Duration = Duration::from_secs(20);

/// Far beyond any test: nothing is late.
const NEVER: Duration = Duration::from_secs(3600);

fn open(config: &Config) -> (Store, curb_model::HubClock) {
    let opened = Store::open(config.clone()).unwrap();
    let clock = curb_model::HubClock::starting_at(opened.hub_time);
    (opened.begin(clock.clone()).unwrap(), clock)
}

/// Waits until the writer has committed more than `commits` times.
async fn committed(store: &Store, commits: u64) {
    let until = Instant::now() + DEADLINE;
    while store.health().commits <= commits {
        assert!(Instant::now() < until, "{:?}", store.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that waits is delivered, and what was on disk is deleted.
async fn deliver_all(store: &Store) {
    let messages = store.next(Class::Data, None, 1_000, usize::MAX).await.unwrap().messages;
    store.delivered(messages.iter().map(|message| message.row).collect()).await.unwrap();
}

#[tokio::test]
async fn what_is_delivered_in_time_is_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&Config { commit_every: NEVER, ..config(folder.path()) });
    store.sync().await.unwrap();
    deliver_all(&store).await;
    committed(&store, 1).await;
    let before = store.health();

    for value in 0..200 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
        let mut changed = store.changed();
        let messages = loop {
            let messages = store.next(Class::Data, None, 10, usize::MAX).await.unwrap().messages;
            if !messages.is_empty() {
                break messages;
            }
            timeout(DEADLINE, changed.changed()).await.unwrap().unwrap();
        };
        assert_eq!((messages.len(), messages[0].seq), (1, value + 1));
        store.delivered(vec![messages[0].row]).await.unwrap();
    }
    assert!(store.next(Class::Data, None, 10, usize::MAX).await.unwrap().messages.is_empty());
    let after = store.health();
    assert_eq!((after.commits, after.payload_bytes), (before.commits, before.payload_bytes));
    assert_eq!((after.rows, after.readings_waiting, after.oldest), (0, 0, None));

    // The counters of the run are in its last record.
    store.end_run().await.unwrap();
    store.close().await;
    let previous = Store::open(config(folder.path())).unwrap().previous.unwrap();
    assert_eq!((previous.clean, previous.streams["meter"].seq, previous.streams["meter"].read), (true, 200, 200));
}

#[tokio::test]
async fn what_is_not_delivered_in_time_is_on_disk_and_survives_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&Config { commit_every: Duration::from_millis(50), ..config(folder.path()) });
    store.sync().await.unwrap();
    let commits = store.health().commits;
    for value in 0..3 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
    }
    committed(&store, commits).await;
    // The file as a power cut would leave it.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let mut writer = writer(&config(copy.path()));
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    assert_eq!(core.delivered(), 3);
}

#[tokio::test]
async fn a_full_memory_is_written_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&Config { commit_every: NEVER, commit_bytes: 4_096, ..config(folder.path()) });
    store.sync().await.unwrap();
    let commits = store.health().commits;
    for value in 0..40 {
        store.append(batch("meter", &clock, [value])).await.unwrap();
    }
    committed(&store, commits).await;
    assert!(store.health().payload_bytes > 0);
}

#[tokio::test]
async fn without_a_window_everything_is_written_first() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = open(&Config { commit_every: Duration::ZERO, ..config(folder.path()) });
    store.sync().await.unwrap();
    let commits = store.health().commits;
    store.append(batch("meter", &clock, [1])).await.unwrap();
    committed(&store, commits).await;
}

#[test]
fn an_alarm_is_on_disk_before_it_is_sent_and_takes_the_data_before_it_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Config { commit_every: NEVER, ..config(folder.path()) });
    let now = writer.clock.now();
    writer.queue.append(&batch("meter", &writer.clock, [1]), now);
    assert!(!writer.queue.changes.is_urgent());
    let alarm = Batch { class: Class::Alarm, ..batch("meter.alarm", &writer.clock, [2]) };
    writer.queue.append(&alarm, now);
    assert!(writer.queue.changes.is_urgent());
    let commits = writer.commits;
    let messages = writer.next(Class::Alarm, None, 10, usize::MAX).unwrap().messages;
    let lanes: Vec<Lane> = messages.iter().map(|message| message.lane).collect();
    assert_eq!((lanes, writer.commits), (vec![Lane::Alarm], commits + 1));
    assert!(writer.queue.changes.rows.is_empty());
}

#[test]
fn deleting_what_was_delivered_leaves_the_memory_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Config { commit_every: NEVER, ..config(folder.path()) });
    let messages = writer.next(Class::Data, None, 10, usize::MAX).unwrap().messages;
    deliver(&mut writer, &messages);
    writer.queue.append(&batch("meter", &writer.clock, [1]), writer.clock.now());
    writer.act(Instant::now() + Duration::from_secs(10));
    assert_eq!((writer.queue.changes.gone.len(), writer.queue.changes.rows.len()), (0, 1));
    assert!(writer.drained, "the file holds nothing");
    let messages = writer.next(Class::Data, None, 10, usize::MAX).unwrap().messages;
    assert_eq!((messages.len(), messages[0].stream.as_str()), (1, "meter"));
}

#[test]
fn a_hub_whose_disk_refuses_delivers_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Config { commit_every: Duration::ZERO, ..config(folder.path()) });
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    writer.disk.limit_growth(Some(0));
    writer.disk.release_reserve();
    for round in 0..20 {
        writer.queue.append(&batch("meter", &writer.clock, round * 4_000..(round + 1) * 4_000), writer.clock.now());
        writer.commit();
        assert!(writer.faults.contains_key("disk-full"), "a message larger than the room in the file");
        let messages = writer.next(Class::Data, None, 10, usize::MAX).unwrap().messages;
        messages.iter().for_each(|message| core.accept(message));
        deliver(&mut writer, &messages);
    }
    assert_eq!((core.delivered(), core.duplicates), (80_000, 0));
    writer.disk.limit_growth(None);
    settle(&mut writer, &mut core);
}
