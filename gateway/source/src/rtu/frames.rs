//! Finds RTU frames in bytes. Pure.

use crate::query::{Progress, Query, REFUSAL};

/// What the beginning of some bytes is, to somebody who waits for the answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// The answer, or the unit's refusal, with this length and a right check sum.
    Whole(usize),
    /// It may become one.
    Partial,
    /// It looks like one, but its check sum does not fit.
    Garbled,
    /// Something else.
    Other,
}

/// What bytes are that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A unit's answer to a read.
    Answer { unit: u8, function: u8, data_len: u8 },
    /// Another frame with a right check sum.
    Other,
    /// One byte that belongs to no frame.
    Noise,
}

const REFUSAL_LEN: usize = 5;
/// Reads and writes of one register or coil, and the answers to writes.
const SHORT_LEN: usize = 8;
/// Unit, function, byte count, check sum.
const ANSWER_OVERHEAD: usize = 5;

/// Unit before the function code, check sum behind the rest.
pub(super) const AROUND_PDU: usize = 3;

/// Whether an answer is a refusal.
pub(super) fn is_refusal(frame: &[u8]) -> bool {
    frame.get(1).is_some_and(|function| function & REFUSAL != 0)
}

/// What `bytes` begin with. `request` is the frame that was sent.
pub(super) fn head(bytes: &[u8], query: Query, request: &[u8]) -> Head {
    if bytes.first().is_some_and(|&unit| unit != query.unit) {
        return Head::Other;
    }
    // An answer is checked as a whole: what stands behind it is not part of it.
    let pdu = bytes.get(1..).unwrap_or_default();
    let len = match query.progress(pdu, request.get(1..).unwrap_or_default()) {
        Progress::Length(len) => len + AROUND_PDU,
        Progress::Open => return Head::Partial,
        Progress::Foreign => return Head::Other,
    };
    match bytes.get(..len) {
        None => Head::Partial,
        Some(frame) if has_right_crc(frame) => Head::Whole(len),
        Some(_) => Head::Garbled,
    }
}

/// Where the answer to `ask` is in `bytes`, and how long it is. While the bytes may still become the answer as they stand,
/// nothing is sought within them: measured data can look like a frame.
pub(super) fn find(bytes: &[u8], query: Query, request: &[u8]) -> Option<(usize, usize)> {
    if head(bytes, query, request) == Head::Partial {
        return None;
    }
    (0..bytes.len()).find_map(|at| match head(&bytes[at..], query, request) {
        Head::Whole(len) => Some((at, len)),
        Head::Partial | Head::Garbled | Head::Other => None,
    })
}

/// What all of `bytes` are, in order.
pub(super) fn kinds(bytes: &[u8]) -> impl Iterator<Item = Kind> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (kind, len) = kind_of_head(bytes.get(at..).filter(|rest| !rest.is_empty())?);
        at += len;
        Some(kind)
    })
}

fn kind_of_head(bytes: &[u8]) -> (Kind, usize) {
    let is_frame = |len: usize| bytes.get(..len).is_some_and(has_right_crc);
    let [unit, function, third] = match bytes {
        [unit, function, third, ..] => [*unit, *function, *third],
        _ => return (Kind::Noise, 1),
    };
    let answer_len = usize::from(third) + ANSWER_OVERHEAD;
    match function {
        1..=4 if is_frame(answer_len) => (Kind::Answer { unit, function, data_len: third }, answer_len),
        1..=6 | 15 | 16 if is_frame(SHORT_LEN) => (Kind::Other, SHORT_LEN),
        0x81..=0xFF if is_frame(REFUSAL_LEN) => (Kind::Other, REFUSAL_LEN),
        _ => (Kind::Noise, 1),
    }
}

fn has_right_crc(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, crc)| crc16(body).to_le_bytes() == *crc)
}

/// CRC-16/MODBUS.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| CRC_TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8))
}

/// The polynomial 0xA001 (0x8005 reflected), for each byte.
const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};
