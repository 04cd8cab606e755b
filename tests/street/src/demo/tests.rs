//! Promises of the demo's script.

use std::time::Duration;

use crate::demo::script::{Length, Script, Step};

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
