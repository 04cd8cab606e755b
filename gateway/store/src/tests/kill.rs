//! SIGKILL: only what was not synced may be lost.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use curb_model::{Class, HubClock};

use super::support::{Core, batch, config, drain, end_run, writer};
use crate::Store;

const FOLDER: &str = "CURB_STORE_KILL_FOLDER";

/// The child: appends and syncs until it is killed, and says how far it is. Does nothing when it is run as a test.
#[tokio::test]
async fn child_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let opened = Store::open(config(folder.as_ref())).unwrap();
    let clock = HubClock::starting_at(opened.hub_time);
    let store = opened.begin(clock.clone()).unwrap();
    for round in 1.. {
        for name in ["meter", "lamp"] {
            store.append(batch(name, &clock, [round, round])).await.unwrap();
        }
        if round % 3 == 0 {
            store.sync().await.unwrap();
            println!("\nsynced {round}");
        }
        // The uplink takes some away, so that deletions are under way as well.
        if round % 7 == 0 {
            let messages = store.next(Class::Data, None, 2, usize::MAX).await.unwrap().messages;
            let rows = messages.iter().filter(|message| message.readings == 0).map(|message| message.row);
            store.delivered(rows.collect()).await.unwrap();
        }
    }
}

#[test]
fn kill_loses_only_what_was_not_synced() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut synced = Vec::new();
    for kill in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::kill::child_appends_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed at another moment each time, between the syncs or within one.
        let until = Instant::now() + Duration::from_millis(40 + 17 * kill);
        let mut last = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            last = line.strip_prefix("synced ").map_or(last, |round| round.parse::<u64>().unwrap());
            if last > 0 && Instant::now() >= until {
                child.kill().unwrap();
                break;
            }
        }
        child.kill().ok();
        child.wait().unwrap();
        assert!(last > 0, "the child synced nothing");
        synced.push(last);
    }

    let mut writer = writer(&config);
    assert!(writer.faults.is_empty(), "{:?}", writer.faults);
    end_run(&mut writer);
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    let mut runs = core.accounts.keys().map(|(run, _)| run.counter).collect::<Vec<_>>();
    runs.dedup();
    assert_eq!(runs, (1..=9).collect::<Vec<_>>());
    for ((run, stream), account) in core.accounts.iter().filter(|((_, stream), _)| !stream.starts_with('_')) {
        let synced = synced[usize::try_from(run.counter).unwrap() - 1];
        let rounds: Vec<u64> = account.received.values().map(|values| values[0]).collect();
        assert!(rounds.len() as u64 >= synced, "{run} {stream}: {} of {synced}", rounds.len());
        assert_eq!(rounds, (1..=rounds.len() as u64).collect::<Vec<_>>(), "{run} {stream}: in order, nothing invented");
        assert_eq!((account.told.read, account.lost()), (2 * rounds.len() as u64, 0), "{run} {stream}");
    }
}
