//! Promises about answers that are still owed.

use proptest::prelude::*;

use super::*;
use crate::config::Table;

const fn ask(unit: u8, address: u16, quantity: u16) -> Ask {
    Ask { unit, table: Table::Holding, address, quantity }
}

#[test]
fn a_unit_that_owes_an_answer_is_first_asked_for_another_amount() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4), Reason::Timeout, now);
    let check = |asked, step| assert_eq!(owed.step(asked, now), step, "{asked:?}");
    check(ask(1, 200, 4), Step::AskFirst(ask(1, 200, 3)));
    check(ask(1, 200, 5), Step::Now);
    check(ask(2, 100, 4), Step::Now);
    check(Ask { table: Table::Input, ..ask(1, 100, 4) }, Step::Now);
}

#[test]
fn the_smallest_and_the_last_are_asked_for_more_or_wait() {
    let now = Instant::now();
    let check = |asked: Ask, step| {
        let mut owed = Owed::default();
        owed.failed(asked, Reason::Crc, now);
        assert_eq!(owed.step(asked, now), step, "{asked:?}");
    };
    let coils = |quantity| Ask { table: Table::Coil, ..ask(1, 0, quantity) };
    check(ask(1, 7, 1), Step::AskFirst(ask(1, 7, 2)));
    check(ask(1, 0, 125), Step::AskFirst(ask(1, 0, 124)));
    check(ask(1, 65_535, 1), Step::Wait(Reason::Crc));
    check(coils(3), Step::AskFirst(coils(16)));
    check(coils(9), Step::AskFirst(coils(8)));
    check(coils(2000), Step::AskFirst(coils(1992)));
}

#[test]
fn an_answer_that_cannot_be_mistaken_settles_all_that_is_older() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4), Reason::Timeout, now);
    owed.failed(ask(2, 100, 4), Reason::Timeout, now);
    owed.answered(ask(1, 100, 3));
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now);
    assert_eq!(owed.step(ask(2, 100, 4), now), Step::AskFirst(ask(2, 100, 3)), "another unit's is its own affair");
}

#[test]
fn an_exception_may_be_that_of_an_older_request() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.refused(ask(1, 100, 4), now);
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now, "nothing was owed, so it was this one's");
    owed.failed(ask(1, 100, 4), Reason::Timeout, now);
    owed.refused(ask(1, 100, 3), now);
    assert_eq!(owed.step(ask(1, 200, 3), now), Step::AskFirst(ask(1, 200, 2)), "its own answer may still come");
}

#[test]
fn a_late_answer_that_is_seen_is_owed_no_more() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4), Reason::Timeout, now);
    assert!(!owed.settle(1, 3, 6), "not that long");
    assert!(!owed.settle(2, 3, 8), "not that unit");
    assert!(owed.settle(1, 3, 8));
    assert!(!owed.settle(1, 3, 8), "only once");
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now);
}

#[test]
fn a_debt_is_void_after_the_late_limit() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 65_535, 1), Reason::Timeout, now);
    let check = |after: Duration, step| assert_eq!(owed.step(ask(1, 65_535, 1), now + after), step, "{after:?}");
    check(LATE_LIMIT - Duration::from_millis(1), Step::Wait(Reason::Timeout));
    check(LATE_LIMIT, Step::Now);
}

proptest! {
    #[test]
    fn what_is_asked_first_looks_like_nothing_that_is_owed(
        failed in prop::collection::vec((1_u16..126, any::<bool>()), 0..20),
        quantity in 1_u16..126,
    ) {
        let now = Instant::now();
        let mut owed = Owed::default();
        for (quantity, refused) in failed {
            if refused {
                owed.refused(ask(1, 0, quantity), now);
            } else {
                owed.failed(ask(1, 0, quantity), Reason::Timeout, now);
            }
        }
        if let Step::AskFirst(other) = owed.step(ask(1, 0, quantity), now) {
            prop_assert_eq!(owed.step(other, now), Step::Now);
        }
        prop_assert!(owed.0.len() <= 125);
    }
}
