//! Promises about frames that are known before they are heard.

use std::time::Duration;

use super::*;
use crate::rtu::sort::Sorter;

fn framed(body: &[u8]) -> Vec<u8> {
    [body, &crc16(body).to_le_bytes()].concat()
}

/// A write of one register, of several, or a read, that failed; then `pieces` are heard, with a silence behind each.
fn check(request: &[u8], echoes: Option<bool>, pieces: &[&[u8]], counted: LineCounters) {
    let shape = if request[1] == 3 { Shape::Data(8) } else { Shape::Echo(4) };
    let query = Query { unit: request[0], function: request[1], shape };
    let mut sorter = Sorter::default();
    let mut counters = LineCounters::default();
    let now = Instant::now();
    sorter.expected.sent(request, now);
    sorter.expected.failed(query, request, echoes, now);
    for piece in pieces {
        let (sorted, done) = sorter.sort(piece, 0, None, &mut counters);
        assert_eq!(done, piece.len());
        counters.noise_bytes += sorted.noise_bytes;
    }
    assert_eq!(counters, counted, "{request:02x?} {echoes:?} {pieces:02x?}");
}

#[test]
fn a_late_echo_of_our_own_request_is_an_echo_in_one_piece_or_in_two() {
    let one = framed(&[7, 6, 0, 10, 0, 1]);
    let several = framed(&[7, 16, 0, 10, 0, 2, 4, 0, 1, 0, 2]);
    let read = framed(&[7, 3, 0, 10, 0, 4]);
    let echo = LineCounters { echo: 1, ..LineCounters::default() };
    for request in [&one, &several, &read] {
        for echoes in [None, Some(true)] {
            check(request, echoes, &[request], echo);
            for cut in LEAST_PIECE..request.len() {
                check(request, echoes, &[&request[..cut], &request[cut..]], echo);
            }
        }
    }
    // Too little to tell by: noise, and no other master.
    let noise = LineCounters { noise_bytes: 8, ..LineCounters::default() };
    check(&one, None, &[&one[..1], &one[1..]], noise);
}

#[test]
fn the_late_answer_to_a_write_is_late_and_not_another_masters() {
    let late = LineCounters { late: 1, ..LineCounters::default() };
    let one = framed(&[7, 6, 0, 10, 0, 1]);
    check(&one, Some(false), &[&one], late);
    let several = framed(&[7, 16, 0, 10, 0, 2, 4, 0, 1, 0, 2]);
    let answer = framed(&[7, 16, 0, 10, 0, 2]);
    check(&several, Some(false), &[&answer], late);
    check(&several, Some(true), &[&several, &answer], LineCounters { echo: 1, ..late });
    check(&one, Some(true), &[&one, &one], LineCounters { echo: 1, ..late });
}

#[test]
fn what_another_master_says_is_still_foreign() {
    let foreign = LineCounters { foreign: 1, foreign_requests: 1, ..LineCounters::default() };
    let read = framed(&[7, 3, 0, 10, 0, 4]);
    let other = framed(&[7, 3, 0, 11, 0, 4]);
    check(&read, None, &[&other], foreign);
    check(&read, Some(false), &[&read], foreign);
    check(&read, Some(true), &[&read, &read], LineCounters { echo: 1, ..foreign });
    // After a beginning that was none.
    check(&read, Some(true), &[&read[..4], &other, &read], LineCounters { echo: 1, noise_bytes: 4, ..foreign });
}

#[test]
fn what_never_came_is_forgotten_and_its_pieces_were_noise() {
    let request = framed(&[7, 6, 0, 10, 0, 1]);
    let query = Query { unit: 7, function: 6, shape: Shape::Echo(4) };
    let (mut expected, mut counters) = (Expected::default(), LineCounters::default());
    let now = Instant::now();
    expected.sent(&request, now);
    expected.failed(query, &request, None, now);
    assert!(expected.piece(&request[..3]));
    expected.expire(now + LATE_LIMIT - Duration::from_millis(1), &mut counters);
    assert_eq!(counters.noise_bytes, 0);
    expected.expire(now + LATE_LIMIT, &mut counters);
    assert_eq!((counters.noise_bytes, expected.whole(&request, &mut counters)), (3, None));
}

#[test]
fn there_are_never_many() {
    let mut expected = Expected::default();
    let query = Query { unit: 7, function: 6, shape: Shape::Echo(4) };
    for value in 0..200 {
        let request = framed(&[7, 6, 0, 10, 0, value]);
        expected.sent(&request, Instant::now());
        expected.failed(query, &request, None, Instant::now());
    }
    assert_eq!(expected.late.len(), MOST);
}
