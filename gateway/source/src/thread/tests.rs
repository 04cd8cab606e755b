//! Promises about a bus that crashes.

use std::cell::Cell;

use curb_model::HubTime;

use super::*;

fn context() -> Context {
    Context {
        bus: Name::new("cabinet").unwrap(),
        clock: HubClock::starting_at(HubTime::ZERO),
        board: Board::default(),
        stop: CancellationToken::new(),
        timeout: Duration::from_millis(300),
    }
}

#[test]
fn a_crash_is_told_of_and_the_bus_lives_again() {
    let context = context();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lives = Cell::new(0);
    supervise(&context, &runtime, || {
        lives.set(lives.get() + 1);
        assert!(lives.get() > 1, "an answer that nobody thought of");
    });
    assert_eq!(lives.get(), 2);
    let mut health = crate::Health::default();
    context.board.report(&context.bus, "/dev/ttyUSB0", &mut health);
    assert_eq!(health.buses[&context.bus].crashes, 1);
    assert_eq!((health.faults[0].word, health.faults[0].subject.as_str()), ("bus-crashed", "bus cabinet"));
    assert!(health.faults[0].detail.contains("nobody thought of"), "{}", health.faults[0].detail);
}

#[test]
fn a_bus_that_is_to_stop_is_not_started_again() {
    let context = context();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lives = Cell::new(0);
    supervise(&context, &runtime, || {
        lives.set(lives.get() + 1);
        context.stop.cancel();
        panic!("crash while stopping");
    });
    assert_eq!(lives.get(), 1);
}
