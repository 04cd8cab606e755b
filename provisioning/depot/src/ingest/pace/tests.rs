use std::collections::BTreeMap;

use curb_model::{Name, RunId, Stream};
use proptest::prelude::*;

use super::*;
use crate::simhub::SITE;

fn due(stream: &str, seq: u64) -> Due {
    let name = |text: &str| Name::new(text).unwrap();
    let run = RunId { counter: 1, nonce: 2 };
    Due {
        stream: StreamKey { site: name(SITE), hub: name("lamp-0042"), run, stream: Stream::parse(stream).unwrap() },
        seq,
    }
}

#[test]
fn a_receipt_goes_at_once_then_every_half_second_or_64_messages() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut pace = Pace::default();
    let step = |pace: &mut Pace, ms: u64, add: &[u64], expected: &[u64]| {
        add.iter().for_each(|&seq| pace.add(due("meter", seq), at(ms)));
        let sent: Vec<u64> = std::iter::from_fn(|| pace.next(at(ms))).map(|due| due.seq).collect();
        assert_eq!(sent, expected, "at {ms} ms");
    };
    step(&mut pace, 0, &[1], &[1]);
    step(&mut pace, 10, &[2, 3], &[]);
    step(&mut pace, 499, &[4], &[]);
    assert_eq!(pace.wake(), Some(at(500)));
    step(&mut pace, 500, &[], &[4]);
    step(&mut pace, 600, &[67], &[]);
    step(&mut pace, 601, &[68], &[68]);
    step(&mut pace, 1_000, &[69], &[]);
    step(&mut pace, 1_101, &[], &[69]);
    // An older one, from another ingester's time, does not take the newer one's place.
    step(&mut pace, 1_200, &[71, 70], &[]);
    step(&mut pace, 1_601, &[], &[71]);
    step(&mut pace, 3_000, &[], &[]);
    assert_eq!(pace.wake(), None, "a silent stream is forgotten");
    step(&mut pace, 3_001, &[72], &[72]);
}

proptest! {
    /// Whatever becomes due when: no receipt waits for longer than half a second, and the last word of each stream is said.
    #[test]
    fn no_receipt_waits_for_longer_than_half_a_second(events in prop::collection::vec((0_u64..400, 0_usize..3, 1_u64..90), 1..60)) {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut open: BTreeMap<String, (u64, Instant)> = BTreeMap::new();
        let mut seqs = [0_u64; 3];
        let mut now = start;
        let drain = |pace: &mut Pace, open: &mut BTreeMap<String, (u64, Instant)>, until: Instant| {
            while let Some(at) = pace.wake().filter(|&at| at <= until) {
                while let Some(sent) = pace.next(at) {
                    let (seq, since) = open.remove(sent.stream.stream.as_str()).expect("nothing is sent that is not due");
                    assert!(at - since <= Duration::from_millis(500) && sent.seq == seq);
                }
            }
        };
        for (wait, stream, more) in events {
            let next = now + Duration::from_millis(wait);
            drain(&mut pace, &mut open, next);
            now = next;
            seqs[stream] += more;
            let name = ["a", "b", "c"][stream];
            open.entry(name.to_owned()).or_insert((0, now)).0 = seqs[stream];
            pace.add(due(name, seqs[stream]), now);
        }
        drain(&mut pace, &mut open, now + Duration::from_secs(2));
        prop_assert!(open.is_empty() && pace.wake().is_none());
    }
}
