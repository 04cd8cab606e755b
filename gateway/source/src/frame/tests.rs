//! Promises about frames with a delimiter.

use proptest::prelude::*;

use super::*;

fn whole(text: &str) -> Frame {
    Frame::Whole(text.as_bytes().to_vec())
}

fn lines() -> Framing {
    Framing::Delimiter { delimiter: b"\n".to_vec(), max: 8 }
}

/// Pushes `parts`, of which the first follows a pause, and checks what comes out.
fn check(delimiter: &str, parts: &[&str], expected: &[Frame]) {
    let mut framer = Framer::new(&Framing::Delimiter { delimiter: delimiter.as_bytes().to_vec(), max: 8 });
    let mut frames = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        frames.extend(framer.push(part.as_bytes(), if n == 0 { Before::Pause } else { Before::Flow }));
    }
    assert_eq!(frames, expected, "{parts:?}");
}

#[test]
fn frames_end_at_the_delimiter_however_they_come() {
    check("\n", &["1,2\n3,4\n"], &[whole("1,2"), whole("3,4")]);
    check("\n", &["1,", "2", "\n3", ",4\n5"], &[whole("1,2"), whole("3,4")]);
    check("\n", &["1,2\r\n"], &[whole("1,2")]);
    check("\n", &["\n\r\n1\n"], &[whole("1")]);
    check("##", &["1#2#", "#3##"], &[whole("1#2"), whole("3")]);
}

#[test]
fn a_frame_that_is_too_long_is_broken_and_the_next_is_not() {
    check("\n", &["12345678\n"], &[whole("12345678")]);
    check("\n", &["123456789\n1\n"], &[Frame::Broken, whole("1")]);
    check("\n", &[&"9".repeat(1000), "\n1\n"], &[Frame::Broken, whole("1")]);
    check("##", &[&"9".repeat(1000), "##1##"], &[Frame::Broken, whole("1")]);
}

#[test]
fn what_is_joined_in_the_middle_is_broken() {
    let mut framer = Framer::new(&lines());
    assert_eq!(framer.push(b"2.5,7\n1,2\n", Before::Flow), [Frame::Broken, whole("1,2")]);
    framer.reset();
    assert_eq!(framer.push(b"5,7\n", Before::Flow), [Frame::Broken]);
}

#[test]
fn what_a_pause_has_cut_is_not_joined_to_what_follows() {
    let mut framer = Framer::new(&lines());
    assert_eq!(framer.push(b"1", Before::Pause), []);
    assert_eq!(framer.push(b"2.5,7\n", Before::Pause), [Frame::Broken, whole("2.5,7")]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_frame_longer_than_allowed(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut framer = Framer::new(&lines());
        for part in parts {
            for frame in framer.push(&part, Before::Flow) {
                if let Frame::Whole(bytes) = frame {
                    prop_assert!(bytes.len() <= 8 && !bytes.is_empty() && !bytes.contains(&b'\n'));
                }
            }
            prop_assert!(framer.bytes.len() <= 9);
        }
    }
}
