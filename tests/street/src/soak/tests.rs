//! Promises of the dice and of what is typed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::{Dice, Victim};
use super::{Kind, Span};

#[test]
fn a_span_is_seconds_minutes_or_hours() {
    let check = |text: &str, seconds: Option<u64>| {
        assert_eq!(text.parse().ok(), seconds.map(|seconds| Span(Duration::from_secs(seconds))), "{text:?}");
    };
    check("60", Some(60));
    check("90s", Some(90));
    check("5m", Some(300));
    check("1h", Some(3600));
    for none in ["", "h", "0", "-1", "1d", "1.5h", "5 m"] {
        check(none, None);
    }
}

#[test]
fn a_broker_is_named_by_its_word() {
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("moskito".parse::<Kind>().is_err());
}

#[test]
fn an_hour_has_thousands_of_kills_and_the_same_seed_the_same() {
    let throws = |seed| {
        let mut dice = Dice::new(seed);
        let mut at = Duration::ZERO;
        std::iter::from_fn(move || {
            let (wait, victim) = dice.throw();
            at += wait;
            (at < Duration::from_secs(3600)).then_some((at, victim))
        })
    };
    assert!(throws(7).eq(throws(7)));
    assert!(throws(7).ne(throws(8)));
    let mut kills = BTreeMap::new();
    throws(7).for_each(|(_, victim)| *kills.entry(victim).or_insert(0) += 1);
    assert!(kills.values().sum::<i32>() > 2000, "{kills:?}");
    assert!(Victim::ALL.iter().all(|victim| kills[victim] > 300), "{kills:?}");
}
