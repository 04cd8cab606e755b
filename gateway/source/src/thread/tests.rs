//! Promises about a bus that crashes.

use std::cell::Cell;

use curb_model::HubTime;

use super::*;
use crate::health::LineCounters;

pub(crate) fn context(polls: Polls) -> Context {
    Context {
        bus: Name::new("cabinet").unwrap(),
        clock: HubClock::starting_at(HubTime::ZERO),
        board: Board::default(),
        stop: CancellationToken::new(),
        timeout: Duration::from_millis(300),
        min_gap: Duration::ZERO,
        polls,
    }
}

#[test]
fn a_crash_is_told_of_and_the_bus_lives_again() {
    let context = context(Polls::Due);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lives = Cell::new(0);
    supervise(&context, &runtime, || {
        lives.set(lives.get() + 1);
        assert!(lives.get() > 1, "an answer that nobody thought of");
    });
    assert_eq!(lives.get(), 2);
    let mut health = crate::Health::default();
    context.board.report(&context.bus, "/dev/ttyUSB0", Instant::now(), &mut health);
    assert_eq!(health.buses[&context.bus].crashes, 1);
    assert_eq!((health.faults[0].word, health.faults[0].subject.as_str()), ("bus-crashed", "bus cabinet"));
    assert!(health.faults[0].detail.contains("nobody thought of"), "{}", health.faults[0].detail);
}

#[test]
fn a_bus_that_is_to_stop_is_not_started_again() {
    let context = context(Polls::Due);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lives = Cell::new(0);
    supervise(&context, &runtime, || {
        lives.set(lives.get() + 1);
        context.stop.cancel();
        panic!("crash while stopping");
    });
    assert_eq!(lives.get(), 1);
}

#[test]
fn another_master_is_a_fault_for_a_minute() {
    let context = context(Polls::Due);
    let now = Instant::now();
    let words = |later| {
        let mut health = crate::Health::default();
        context.board.report(&context.bus, "/dev/ttyUSB0", now + Duration::from_secs(later), &mut health);
        health.faults.iter().map(|fault| fault.word).collect::<Vec<_>>()
    };
    let heard = LineCounters { foreign: 2, foreign_requests: 1, ..LineCounters::default() };
    context.board.lock().count(LineCounters { foreign: 1, echo: 5, ..LineCounters::default() }, now);
    assert_eq!(words(0), [""; 0], "an echo is no fault, nor is an answer whose question was not heard");
    context.board.lock().count(heard, now);
    assert_eq!(words(59), ["foreign-master"]);
    context.board.lock().count(heard, now + Duration::from_secs(59));
    assert_eq!(words(61), [""; 0]);
}

/// Waits in the way of a test that has nothing else to do.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_thread_that_its_driver_blocks_is_a_fault_until_it_turns_again() {
    let context = context(Polls::Due);
    let (board, bus) = (context.board.clone(), context.bus.clone());
    let (out, _received) = mpsc::channel(1);
    let (alive, _done) = oneshot::channel();
    let (driver, blocked) = std::sync::mpsc::channel::<()>();
    let thread = spawn(context, out.downgrade(), alive, move |context, runtime, _outbox| {
        // As a write to a port whose driver hangs.
        runtime.block_on(beating(&context.board, async { blocked.recv().unwrap_err() }));
    });
    let words = |later| {
        let mut health = crate::Health::default();
        board.report(&bus, "/dev/ttyUSB0", Instant::now() + Duration::from_secs(later), &mut health);
        health.faults.iter().map(|fault| fault.word).collect::<Vec<_>>()
    };
    eventually("the thread has begun", || board.lock().turned.is_some());
    assert_eq!(words(0), [""; 0]);
    assert_eq!(words(60), ["bus-hung"]);
    drop(driver);
    thread.unwrap().join().unwrap();
    assert_eq!(words(60), [""; 0], "it has ended, and hangs no more");
}
