//! An outage of any length: the queue goes round within its limit, in the same memory, and every reading is accounted for.
//!
//! In the suite it is half an hour of a street hub; `CURB_OUTAGE_HOURS=72 cargo nextest run --workspace -E "test(outage::)"` is the
//! weekend.

use std::fs;

use curb_model::{GapReason, HubClock};

use super::support::{batch, config};
use crate::{Config, Store};

/// Six devices with 20 points, read each second.
const STREAMS: [&str; 6] = ["meter", "lamp", "air", "bin", "bench", "kiosk"];
const POINTS: u64 = 20;

/// What a queue that goes round may take more after hours: SQLite's cache fills, the allocator keeps what it had once.
const GROWTH_MAX: u64 = 2 << 20;

fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn an_outage_takes_no_more_memory_for_being_longer() {
    let hours: f64 = std::env::var("CURB_OUTAGE_HOURS").map_or(0.5, |hours| hours.parse().unwrap());
    let seconds = (hours * 3_600.0).round();
    let folder = tempfile::tempdir().unwrap();
    // Full after a fifth of it.
    let limit_bytes = (seconds * STREAMS.len() as f64 * 1_000.0 / 5.0).round();
    let limit_bytes = format!("{limit_bytes}").parse::<u64>().unwrap().clamp(1 << 20, 256 << 20);
    let opened = Store::open(Config { limit_bytes, ..config(folder.path()) }).unwrap();
    let clock = HubClock::starting_at(opened.hub_time);
    let store = opened.begin(clock.clone()).unwrap();
    let (mut appended, mut first_round) = (0, None);
    let rounds = format!("{seconds}").parse::<u64>().unwrap();
    for round in 0..rounds {
        for name in STREAMS {
            let first = round * POINTS;
            store.append(batch(name, &clock, first..first + POINTS)).await.unwrap();
            appended += POINTS;
        }
        if round == rounds / 2 {
            store.sync().await.unwrap();
            first_round = Some(resident());
        }
    }
    store.sync().await.unwrap();
    let grown = resident().saturating_sub(first_round.unwrap());
    let health = store.health();
    let lost = health.gaps[&GapReason::Full];
    println!("{hours} h: {appended} readings, {lost} lost, {} bytes wait, memory grew by {grown}", health.bytes);
    assert!(health.bytes <= limit_bytes, "{} bytes wait", health.bytes);
    assert!(lost > appended / 4, "the queue went round: {lost} of {appended}");
    assert_eq!(appended, health.readings_waiting + lost);
    assert!(grown <= GROWTH_MAX, "{grown} bytes more in the second half");
    store.close().await;
}
