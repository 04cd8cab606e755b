use std::time::{Duration, Instant};

use super::{EPOCH, passed};

#[test]
fn a_thread_that_is_woken_late_owes_the_plugin_nothing() {
    let begin = Instant::now();
    // However late it is woken each time, it has counted what has passed, and no more.
    for late in [0, 1, 49, 50, 51, 120, 1_234].map(|tenths| EPOCH * tenths / 50) {
        let (mut now, mut over, mut counted) = (begin, begin + EPOCH, 0);
        while now < begin + Duration::from_secs(1) {
            now = now.max(over) + late;
            let (epochs, next) = passed(over, now);
            assert!(next > now && next <= now + EPOCH, "{late:?}");
            (counted, over) = (counted + epochs, next);
        }
        let expected = (now - begin).as_nanos() / EPOCH.as_nanos();
        assert_eq!(u128::from(counted), expected, "{late:?}");
    }
    assert_eq!(passed(begin + EPOCH, begin), (0, begin + EPOCH));
}
