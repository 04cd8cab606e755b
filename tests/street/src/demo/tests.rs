//! Promises of the demo: its script, and what a plugin of somebody's own changes.

use std::time::Duration;

use crate::demo::guest::{Guest, without};
use crate::demo::script::{Length, Script, Step};
use crate::device::{Device, Kind, Register, Signal, Table};
use crate::judge::{Account, Ledger, Point};

#[test]
fn a_length_is_long_enough_or_forever() {
    let check = |text: &str, length: Option<Length>| assert_eq!(text.parse().ok(), length, "{text:?}");
    check("forever", Some(Length::Forever));
    check("60", Some(Length::Seconds(60)));
    check("59", None);
    check("", None);
    check("60s", None);
}

/// Plays a script second by second; the hub finds the core again `reconnect` seconds after it is back.
fn play(length: Length, reconnect: u64) -> Vec<(u64, Step)> {
    let mut script = Script::new(length);
    let mut steps = Vec::new();
    for second in 0..300 {
        let connected = !(20..30 + reconnect).contains(&second);
        while let Some(step) = script.due(Duration::from_secs(second), connected) {
            steps.push((second, step));
            if step == Step::End {
                return steps;
            }
        }
    }
    steps
}

#[test]
fn the_hub_is_killed_after_it_has_found_the_core_again() {
    let check = |length, reconnect, kill, end: Option<u64>| {
        let mut expected = vec![(20, Step::CoreGoes), (30, Step::CoreReturns), (kill, Step::Kill)];
        expected.extend(end.map(|end| (end, Step::End)));
        assert_eq!(play(length, reconnect), expected);
    };
    check(Length::default(), 1, 42, Some(60));
    check(Length::default(), 20, 50, Some(65));
    check(Length::default(), 200, 70, Some(85));
    check(Length::Seconds(100), 1, 42, Some(100));
    check(Length::Forever, 1, 42, None);
}

#[test]
fn the_judge_leaves_a_strangers_streams_to_the_ledger_and_nothing_else() {
    let guest =
        |points: &str| Guest { component: "/there/mine.wasm".into(), points: points.to_owned(), settings: None };
    let point = |device: &str| Point::of_device(&Device::new(device).with(coil())).swap_remove(0);
    let points = [point("charger"), point("pump"), point("meter").deadband(0.5)];
    assert!(guest("charger/*").check(&points).is_ok());
    for taken in ["meter/*", "lift/*", "*"] {
        let error = guest(taken).check(&points).expect_err(taken).to_string();
        assert!(error.contains("charger, pump"), "{error}");
    }
    let account = |stream: &str| Account { stream: stream.to_owned(), ..Account::default() };
    let streams = ["charger", "mine.count", "mine", "minecart", "pump", "meter"];
    let ledger = Ledger { closes: true, accounts: streams.map(account).to_vec() };
    let (points, accepted, ledger) = without(Some(&guest("charger/*")), &points, &[], ledger);
    let left: Vec<&str> = ledger.accounts.iter().map(|account| account.stream.as_str()).collect();
    assert_eq!(left, ["minecart", "pump", "meter"]);
    assert_eq!(points.iter().map(|point| &*point.device).collect::<Vec<_>>(), ["pump", "meter"]);
    assert!(accepted.is_empty() && ledger.closes);
}

fn coil() -> Register {
    Register::new("on", Table::Coil, 0, Kind::Bool, Signal::new(0, 1, 2))
}
