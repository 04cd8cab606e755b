//! Promises of the small file, under every tear and every flipped bit.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const OLD: &[u8] = b"the content of the write before";
const NEW: &[u8] = b"the content of the last write, which is longer";

struct Fixture {
    _folder: tempfile::TempDir,
    file: File,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    Fixture { _folder: folder, file: File::new(&path), path }
}

/// As two writes leave it, without their syncs: thousands of these are made.
fn two_generations() -> Fixture {
    let fixture = fixture();
    std::fs::write(fixture.file.named("previous"), frame::encode(OLD).unwrap()).unwrap();
    std::fs::write(&fixture.path, frame::encode(NEW).unwrap()).unwrap();
    fixture
}

fn check_falls_back(fixture: &Fixture, case: &dyn std::fmt::Debug) {
    let read = fixture.file.read().unwrap().unwrap();
    assert_eq!(read.bytes, OLD, "{case:?}");
    assert_eq!(read.generation, Generation::Previous, "{case:?}");
    assert_eq!(read.damaged, Some(fixture.file.named("damaged")), "{case:?}");
    assert!(read.damaged.unwrap().exists() && !fixture.path.exists(), "{case:?}");
}

#[test]
fn checksum_is_the_one_that_everybody_knows() {
    assert_eq!(frame::crc32(b"123456789"), 0xCBF4_3926, "check value of CRC-32/ISO-HDLC");
}

#[test]
fn last_write_is_read_back() {
    let fixture = fixture();
    assert_eq!(fixture.file.read().unwrap(), None, "nothing was ever written");
    for content in [b"".as_slice(), OLD, NEW, b"\0\0\0"] {
        fixture.file.write(content).unwrap();
        let read = fixture.file.read().unwrap().unwrap();
        assert_eq!((read.bytes.as_slice(), read.generation, read.damaged), (content, Generation::Current, None));
    }
}

#[test]
fn what_was_removed_was_never_there_and_what_is_damaged_is_kept() {
    let fixture = two_generations();
    fixture.file.remove().unwrap();
    assert_eq!(fixture.file.read().unwrap(), None);
    fixture.file.remove().unwrap();
    let torn = two_generations();
    std::fs::write(&torn.path, b"CURBFIL1").unwrap();
    torn.file.remove().unwrap();
    assert_eq!(torn.file.read().unwrap(), None);
    assert!(torn.file.named("damaged").exists());
}

#[test]
fn two_writes_leave_two_generations() {
    let (written, planted) = (fixture(), two_generations());
    written.file.write(OLD).unwrap();
    written.file.write(NEW).unwrap();
    let files =
        |fixture: &Fixture| [&fixture.path, &fixture.file.named("previous")].map(|path| std::fs::read(path).unwrap());
    assert_eq!(files(&written), files(&planted));
    assert!(!written.file.named("new").exists(), "nothing is left behind");
}

#[test]
fn write_over_a_damaged_file_keeps_the_whole_previous_one() {
    let fixture = two_generations();
    std::fs::write(&fixture.path, b"torn").unwrap();
    fixture.file.write(b"newer").unwrap();
    assert_eq!(fixture.file.read().unwrap().unwrap().bytes, b"newer");
    assert_eq!(File::new(fixture.file.named("previous")).read().unwrap().unwrap().bytes, OLD);
}

#[test]
fn every_truncation_falls_back_and_says_so() {
    let whole = std::fs::read(&two_generations().path).unwrap();
    for len in 0..whole.len() {
        let fixture = two_generations();
        std::fs::write(&fixture.path, &whole[..len]).unwrap();
        check_falls_back(&fixture, &len);
    }
}

#[test]
fn every_flipped_bit_falls_back_and_says_so() {
    let whole = std::fs::read(&two_generations().path).unwrap();
    for bit in 0..whole.len() * 8 {
        let fixture = two_generations();
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&fixture.path, &flipped).unwrap();
        check_falls_back(&fixture, &bit);
    }
}

#[test]
fn zeros_garbage_and_a_longer_file_fall_back() {
    let whole = std::fs::read(&two_generations().path).unwrap();
    let longer = [whole.as_slice(), b"x"].concat();
    for content in [vec![0; whole.len()], vec![0xFF; 4096], longer, vec![0x20; frame::HEADER + MAX_LEN + 9]] {
        let fixture = two_generations();
        std::fs::write(&fixture.path, &content).unwrap();
        check_falls_back(&fixture, &content.len());
    }
}

/// The states of the folder between the steps of a write, and within its first one.
#[test]
fn write_that_is_cut_off_leaves_the_old_or_the_new_content() {
    let check = |cut: fn(&Fixture), expected: &[u8], generation| {
        let fixture = fixture();
        fixture.file.write(OLD).unwrap();
        cut(&fixture);
        let read = fixture.file.read().unwrap().unwrap();
        assert_eq!((read.bytes.as_slice(), read.generation, read.damaged), (expected, generation, None));
        fixture.file.write(NEW).unwrap();
        assert_eq!(fixture.file.read().unwrap().unwrap().bytes, NEW);
    };
    let torn = |fixture: &Fixture| std::fs::write(fixture.file.named("new"), b"CURB").unwrap();
    check(torn, OLD, Generation::Current);
    let written = |fixture: &Fixture| File::new(fixture.file.named("new")).write(NEW).unwrap();
    check(written, OLD, Generation::Current);
    let between = |fixture: &Fixture| rename(&fixture.path, &fixture.file.named("previous")).unwrap();
    check(between, OLD, Generation::Previous);
}

#[test]
fn lost_content_is_never_taken_for_one_that_never_was() {
    let check = |current: Option<&[u8]>, previous: Option<&[u8]>| {
        let fixture = fixture();
        current.inspect(|bytes| std::fs::write(&fixture.path, bytes).unwrap());
        previous.inspect(|bytes| std::fs::write(fixture.file.named("previous"), bytes).unwrap());
        for _ in 0..2 {
            assert!(matches!(fixture.file.read(), Err(Error::Damaged { .. })), "{current:?} {previous:?}");
        }
        fixture.file.write(NEW).unwrap();
        assert_eq!(fixture.file.read().unwrap().unwrap().bytes, NEW);
    };
    check(Some(b""), None);
    check(None, Some(b""));
    check(Some(b"CURBFIL1"), Some(b"\0\0\0\0"));
}

#[test]
fn too_long_a_content_is_refused_and_the_old_one_stays() {
    let fixture = two_generations();
    assert!(matches!(fixture.file.write(&vec![1; MAX_LEN + 1]), Err(Error::TooLong { .. })));
    assert_eq!(fixture.file.read().unwrap().unwrap().bytes, NEW);
}

#[test]
fn content_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = fixture();
    fixture.file.write(NEW).unwrap();
    let mode = std::fs::metadata(&fixture.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

proptest! {
    #[test]
    fn any_content_survives_its_frame(content: Vec<u8>) {
        let framed = frame::encode(&content).unwrap();
        prop_assert_eq!(frame::decode(framed), Some(content));
    }

    #[test]
    fn garbage_is_never_content(garbage: Vec<u8>) {
        prop_assert_eq!(frame::decode(garbage), None);
    }
}
