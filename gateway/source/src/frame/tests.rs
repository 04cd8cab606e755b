//! Promises about frames.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{ChecksumKind, LengthPrefix, Order};

/// What comes over a line.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Vec<u8>),
    Pause,
}

fn whole(bytes: impl AsRef<[u8]>) -> Frame {
    Frame::Whole(bytes.as_ref().to_vec())
}

const BROKEN: Frame = Frame::Broken(Reason::Framing);
const WRONG_SUM: Frame = Frame::Broken(Reason::Crc);

/// Pauses stand in a script as this text.
const PAUSE_SIGN: &str = " … ";

fn steps(script: &str) -> Vec<Step> {
    let bursts = script.split(PAUSE_SIGN).map(|burst| Step::Bytes(burst.as_bytes().to_vec()));
    bursts.flat_map(|burst| [burst, Step::Pause]).collect::<Vec<_>>().split_last().unwrap().1.to_vec()
}

fn run(framer: &mut Framer, steps: &[Step], chunk: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    for step in steps {
        match step {
            Step::Bytes(bytes) => bytes.chunks(chunk).for_each(|chunk| frames.extend(framer.push(chunk))),
            Step::Pause => frames.extend(framer.pause()),
        }
    }
    frames
}

/// What comes of a script, at once and byte by byte.
fn check_with(framing: &Framing, checksum: Option<Checksum>, first: Next, steps: &[Step], expected: &[Frame]) {
    for chunk in [usize::MAX, 3, 1] {
        let mut framer = Framer::new(framing, checksum);
        framer.forget(first);
        assert_eq!(run(&mut framer, steps, chunk), expected, "{framing:?} {steps:02X?} in pieces of {chunk}");
    }
}

fn lines(delimiter: &str) -> Framing {
    Framing::Delimiter { delimiter: delimiter.as_bytes().to_vec(), max: 8 }
}

fn marks(start: &str, stop: &str) -> Framing {
    Framing::Marks { start: start.as_bytes().to_vec(), stop: stop.as_bytes().to_vec(), max: 8 }
}

fn fixed(start: &str, len: usize) -> Framing {
    Framing::Fixed { start: start.as_bytes().to_vec(), len }
}

fn silence() -> Framing {
    Framing::Silence { gap: Duration::from_millis(20), max: 8 }
}

/// `#`, how many bytes follow, and they.
fn counted() -> Framing {
    let start = b"#".to_vec();
    Framing::Length(LengthPrefix { start, at: 1, width: 1, order: Order::Abcd, extra: 2, max: 10 })
}

/// Nova SDS011.
const SDS011: [u8; 10] = [0xAA, 0xC0, 0xD4, 0x04, 0x3A, 0x0A, 0xA1, 0x60, 0x1D, 0xAB];

fn sds011() -> (Framing, Option<Checksum>) {
    let checksum = Checksum { kind: ChecksumKind::Sum8, skip: 2, behind: 1, order: Order::Abcd };
    (Framing::Fixed { start: vec![0xAA, 0xC0], len: 10 }, Some(checksum))
}

/// A Plantower PMS5003, whose frame tells its length, and a frame of it.
fn pms5003() -> (Framing, Option<Checksum>, Vec<u8>) {
    let prefix = LengthPrefix { start: vec![0x42, 0x4D], at: 2, width: 2, order: Order::Abcd, extra: 4, max: 32 };
    let checksum = Checksum { kind: ChecksumKind::Sum16, skip: 0, behind: 0, order: Order::Abcd };
    let mut frame = vec![0x42, 0x4D, 0x00, 0x1C];
    frame.extend((5_u16..18).flat_map(u16::to_be_bytes));
    let sum: u16 = frame.iter().map(|&byte| u16::from(byte)).sum();
    frame.extend(sum.to_be_bytes());
    (Framing::Length(prefix), Some(checksum), frame)
}

#[test]
fn frames_end_where_they_say() {
    let check = |framing: &Framing, script: &str, expected: &[Frame]| {
        check_with(framing, None, Next::Frame, &steps(script), expected);
    };
    check(&lines("\n"), "1,2\n3,4\n", &[whole("1,2"), whole("3,4")]);
    check(&lines("\n"), "1,2\r\n\r\n1\n5", &[whole("1,2"), whole("1")]);
    check(&lines("\r"), "R1\r\nR2\r\n", &[whole("R1"), whole("R2")]);
    check(&lines("\r\n"), "1\r2\n3\r\n", &[whole("1\r2\n3")]);
    check(&lines("##"), "1#2##3##", &[whole("1#2"), whole("3")]);
    check(&marks("<", ">"), "<1>\r\n<2><><34567890>", &[whole("1"), whole("2"), whole("34567890")]);
    check(&marks("\u{2}", "\r\n"), "\u{2}1\r2\r\n\u{2}3\r\n", &[whole("1\r2"), whole("3")]);
    check(&fixed("R", 5), "R1234R5678\rR9012", &[whole("R1234"), whole("R5678"), whole("R9012")]);
    check(&fixed("", 3), "123456 … 789", &[whole("123"), whole("456"), whole("789")]);
    check(&counted(), "#\u{1}1#\u{8}12345678#\u{0}", &[whole("#\u{1}1"), whole("#\u{8}12345678"), whole("#\u{0}")]);
    check(&silence(), "1,2 … 3 … 12345678 … ", &[whole("1,2"), whole("3"), whole("12345678")]);
}

#[test]
fn a_frame_that_is_too_long_is_broken_and_the_next_is_not() {
    let check = |framing: &Framing, script: &str, expected: &[Frame]| {
        check_with(framing, None, Next::Frame, &steps(script), expected);
    };
    let long = "9".repeat(1000);
    check(&lines("\n"), "12345678\n123456789\n1\n", &[whole("12345678"), BROKEN, whole("1")]);
    check(&lines("\n"), &format!("{long}\n1\n"), &[BROKEN, whole("1")]);
    check(&lines("\n"), &format!("{long} … 1\n"), &[BROKEN, whole("1")]);
    check(&lines("##"), &format!("{long}##1##"), &[BROKEN, whole("1")]);
    check(&marks("<", ">"), &format!("<{long}><1>"), &[BROKEN, whole("1")]);
    check(&counted(), "#\u{9}123456789#\u{1}1 … ", &[BROKEN, whole("#\u{1}1")]);
    check(&silence(), &format!("123456789 … 1 … {long} … 2 … "), &[BROKEN, whole("1"), BROKEN, whole("2")]);
}

#[test]
fn what_is_joined_in_the_middle_is_not_handed_up() {
    let check = |framing: &Framing, script: &str, expected: &[Frame]| {
        check_with(framing, None, Next::Unknown, &steps(script), expected);
    };
    check(&lines("\n"), "2.5,7\n1,2\n", &[BROKEN, whole("1,2")]);
    check(&lines("\n"), " … 1,2\n", &[whole("1,2")]);
    check(&marks("<", ">"), "2.5><1>", &[whole("1")]);
    // A mark in the data: the next frame's mark does not follow where it would have to.
    check(&fixed("R", 5), "R4R5678R9012R34", &[BROKEN, whole("R5678"), whole("R9012")]);
    check(&fixed("R", 5), "34R5678 … R9012", &[whole("R5678"), whole("R9012")]);
    check(&fixed("R", 5), "34R5678\r\nR9012", &[whole("R5678"), whole("R9012")]);
    check(&fixed("", 3), "23456 … 789", &[whole("789")]);
    check(&counted(), "1#\u{2}34 … #\u{1}5", &[whole("#\u{2}34"), whole("#\u{1}5")]);
    check(&silence(), "2.5 … 1 … ", &[BROKEN, whole("1")]);
}

#[test]
fn what_a_pause_has_cut_is_broken_and_so_is_its_rest() {
    let check = |framing: &Framing, script: &str, expected: &[Frame]| {
        check_with(framing, None, Next::Frame, &steps(script), expected);
    };
    check(&lines("\n"), "1 … 2.5,7\n1,2\n", &[BROKEN, BROKEN, whole("1,2")]);
    check(&marks("<", ">"), "<1 … 2><3>", &[BROKEN, whole("3")]);
    check(&marks("<", ">"), "<1<2>", &[BROKEN, whole("2")]);
    check(&fixed("R", 5), "R12 … 34R5678 … ", &[BROKEN, whole("R5678")]);
    check(&fixed("R", 5), "R12 … R4R5678 … ", &[BROKEN, BROKEN, whole("R5678")]);
    check(&fixed("", 3), "12 … 345 … ", &[BROKEN, whole("345")]);
    check(&counted(), "#\u{3}1 … 23#\u{1}4#\u{1}5", &[BROKEN, whole("#\u{1}4"), whole("#\u{1}5")]);
}

#[test]
fn a_check_sum_finds_the_frame_among_false_beginnings() {
    let (framing, checksum) = sds011();
    let check = |bytes: Vec<u8>, expected: &[Frame]| {
        check_with(&framing, checksum, Next::Unknown, &[Step::Bytes(bytes), Step::Pause], expected);
    };
    let good = whole(SDS011);
    check(SDS011.to_vec(), std::slice::from_ref(&good));
    check([&SDS011[4..], &SDS011, &SDS011].concat(), &[good.clone(), good.clone()]);
    check([&[0xAA, 0xC0, 1][..], &SDS011, &SDS011].concat(), &[WRONG_SUM, good.clone(), good.clone()]);
    // One damaged frame costs one frame, also where its data looks like a beginning.
    let mut damaged = SDS011;
    damaged[4] = 0xAA;
    damaged[5] = 0xC0;
    check([damaged, SDS011, SDS011].concat(), &[WRONG_SUM, good.clone(), good.clone()]);
    // A lost byte costs one, too.
    check(
        [&SDS011[1..5], &SDS011[..4], &SDS011[5..], &SDS011, &SDS011].concat(),
        &[WRONG_SUM, good.clone(), good.clone()],
    );
    check(SDS011[..9].to_vec(), &[BROKEN]);
    // A check sum that never fits is told for each frame.
    check([damaged, damaged, damaged].concat(), &[WRONG_SUM, WRONG_SUM, WRONG_SUM]);

    let (framing, checksum, frame) = pms5003();
    let good = whole(&frame);
    let false_start = [0x42, 0x4D, 0x00, 0x1C];
    let bytes = [&false_start[..], &frame, &[0x42], &frame, &false_start, &frame].concat();
    let expected = [WRONG_SUM, good.clone(), good.clone(), WRONG_SUM, good];
    check_with(&framing, checksum, Next::Unknown, &[Step::Bytes(bytes), Step::Pause], &expected);

    let xor = Checksum { kind: ChecksumKind::Xor8, skip: 0, behind: 0, order: Order::Abcd };
    let steps = [Step::Bytes(b"<<33>>\x09\x09\x00<1\x00><\x05\x05>".to_vec())];
    check_with(
        &marks("<", ">"),
        Some(xor),
        Next::Unknown,
        &steps,
        &[WRONG_SUM, whole("33"), WRONG_SUM, whole("\x05\x05")],
    );
    let steps = [Step::Bytes(b"11\n12\n".to_vec())];
    check_with(&lines("\n"), Some(xor), Next::Frame, &steps, &[whole("11"), WRONG_SUM]);
}

#[test]
fn bytes_that_are_no_part_of_a_frame_are_counted() {
    let noise = |framing: &Framing, script: &str, expected: u64| {
        let mut framer = Framer::new(framing, None);
        run(&mut framer, &steps(script), usize::MAX);
        assert_eq!(framer.take_noise(), expected, "{script:?}");
        assert_eq!(framer.take_noise(), 0);
    };
    noise(&marks("<", ">"), "123<1>\r\n<2>", 5);
    noise(&fixed("R", 3), "12 … R34xyzR56", 5);
    noise(&fixed("", 3), "12 … 345", 2);
}

fn any_framing() -> impl Strategy<Value = (Framing, Option<Checksum>)> {
    let framings = vec![
        lines("\n"),
        lines("\r"),
        lines("ab"),
        marks("a", "b"),
        marks("ab", "ba"),
        marks("aa", "a"),
        fixed("a", 4),
        fixed("aab", 5),
        fixed("", 3),
        counted(),
        Framing::Length(LengthPrefix { start: b"a".to_vec(), at: 2, width: 2, order: Order::Dcba, extra: 0, max: 10 }),
        silence(),
    ];
    let xor = Checksum { kind: ChecksumKind::Xor8, skip: 0, behind: 0, order: Order::Abcd };
    (prop::sample::select(framings), prop::sample::select(vec![None, Some(xor)]))
}

/// Bytes of which many are marks, line ends and lengths.
fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"aaabb#\n\r\x00\x01\x04\x05".to_vec()), any::<u8>()];
    prop::collection::vec(byte, 0..most)
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![4 => any_bytes(40).prop_map(Step::Bytes), 1 => Just(Step::Pause)];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn frames_do_not_depend_on_how_the_bytes_come((framing, checksum) in any_framing(), steps in any_steps(), chunk in 1_usize..20) {
        let frames = run(&mut Framer::new(&framing, checksum), &steps, usize::MAX);
        prop_assert_eq!(run(&mut Framer::new(&framing, checksum), &steps, chunk), frames);
    }

    #[test]
    fn no_bytes_make_a_frame_longer_than_allowed_or_fill_the_memory(
        (framing, checksum) in any_framing(), steps in any_steps()
    ) {
        let mut framer = Framer::new(&framing, checksum);
        for step in &steps {
            for frame in run(&mut framer, std::slice::from_ref(step), 7) {
                if let Frame::Whole(bytes) = frame {
                    prop_assert!(bytes.len() <= 10 && !bytes.is_empty());
                    prop_assert!(checksum.is_none_or(|checksum| checksum.fits(&bytes)));
                }
            }
            prop_assert!(framer.kept() <= 16, "{} bytes", framer.kept());
        }
    }
}

#[test]
fn a_good_frame_comes_through_after_any_garbage() {
    let check = |framing: &Framing, checksum, steps: &[&[u8]], expected: &[u8]| {
        let mut framer = Framer::new(framing, checksum);
        let mut frames = run(&mut framer, &[Step::Bytes(steps.concat())], 512);
        frames.extend(framer.pause());
        assert_eq!(frames.last(), Some(&whole(expected)), "{framing:?}");
    };
    let (fixed_framing, sum8) = sds011();
    let (length_framing, sum16, pms5003) = pms5003();
    let mut seed = 1_u64;
    for round in 0..100 {
        let byte = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_be_bytes()[0]
        };
        let garbage: Vec<u8> = (0..20_000).map(byte).collect();
        let cut = &SDS011[..round % 9];
        check(&fixed_framing, sum8, &[&garbage, cut, &SDS011], &SDS011);
        check(&length_framing, sum16, &[&garbage, &pms5003[..round % 31], &pms5003], &pms5003);
        check(&lines("\n"), None, &[&garbage, b"\n1,2\n"], b"1,2");
        check(&marks("<", ">"), None, &[&garbage, b"<1,2>"], b"1,2");
        check(&fixed("RR", 6), None, &[&garbage, b"RR1234"], b"RR1234");
        check(&counted(), None, &[&garbage, b"#\x041234"], b"#\x041234");
    }
}
