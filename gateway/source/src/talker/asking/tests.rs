//! Promises about asking.

use super::*;
use crate::poll::Change;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(bytes: &[u8]) -> Request {
    Request { bytes: bytes.to_vec(), every: ms(5000), timeout: ms(500) }
}

#[test]
fn questions_are_asked_on_a_grid_however_long_the_answers_take() {
    let request = request(b"?");
    let mut asking = Asking::new(&request);
    for (round, late) in [0, 130, 490, 20].into_iter().enumerate() {
        let due = ms(5000) * u32::try_from(round).unwrap();
        assert_eq!(asking.next(due), due);
        assert_eq!(asking.turn(due), Turn::Ask);
        asking.asked(due + ms(3), ms(2));
        assert_eq!(asking.turn(due + ms(late)), Turn::Nothing);
        assert_eq!(asking.next(due), due + ms(505));
        assert_eq!(asking.answered(due + ms(late)), Finished { skipped: 0, change: None });
        assert!(!asking.is_open());
    }
}

#[test]
fn a_silent_device_is_asked_less_often_until_it_answers() {
    let request = Request { every: ms(100), timeout: ms(50), ..request(b"?") };
    let mut asking = Asking::new(&request);
    let mut now = ms(0);
    let mut waits = Vec::new();
    for round in 0..5 {
        now = asking.next(now).max(now);
        assert_eq!(asking.turn(now), Turn::Ask);
        asking.asked(now, ms(0));
        now += ms(50);
        assert_eq!(asking.turn(now), Turn::GiveUp);
        let (finished, reason) = asking.give_up(now);
        assert_eq!(reason, Reason::Timeout);
        assert_eq!(finished.change, (round == 1).then_some(Change::Lost));
        waits.push(asking.next(now) - now);
    }
    assert_eq!(waits, [ms(500), ms(10_000), ms(60_000), ms(60_000), ms(60_000)]);
    assert!(asking.is_lost());
    now = asking.next(now);
    asking.asked(now, ms(0));
    assert_eq!(asking.answered(now).change, Some(Change::Back));
    assert!(asking.next(now) - now <= ms(100));
}

#[test]
fn what_went_wrong_first_is_why_there_is_no_answer() {
    let request = request(b"?");
    let mut asking = Asking::new(&request);
    asking.asked(ms(0), ms(0));
    asking.note(Reason::Crc);
    asking.note(Reason::Framing);
    assert_eq!(asking.give_up(ms(500)).1, Reason::Crc);
    // Of the next request nothing is known.
    asking.note(Reason::Crc);
    asking.asked(ms(5000), ms(0));
    assert_eq!(asking.give_up(ms(5500)).1, Reason::Timeout);
}

#[test]
fn our_own_request_is_not_the_answer() {
    let check = |pieces: &[&str], answer: &str, echoes: usize| {
        let request = request(b"R?\r");
        let mut asking = Asking::new(&request);
        asking.asked(ms(0), ms(0));
        let (mut bytes, mut echoed) = (Vec::new(), 0);
        for piece in pieces {
            let heard = asking.hear(piece.as_bytes());
            bytes.extend(heard.bytes);
            echoed += usize::from(heard.echoed);
        }
        bytes.extend(asking.held());
        assert_eq!((String::from_utf8(bytes).unwrap().as_str(), echoed), (answer, echoes), "{pieces:?}");
    };
    check(&["R?\rR1234\r"], "R1234\r", 1);
    check(&["R", "?", "\r", "R?\r"], "R?\r", 1);
    check(&["R1234\r"], "R1234\r", 0);
    check(&["R", "1", "234\r"], "R1234\r", 0);
    check(&["R?"], "R?", 0);
    check(&["1R?\r"], "1R?\r", 0);
}
