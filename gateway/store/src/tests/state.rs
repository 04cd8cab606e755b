//! What plugins must not forget: beside what they let out, over restarts, damage and torn pages.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Class, Name};
use rusqlite::Connection;
use tokio::time::Instant;

use super::support::{batch, config, deliver, writer};
use crate::writer::Writer;
use crate::{Config, Store};

/// Far beyond any test: nothing is late.
const NEVER: Duration = Duration::from_secs(3600);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn keep(writer: &mut Writer, plugin: &str, state: &[u8]) {
    writer.queue.keep_state(name(plugin), Some(state.into()), writer.clock.now());
}

/// What the next run would start with.
fn kept(writer: &Writer) -> Vec<(String, Vec<u8>)> {
    let plugins = writer.disk.load().unwrap().plugins;
    plugins.into_iter().map(|(name, state)| (name.to_string(), state.bytes.unwrap().to_vec())).collect()
}

#[test]
fn what_was_let_out_waits_for_the_state_that_it_came_with_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Config { commit_every: NEVER, ..config(folder.path()) });
    let sent = |writer: &mut Writer| -> Vec<String> {
        let messages = writer.next(Class::Data, None, 100, usize::MAX).unwrap().messages;
        messages.iter().filter(|message| message.readings > 0).map(|message| message.stream.to_string()).collect()
    };
    let now = writer.clock.now();
    writer.queue.append(&batch("meter", &writer.clock, [1]), now);
    // The newest counts: a busy plugin is one commit, not many.
    for n in 0..20 {
        keep(&mut writer, "tally", format!("{n}").as_bytes());
        writer.queue.append(&batch("tally.count", &writer.clock, [n]), now);
    }
    let commits = writer.commits;
    assert_eq!((sent(&mut writer), writer.commits), (vec!["meter".to_owned()], commits));
    writer.commit();
    assert_eq!((writer.commits, kept(&writer)), (commits + 1, vec![("tally".into(), b"19".to_vec())]));
    assert_eq!(sent(&mut writer).len(), 21);
    // An alarm waits for nobody: it takes the state along.
    keep(&mut writer, "tally", b"20");
    let alarm = Batch { class: Class::Alarm, ..batch("watch.alarm", &writer.clock, [1]) };
    writer.queue.append(&alarm, now);
    let messages = writer.next(Class::Alarm, None, 10, usize::MAX).unwrap().messages;
    assert_eq!((messages.len(), kept(&writer)), (1, vec![("tally".into(), b"20".to_vec())]));
}

#[test]
fn a_deletion_leaves_it_in_memory_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Config { commit_every: NEVER, ..config(folder.path()) });
    let messages = writer.next(Class::Data, None, 10, usize::MAX).unwrap().messages;
    deliver(&mut writer, &messages);
    keep(&mut writer, "tally", b"1");
    let commits = writer.commits;
    writer.act(Instant::now() + Duration::from_secs(10));
    assert_eq!((writer.commits, kept(&writer)), (commits + 1, vec![]));
    writer.commit();
    assert_eq!(kept(&writer), [("tally".into(), b"1".to_vec())]);
}

#[tokio::test]
async fn state_alone_is_written_when_its_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(Config { commit_every: Duration::from_millis(30), ..config(folder.path()) }).unwrap();
    let clock = curb_model::HubClock::starting_at(opened.hub_time);
    let store = opened.begin(clock).unwrap();
    store.sync().await.unwrap();
    let commits = store.health().commits;
    store.keep_state(name("tally"), b"1"[..].into()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while store.health().commits == commits {
        assert!(Instant::now() < until, "{:?}", store.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.close().await;
}

#[tokio::test]
async fn the_handle_keeps_it_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(config(folder.path())).unwrap();
    assert!(opened.states.is_empty());
    let clock = curb_model::HubClock::starting_at(opened.hub_time);
    let store = opened.begin(clock).unwrap();
    for state in ["1", "2", "3"] {
        store.keep_state(name("tally"), state.as_bytes().into()).await.unwrap();
    }
    store.end_run().await.unwrap();
    assert!(store.keep_state(name("tally"), b"late"[..].into()).await.is_err());
    store.close().await;
    let states = Store::open(config(folder.path())).unwrap().states;
    assert_eq!(states, [(name("tally"), Arc::from(&b"3"[..]))].into());
}

#[test]
fn a_damaged_queue_costs_no_plugin_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&config(folder.path()));
    keep(&mut writer, "tally", b"10");
    writer.commit();
    keep(&mut writer, "crowd", b"20");
    // The file is found to be damaged while it is in use: it is moved aside, and the next one has all of it.
    writer.failed(&crate::disk::Error::Nonsense { what: "page" });
    writer.commit();
    assert_eq!(kept(&writer), [("crowd".into(), b"20".to_vec()), ("tally".into(), b"10".to_vec())]);
    writer.disk.close().unwrap();

    // And at the start, as far as it can be read.
    let file = folder.path().join("queue.db");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("update stream set name = 'no name of ours'").unwrap();
    connection.close().unwrap();
    let opened = Store::open(config(folder.path())).unwrap();
    assert!(opened.damaged.is_some());
    assert_eq!(opened.states.len(), 2);
    let (mut writer, _) = opened.into_writer(curb_model::HubClock::starting_at(curb_model::HubTime::ZERO));
    writer.begin(None);
    assert_eq!(kept(&writer).len(), 2);
}

#[test]
fn a_state_that_is_not_what_was_written_is_not_used_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = writer(&config(folder.path()));
    keep(&mut first, "tally", b"10");
    keep(&mut first, "crowd", b"20");
    first.commit();
    first.disk.close().unwrap();
    let connection = Connection::open(folder.path().join("queue.db")).unwrap();
    connection.execute_batch("update plugin set state = x'3131' where name = 'tally'").unwrap();
    connection.close().unwrap();
    let opened = Store::open(config(folder.path())).unwrap();
    assert_eq!(opened.states.keys().map(Name::as_str).collect::<Vec<_>>(), ["crowd"]);
    assert_eq!(opened.damaged, None, "the queue is well");
    let (writer, _) = opened.into_writer(curb_model::HubClock::starting_at(curb_model::HubTime::ZERO));
    assert!(writer.faults["damaged"].detail.contains("tally"), "{:?}", writer.faults);
}

#[test]
fn a_file_of_the_first_days_gets_the_table_and_old_plugins_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = writer(&config(folder.path()));
    first.disk.close().unwrap();
    let connection = Connection::open(folder.path().join("queue.db")).unwrap();
    connection.execute_batch("drop table plugin").unwrap();
    connection.close().unwrap();
    let mut writer = writer(&config(folder.path()));
    assert!(writer.faults.is_empty(), "{:?}", writer.faults);
    for n in 0..70 {
        keep(&mut writer, &format!("p{n:02}"), b"x");
        writer.commit();
    }
    let kept: Vec<String> = kept(&writer).into_iter().map(|(name, _)| name).collect();
    assert_eq!((kept.len(), kept[0].as_str()), (64, "p06"));
}
