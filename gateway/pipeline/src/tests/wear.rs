//! A plugin cannot wear out the disk: its batches wait, and none of them is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::Street;
use crate::leaving::Leaving;
use crate::wear::HOURLY;

/// A batch a second for so long, and the seconds in which readings came out.
fn drive(street: &mut Street, seconds: usize) -> Vec<usize> {
    let mut came = Vec::new();
    for second in 0..seconds {
        street.batch(1);
        street.settle();
        if street.out.drain(..).any(|leaving| matches!(leaving, Leaving::Batch(_))) {
            came.push(second);
        }
        street.wait(Duration::from_secs(1));
        street.settle();
    }
    came
}

#[test]
fn a_plugin_that_always_remembers_something_else_is_asked_in_rounds() {
    let mut street = Street::new(BTreeMap::new());
    street.padding = 250 << 10;
    street.settle();
    // What an hour may cost is there at once; then a state is paid for in some fourteen seconds.
    let free = usize::try_from(HOURLY).unwrap() / street.padding;
    assert_eq!(drive(&mut street, free).len(), free);
    let came = drive(&mut street, 600);
    assert!((40..70).contains(&came.len()), "{came:?}");
    let longest = came.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest <= 16, "{longest} s between two rounds");
    let health = street.health();
    assert_eq!((health.bypassed, health.dropped, health.traps), (0, 0, 0));
    assert!(street.faults().iter().any(|fault| fault.word == "plugin-wear"));
    // At the end nobody waits.
    street.flow.close(street.now);
    street.collect();
    street.settle();
    assert!(street.flow.is_drained());
    assert_eq!(street.health().kept, free as u64 + 600);
}
