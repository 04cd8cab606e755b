//! Time for plugins, and the last word of those who go: between two batches, each batch with one of the two and never with both.

use std::time::Duration;

use curb_model::{HubTime, Stream};

use super::state::{Answer, Street, part, seen_of};
use crate::flow::Part;
use crate::leaving::Leaving;
use crate::link::ToHost;
use crate::state::from_bytes;

const S: Duration = Duration::from_secs(1);

fn changed(globs: &[&str]) -> Part {
    let mut part = part(globs);
    part.config.settings = serde_json::json!({ "other": true });
    part
}

fn configure(street: &mut Street, parts: Vec<Part>) {
    street.flow.configure(parts, &Street::known(), street.now);
    street.collect();
}

#[test]
fn ticks_come_when_they_are_due_and_time_never_goes_back_for_a_plugin() {
    let mut street = Street::new([].into());
    street.tick_ms = 1_000;
    street.settle();
    let mut times = Vec::new();
    for n in 0..20 {
        street.wait(S / 4);
        assert!(street.flow.wake().is_none_or(|wake| wake > street.now), "all that was due is done");
        if n % 3 == 0 {
            street.batch(1);
        }
        let is_tick = |question: &ToHost| matches!(question, ToHost::Tick { .. });
        times.extend(street.questions.iter().filter(|question| is_tick(question)).map(|_| n));
        street.settle();
    }
    assert_eq!(times, [3, 7, 11, 15, 19]);
    assert!(street.times.is_sorted(), "{:?}", street.times);
    assert!(street.times.len() > 10 && street.times[0] > HubTime::ZERO.as_nanos());
}

#[test]
fn a_successor_starts_behind_the_batch_in_hand_with_what_is_remembered() {
    let mut street = Street::new([].into());
    street.settle();
    street.batch(3);
    street.batch(2);
    // The first is with the plugin, the second waits.
    configure(&mut street, vec![changed(&["meter/*"])]);
    assert!(matches!(street.questions[..], [ToHost::Process { .. }]), "{:?}", street.questions);
    street.answer(Answer::KeepNone);
    assert!(matches!(street.questions[..], [ToHost::Snapshot { .. }]), "{:?}", street.questions);
    street.answer(Answer::KeepAll);
    let Some(ToHost::Load(load)) = street.questions.first() else { panic!("{:?}", street.questions) };
    assert_eq!(load.state.as_ref().map(seen_of), Some(3));
    street.settle();
    assert_eq!(street.seen.values().max(), Some(&5), "each batch is seen once");
    assert_eq!(street.kept(), Some(5));
}

#[test]
fn a_batch_that_is_taken_apart_stays_with_whom_it_began() {
    let mut street = Street::new([].into());
    street.settle();
    street.batch(4);
    // It traps twice on the batch, and once on the first half of it.
    let mut traps = 3;
    while traps > 0 {
        let is_batch = matches!(street.questions[0], ToHost::Process { .. });
        street.answer(if is_batch { Answer::Trap } else { Answer::KeepAll });
        traps -= usize::from(is_batch);
    }
    configure(&mut street, vec![changed(&["meter/*"])]);
    street.batch(1);
    street.settle();
    assert_eq!(street.kept(), Some(5), "each row is seen once, by one of the two");
    let passed: usize = street
        .out
        .iter()
        .map(|leaving| if let Leaving::Batch(batch) = leaving { batch.readings.len() } else { 0 })
        .sum();
    assert_eq!(passed, 5);
}

#[test]
fn the_removed_gives_its_last_word_and_is_forgotten() {
    let mut street = Street::new([].into());
    street.settle();
    street.batch(3);
    street.settle();
    configure(&mut street, vec![]);
    assert!(matches!(street.questions[..], [ToHost::Finish { .. }]), "{:?}", street.questions);
    // What comes meanwhile waits, and passes then.
    street.batch(1);
    let before = street.out.len();
    street.last_word = 2;
    street.settle();
    let own: Stream = Stream::parse("tally.count").unwrap();
    let after = &street.out[before..];
    let streams: Vec<&str> = after
        .iter()
        .map(|leaving| match leaving {
            Leaving::Batch(batch) if batch.stream == own => "last word",
            Leaving::Batch(batch) => batch.stream.as_str(),
            Leaving::State { .. } => "state",
            Leaving::Forget { .. } => "forget",
            Leaving::Bundle(_) => "bundle",
        })
        .collect();
    assert_eq!(streams, ["last word", "forget", "meter"]);
    assert!(!street.flow.wants_host());
}

#[test]
fn who_says_nothing_at_the_end_is_left_behind() {
    for answer in [Answer::Trap, Answer::Silence] {
        let mut street = Street::new([].into());
        street.settle();
        street.batch(3);
        street.settle();
        configure(&mut street, vec![changed(&["meter/*"])]);
        street.batch(1);
        if matches!(answer, Answer::Silence) {
            // The host hangs, and is killed.
            street.wait(10 * S);
        } else {
            street.answer(answer);
        }
        street.settle();
        // What it has told was in its last snapshot.
        assert_eq!(street.kept(), Some(4), "{answer:?}");
    }
}

#[test]
fn a_change_that_is_taken_back_disturbs_nobody_who_was_not_asked_yet() {
    let mut street = Street::new([].into());
    street.settle();
    street.batch(3);
    configure(&mut street, vec![changed(&["meter/*"])]);
    configure(&mut street, vec![part(&["meter/*"])]);
    street.settle();
    street.batch(1);
    street.settle();
    assert_eq!((street.seen.len(), street.kept()), (1, Some(4)), "the same instance goes on");
    let state = street.states();
    assert_eq!(state.values().map(|bytes| seen_of(&from_bytes(bytes).unwrap().0)).collect::<Vec<_>>(), [4]);
}
