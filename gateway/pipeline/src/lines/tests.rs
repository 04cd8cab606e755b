//! Promises of the bound on a plugin's log.

use super::*;

/// Says a line at each of `ms`, and checks which were logged and with what count.
fn check(lines: &mut Lines, start: Instant, said: &[(u64, Option<u64>)]) {
    for &(ms, expected) in said {
        assert_eq!(lines.admit(start + Duration::from_millis(ms)), expected, "at {ms} ms");
    }
}

#[test]
fn a_burst_is_told_in_full_and_then_a_line_a_second_with_what_is_missing() {
    let (mut lines, start) = (Lines::default(), Instant::now());
    check(&mut lines, start, &[(0, Some(0)); 20]);
    check(&mut lines, start, &[(0, None), (1, None), (999, None), (1_000, Some(3)), (1_001, None), (3_500, Some(1))]);
    check(&mut lines, start, &[(3_500, Some(0)), (3_500, None)]);
}

#[test]
fn silence_earns_a_burst_and_no_more() {
    let (mut lines, start) = (Lines::default(), Instant::now());
    check(&mut lines, start, &[(0, Some(0)); 20]);
    let day = 24 * 3600 * 1000;
    check(&mut lines, start, &[(day, Some(0)); 20]);
    check(&mut lines, start, &[(day, None)]);
}

#[test]
fn a_flood_leaves_few_lines_and_every_line_is_logged_or_counted() {
    let (mut lines, start) = (Lines::default(), Instant::now());
    let (mut logged, mut counted) = (0, 0);
    for line in 0..4_000 {
        if let Some(suppressed) = lines.admit(start + Duration::from_millis(line * 10)) {
            logged += 1;
            counted += suppressed;
        }
    }
    assert_eq!(logged, 20 + 39);
    assert_eq!(logged + counted + lines.suppressed, 4_000);
}
