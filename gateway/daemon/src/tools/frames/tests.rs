//! Promises of the dump: a frame is what stood on the wire, and a line says all of it.

use curb_model::HubTime;
use proptest::prelude::*;

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    [body, &crc16(body).to_le_bytes()].concat()
}

fn chunk(ms: i64, direction: Direction, bytes: &[u8]) -> Chunk {
    Chunk { at: HubTime::from_nanos(ms * 1_000_000), direction, bytes: bytes.into() }
}

fn rtu() -> Grouper {
    Grouper::new("cabinet", &Link::Rtu(SerialConfig::new("/dev/x", 11_000)), None)
}

#[test]
fn a_line_reads_as_documented() {
    let check = |line: &str, bytes: &[u8], check: Check| {
        let frame: Frame = line.parse().unwrap();
        assert_eq!((frame.bytes.as_slice(), frame.check), (bytes, check), "{line}");
        assert_eq!(frame.to_string(), line);
    };
    let read = framed(&[3, 3, 0, 0, 0, 2]);
    check("(12.345678) cabinet > 03 03 0000 0002 C5E9 ok gap 2.100ms", &read, Check::Right);
    let answer = framed(&[3, 3, 4, 0x43, 0x66, 0x33, 0x33]);
    let crc = format!("{:02X}{:02X}", answer[7], answer[8]);
    check(&format!("(0.000001) ttyUSB0 < 03 03 04 4366 3333 {crc} ok gap -"), &answer, Check::Right);
    check("(0.000000) cabinet < 00 bad gap 0.000ms", &[0], Check::Wrong);
    check(
        "(1.000000) lan > 0001 0000 0006 01 03 0064 0002 tcp gap -",
        &[0, 1, 0, 0, 0, 6, 1, 3, 0, 100, 0, 2],
        Check::Tcp,
    );
    let write = framed(&[3, 16, 0, 5, 0, 1, 2, 0, 7]);
    assert!(write_line(&write).contains("03 10 0005 0001 02 0007"), "{}", write_line(&write));
    for wrong in [
        "",
        "# note",
        "(1.0) x > 00 ok gap -",
        "(1.000000) x = 00 ok gap -",
        "(1.000000) x > 0 ok gap -",
        "(1.000000) x > 00 gap -",
        "(1.000000) x > 00 ok gap 1ms",
        "(1.000000) x > 00 ok gap - more",
    ] {
        assert!(wrong.parse::<Frame>().is_err(), "{wrong}");
    }
}

fn write_line(bytes: &[u8]) -> String {
    let (bus, direction) = ("b".to_owned(), Direction::Sent);
    Frame { at_us: 0, bus, direction, bytes: bytes.to_vec(), check: Check::Right, gap_us: None }.to_string()
}

#[test]
fn request_and_answer_are_two_frames_with_their_gap() {
    let mut grouper = rtu();
    let request = framed(&[3, 3, 0, 0, 0, 2]);
    let answer = framed(&[3, 3, 4, 1, 2, 3, 4]);
    // 11 bits at 11,000 baud: a byte takes a millisecond.
    let frames = grouper.push(&chunk(100, Direction::Sent, &request));
    assert_eq!((frames.len(), frames[0].at_us, frames[0].gap_us), (1, 100_000, None));
    assert_eq!(grouper.push(&chunk(115, Direction::Received, &answer[..4])), []);
    assert!(grouper.waits());
    let frames = grouper.push(&chunk(120, Direction::Received, &answer[4..]));
    assert_eq!(frames.len(), 1);
    let Frame { at_us, gap_us, check, .. } = frames[0];
    // It began 4 ms before its first part was there, and the request had ended at 108.
    assert_eq!((at_us, gap_us, check), (111_000, Some(3_000), Check::Right));
}

#[test]
fn strange_bytes_end_by_silence_and_cost_no_good_frame() {
    let mut grouper = rtu();
    let request = framed(&[3, 3, 0, 0, 0, 2]);
    let answer = framed(&[3, 0x83, 2]);
    // Another master on the line: noise, its request and the answer, all in one read.
    let all = [&[0xFF, 0x00][..], &request, &answer].concat();
    let frames = grouper.push(&chunk(100, Direction::Received, &all));
    assert_eq!(frames, [], "noise at the front: only silence says that this is all");
    let frames = grouper.flush();
    let seen: Vec<_> = frames.iter().map(|frame| (frame.bytes.len(), frame.check)).collect();
    assert_eq!(seen, [(2, Check::Wrong), (8, Check::Right), (5, Check::Right)]);
    // A frame that is cut off, and one that begins after a silence.
    assert_eq!(grouper.push(&chunk(200, Direction::Received, &request[..5])), []);
    let frames = grouper.push(&chunk(300, Direction::Received, &request));
    let seen: Vec<_> = frames.iter().map(|frame| (frame.bytes.len(), frame.check)).collect();
    assert_eq!(seen, [(5, Check::Wrong), (8, Check::Right)]);
    // A function that nobody knows, whole by its check sum.
    grouper.push(&chunk(400, Direction::Received, &framed(&[3, 0x65, 1, 2, 3, 4, 5])));
    assert_eq!(grouper.flush()[0].check, Check::Right);
}

#[test]
fn frames_of_modbus_tcp_end_by_their_length() {
    let mut grouper = Grouper::new("lan", &Link::Tcp("192.0.2.1:502".to_owned()), None);
    let answer = [0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7];
    assert_eq!(grouper.push(&chunk(1, Direction::Received, &answer[..7])), []);
    let frames = grouper.push(&chunk(2, Direction::Received, &answer[7..]));
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].pdu(), Some((1, &answer[7..])));
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        at_us in 0_u64..10_u64.pow(15),
        bus in "[a-z][a-z0-9-]{0,10}",
        sent in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        check in prop::sample::select(vec![Check::Right, Check::Wrong, Check::Tcp, Check::None]),
        gap_us in prop::option::of(0_u64..10_u64.pow(9)),
    ) {
        let direction = if sent { Direction::Sent } else { Direction::Received };
        let frame = Frame { at_us, bus, direction, bytes, check, gap_us };
        prop_assert_eq!(frame.to_string().parse::<Frame>(), Ok(frame));
    }

    /// However the bytes are cut into chunks, none is lost or made up.
    #[test]
    fn every_byte_is_in_exactly_one_frame(
        chunks in prop::collection::vec((0_i64..60, any::<bool>(), prop::collection::vec(any::<u8>(), 1..30)), 1..20),
    ) {
        let mut grouper = rtu();
        let (mut at, mut frames, mut all) = (0, Vec::new(), Vec::new());
        for (later, sent, bytes) in chunks {
            at += later;
            let direction = if sent { Direction::Sent } else { Direction::Received };
            all.extend(bytes.iter().map(|&byte| (direction, byte)));
            frames.extend(grouper.push(&chunk(at, direction, &bytes)));
        }
        frames.extend(grouper.flush());
        let seen: Vec<_> =
            frames.iter().flat_map(|frame| frame.bytes.iter().map(|&byte| (frame.direction, byte))).collect();
        prop_assert_eq!(seen, all);
    }
}
