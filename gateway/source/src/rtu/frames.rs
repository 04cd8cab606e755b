//! Finds RTU frames in bytes. Pure.

use crate::config::ModbusDevice;
use crate::query::{Progress, Query, REFUSAL, Shape};

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
    /// A unit's answer to a read; or, if it looks like both, a master's request for the second.
    Answer(Query, Option<Query>),
    /// A master's request; of a read it is known what its answer will look like.
    Request(Option<Query>),
    /// Another frame with a right check sum: a refusal, or a write, whose request and answer look the same.
    Other,
    /// One byte that belongs to no frame.
    Noise,
}

const REFUSAL_LEN: usize = 5;
/// Reads and writes of one register or coil, and the answers to writes.
const SHORT_LEN: usize = 8;
/// Unit, function, byte count, check sum.
const ANSWER_OVERHEAD: usize = 5;
/// Unit, function, address, quantity, byte count, check sum.
const LONG_WRITE_OVERHEAD: usize = 9;
/// To all units at once: only a master says it.
const EVERYBODY: u8 = 0;
/// The longest frame (Modbus over Serial Line 1.02, section 2.5.1).
pub(super) const MAX_FRAME: usize = 256;

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

/// Whether `bytes` are the answer to a read but for its first one, two or three bytes.
pub(super) fn is_headless(bytes: &[u8], query: Query) -> bool {
    let Shape::Data(data_len) = query.shape else { return false };
    let head = [query.unit, query.function, data_len];
    let lost = (query.least_len() + AROUND_PDU).checked_sub(bytes.len()).and_then(|lost| head.get(..lost));
    lost.is_some_and(|lost| !lost.is_empty() && has_right_crc(&[lost, bytes].concat()))
}

/// What `bytes` begin with, and how long that is. `bytes` are not empty.
pub(super) fn first(bytes: &[u8]) -> (Kind, usize) {
    let is_frame = |len: usize| bytes.get(..len).is_some_and(has_right_crc);
    let [unit, function, third] = match bytes {
        [unit, function, third, ..] => [*unit, *function, *third],
        _ => return (Kind::Noise, 1),
    };
    let answer_len = usize::from(third) + ANSWER_OVERHEAD;
    let long_write_len = bytes.get(6).map_or(usize::MAX, |count| usize::from(*count) + LONG_WRITE_OVERHEAD);
    match function {
        // Registers have two bytes each; what looks odd is a request whose address begins so. Three bytes of bits and such
        // a request cannot be told apart.
        1..=4 if third > 0 && (function <= 2 || third % 2 == 0) && is_frame(answer_len) => {
            let request = if answer_len == SHORT_LEN { asked(bytes) } else { None };
            (Kind::Answer(Query { unit, function, shape: Shape::Data(third) }, request), answer_len)
        }
        1..=4 if is_frame(SHORT_LEN) => (Kind::Request(asked(bytes)), SHORT_LEN),
        15 | 16 if is_frame(long_write_len) => (Kind::Request(None), long_write_len),
        5 | 6 if unit == EVERYBODY && is_frame(SHORT_LEN) => (Kind::Request(None), SHORT_LEN),
        5 | 6 | 15 | 16 if is_frame(SHORT_LEN) => (Kind::Other, SHORT_LEN),
        0x81..=0xFF if is_frame(REFUSAL_LEN) => (Kind::Other, REFUSAL_LEN),
        _ => (Kind::Noise, 1),
    }
}

/// The answer that a request to read asks for; `None` if it asks for more than there may be.
fn asked(request: &[u8]) -> Option<Query> {
    let [unit, function, _, _, high, low, ..] = *request else { return None };
    let quantity = u16::from_be_bytes([high, low]);
    let (bytes, max) = if function <= 2 {
        (quantity.div_ceil(8), ModbusDevice::MAX_BITS)
    } else {
        (quantity.saturating_mul(2), ModbusDevice::MAX_REGISTERS)
    };
    let data_len = u8::try_from(bytes).ok().filter(|_| (1..=max).contains(&quantity))?;
    Some(Query { unit, function, shape: Shape::Data(data_len) })
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
