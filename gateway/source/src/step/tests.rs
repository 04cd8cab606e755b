//! Promises about answers that are still owed.

use proptest::prelude::*;

use super::*;
use crate::config::Table;

const fn ask(unit: u8, address: u16, quantity: u16) -> Ask {
    Ask { unit, table: Table::Holding, address, quantity }
}

#[test]
fn a_unit_that_owes_an_answer_is_asked_for_a_wider_block() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4).query(), Reason::Timeout, now);
    let check = |asked, step| assert_eq!(owed.step(asked, now), step, "{asked:?}");
    check(ask(1, 200, 4), Step::Wider([Some(ask(1, 200, 5)), Some(ask(1, 198, 6))], Reason::Timeout));
    check(ask(1, 200, 5), Step::Now);
    check(ask(2, 100, 4), Step::Now);
    check(Ask { table: Table::Input, ..ask(1, 100, 4) }, Step::Now);
}

#[test]
fn at_the_edges_there_is_one_wider_block_or_none() {
    let now = Instant::now();
    let check = |asked: Ask, wider: Option<[Option<Ask>; 2]>| {
        let mut owed = Owed::default();
        owed.failed(asked.query(), Reason::Framing, now);
        let step = wider.map_or(Step::Wait(Reason::Framing), |wider| Step::Wider(wider, Reason::Framing));
        assert_eq!(owed.step(asked, now), step, "{asked:?}");
    };
    let coils = |address, quantity| Ask { table: Table::Coil, ..ask(1, address, quantity) };
    check(ask(1, 0, 1), Some([Some(ask(1, 0, 2)), None]));
    check(ask(1, 65_535, 1), Some([None, Some(ask(1, 65_534, 2))]));
    check(ask(1, 0, 124), Some([Some(ask(1, 0, 125)), None]));
    check(ask(1, 7, 125), None);
    check(coils(0, 3), Some([Some(coils(0, 16)), None]));
    check(coils(100, 9), Some([Some(coils(100, 24)), Some(coils(77, 32))]));
    check(coils(0, 2000), None);
}

#[test]
fn an_exception_may_be_that_of_an_older_request() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.refused(ask(1, 100, 4).query(), now);
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now, "nothing was owed, so it was this one's");
    owed.failed(ask(1, 100, 4).query(), Reason::Timeout, now);
    owed.refused(ask(1, 100, 3).query(), now);
    assert_ne!(owed.step(ask(1, 200, 3), now), Step::Now, "its own answer may still come");
}

#[test]
fn a_late_answer_that_is_seen_is_owed_no_more() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4).query(), Reason::Timeout, now);
    let query = Query { unit: 1, function: 3, shape: Shape::Data(8) };
    assert_eq!(owed.settle(Query { shape: Shape::Data(6), ..query }), None, "not that long");
    assert_eq!(owed.settle(Query { unit: 2, ..query }), None, "not that unit");
    assert_eq!(owed.settle(query), Some(Whose::Ours));
    assert_eq!(owed.settle(query), None, "only once");
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now);
}

#[test]
fn what_another_master_asked_is_owed_too_and_each_answer_settles_one_debt() {
    let now = Instant::now();
    let query = Query { unit: 1, function: 3, shape: Shape::Data(8) };
    let mut owed = Owed::default();
    owed.failed(ask(1, 100, 4).query(), Reason::Timeout, now);
    owed.overheard(query, now);
    owed.overheard(query, now);
    assert_eq!(owed.settle(query), Some(Whose::Ours));
    assert_eq!(owed.settle(query), Some(Whose::Foreign));
    assert_ne!(owed.step(ask(1, 100, 4), now), Step::Now, "a third answer may come");
    assert_eq!(owed.settle(query), Some(Whose::Foreign));
    assert_eq!(owed.step(ask(1, 100, 4), now), Step::Now);
    for _ in 0..1000 {
        owed.overheard(query, now);
    }
    assert_eq!(owed.0.len(), MOST_OVERHEARD);
}

#[test]
fn a_debt_is_void_after_the_late_limit() {
    let now = Instant::now();
    let mut owed = Owed::default();
    owed.failed(ask(1, 0, 125).query(), Reason::Timeout, now);
    let check = |after: Duration, step| assert_eq!(owed.step(ask(1, 0, 125), now + after), step, "{after:?}");
    check(LATE_LIMIT - Duration::from_millis(1), Step::Wait(Reason::Timeout));
    check(LATE_LIMIT, Step::Now);
}

proptest! {
    #[test]
    fn what_is_asked_instead_holds_what_is_wanted_and_looks_like_nothing_that_is_owed(
        failed in prop::collection::vec((1_u16..126, any::<bool>()), 0..20),
        address: u16,
        quantity in 1_u16..126,
    ) {
        let now = Instant::now();
        let mut owed = Owed::default();
        for (quantity, refused) in failed {
            if refused {
                owed.refused(ask(1, 0, quantity).query(), now);
            } else {
                owed.failed(ask(1, 0, quantity).query(), Reason::Timeout, now);
            }
        }
        let wanted = ask(1, address, quantity);
        if let Step::Wider(blocks, _) = owed.step(wanted, now) {
            prop_assert!(blocks[0].is_none() || blocks[0].map(Ask::data_len) != blocks[1].map(Ask::data_len));
            for wider in blocks.into_iter().flatten() {
                prop_assert_eq!(owed.step(wider, now), Step::Now);
                prop_assert!(wider.address <= address && wider.quantity <= ModbusDevice::MAX_REGISTERS);
                let ends = |ask: Ask| u32::from(ask.address) + u32::from(ask.quantity);
                prop_assert!(ends(wider) >= ends(wanted) && ends(wider) <= 65_536);
            }
        }
        prop_assert!(owed.0.len() <= 125);
    }
}
