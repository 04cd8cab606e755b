//! A card that lies: it has said that it wrote, and has not.
//!
//! Then nothing can keep what was durable. What is kept: the store starts, no identity comes twice, whatever is sent is what
//! was read, and it goes on. What SQLite, the sums or the counters see to be missing is told in gap records. Of what they
//! cannot see (pages of an earlier moment that fit together) the core knows the number, and its ledger says that it is missing.

use std::path::Path;
use std::time::Duration;

use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::time::Instant;

use super::power::{Call, Cut, Disk, STREAMS, Said, child_config, recorded};
use super::support::{Core, append, batch, drain, memory, writer};

/// The last flushes that were none: one, some, and all of the child's last seconds.
const LIED: [usize; 3] = [1, 6, 60];

/// Calls from one cut to the next; each in all of the lies by hand with `CURB_POWER_CUTS=all`.
const STRIDE: usize = 29;

#[test]
fn a_card_that_lies_about_flushes_costs_what_is_told_and_nothing_is_invented() {
    let calls = recorded();
    let all = std::env::var_os("CURB_POWER_CUTS").is_some();
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut said = Said::default();
    let (mut cuts, mut untold) = (0, 0);
    for (index, call) in calls.iter().enumerate() {
        if let Call::Said(line) = call {
            said.hear(line);
        }
        let turn = index / STRIDE % LIED.len();
        for (way, lied) in LIED.iter().enumerate().filter(|(way, _)| all || (index % STRIDE == 0 && *way == turn)) {
            let folder = tempfile::tempdir_in(memory()).unwrap();
            cut(&calls[..=index], *lied, &mut rng, folder.path());
            cuts += 1;
            untold += usize::from(check(&said, folder.path(), &format!("call {index}, lie {way}")) > 0);
        }
    }
    println!("{cuts} cuts, after {untold} of them something is missing that only the core's numbers show");
    assert!(cuts > 20 && untold * 5 < cuts, "most of what is lost is seen: {untold} of {cuts}");
}

/// Of the last `lied` flushes none was one; what was written since may be there in any part.
fn cut(calls: &[Call], lied: usize, rng: &mut TestRng, folder: &Path) {
    let is_sync = |call: &Call| matches!(call, Call::Sync(_));
    let syncs: Vec<usize> = (0..calls.len()).filter(|index| is_sync(&calls[*index])).collect();
    let lies_from = syncs.len().checked_sub(lied).map_or(0, |first| syncs[first]);
    let mut disk = Disk::default();
    let kept = calls.iter().enumerate().filter(|(index, call)| *index < lies_from || !is_sync(call));
    kept.for_each(|(_, call)| disk.apply(call));
    disk.cut(Cut::Torn, rng, folder);
}

/// How many messages are missing that no gap record tells of.
fn check(said: &Said, folder: &Path, case: &str) -> usize {
    let mut writer = writer(&child_config(folder));
    let run = writer.queue.run();
    assert!(said.runs.values().all(|earlier| *earlier != run), "{case}: {run} comes again");
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    // A minute later the queue has looked for what should be there.
    writer.act(Instant::now() + Duration::from_secs(61));
    // Damage that is found on the way is behind it then.
    for value in [7, 8] {
        let next = batch("meter", &writer.clock, [value]);
        append(&mut writer, &next);
        writer.commit();
        drain(&mut writer, &mut core);
    }
    assert_eq!(
        core.account(run, "meter").received.last_key_value(),
        Some((&2, &vec![8])),
        "{case}: it goes on: {:?} {:?} {:?} {:?}",
        writer.queue.waiting,
        writer.disk.count(),
        writer.disk.quick_check(),
        writer.faults
    );
    let mut untold = 0;
    for (life, earlier) in &said.runs {
        for name in STREAMS {
            let account = core.account(*earlier, name);
            for (seq, values) in &account.received {
                assert_eq!(values, &Said::values(*life, *seq), "{case}: {life} {name} {seq} is not what was read");
            }
            let is_told = |seq| account.covers(seq) || said.sent.contains(&(*life, name.to_owned(), seq));
            untold += (1..=account.told.seq).filter(|seq| !is_told(*seq)).count();
        }
    }
    untold
}
