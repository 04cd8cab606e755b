//! Devices that talk by themselves, or when they are asked in words of their own.

use std::sync::Arc;
use std::time::Duration;

use curb_model::Point;

use super::{Bits, Conversion, Encoding, Order, Pattern};

/// What parts one frame from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// A text that ends each frame. The other half of a line's end, a carriage return before a line feed or a line feed
    /// behind a carriage return, is not part of the frame.
    Delimiter {
        /// 1 to 8 bytes.
        delimiter: Vec<u8>,
        /// Bytes in a frame at most, without the delimiter: a line that loses its delimiters must not fill the memory.
        max: usize,
    },
    /// A mark before and a mark behind each frame; what stands between frames is passed over. Neither is part of the frame.
    Marks {
        /// 1 to 8 bytes.
        start: Vec<u8>,
        /// 1 to 8 bytes.
        stop: Vec<u8>,
        /// Bytes between the marks, at most [`Framing::MOST_WITH_MARK`].
        max: usize,
    },
    /// Frames of one length, each with a mark at its beginning that is part of it.
    Fixed {
        /// 0 to 8 bytes; without a mark a frame begins after a pause, a request, or another frame.
        start: Vec<u8>,
        /// Bytes in a frame, the mark included, at most [`Framing::MOST_WITH_MARK`].
        len: usize,
    },
    /// Frames that tell their length.
    Length(LengthPrefix),
    /// A silence of this length parts frames.
    Silence {
        /// Not zero.
        gap: Duration,
        /// Bytes in a frame at most.
        max: usize,
    },
}

impl Framing {
    /// Bytes of a frame that is known by a mark, at most. What begins with a mark and is no frame is looked at again from
    /// its second byte, so garbage may cost this many looks for each of its bytes; no sensor's frame has a tenth of it.
    pub const MOST_WITH_MARK: usize = 4096;
}

/// A frame that tells its length in its head.
///
/// ```text
/// start (0 to 8)   …   length at `at`, `width` bytes   …          the frame is `length + extra` bytes, all included
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LengthPrefix {
    /// Mark at the beginning, part of the frame. Without one a frame begins after a pause, a request, or another frame.
    pub start: Vec<u8>,
    /// Where the length stands, in bytes from the frame's beginning.
    pub at: usize,
    /// Bytes of the length: 1 or 2.
    pub width: usize,
    /// Order of its bytes: [`Order::Abcd`] most significant first, [`Order::Dcba`] least.
    pub order: Order,
    /// Bytes of the frame that the length does not count.
    pub extra: usize,
    /// Bytes in a frame, at most [`Framing::MOST_WITH_MARK`]; a greater length is noise.
    pub max: usize,
}

/// A device that sends frames.
#[derive(Debug, Clone, PartialEq)]
pub struct TalkerDevice {
    /// What stands in a frame.
    pub decode: Decode,
    /// How long it may say nothing of a point before that is told as *bad, stale*, and again after each such time. Not
    /// zero. Without meaning where there is a request: an answer that does not come is a time-out.
    pub stale_after: Duration,
    /// What it is asked with; `None`: it talks by itself.
    pub request: Option<Request>,
    /// What is taken from a frame.
    pub points: Vec<TalkerPoint>,
}

/// A question to a device that answers with a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// How often. Not zero.
    pub every: Duration,
    /// From the last byte of the request to the end of the answer. Not zero.
    pub timeout: Duration,
}

/// What stands in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decode {
    /// Text in columns.
    Csv {
        /// What parts the columns; usually a comma. A blank: any run of blanks.
        separator: char,
    },
    /// A JSON document.
    Json,
    /// Text that a regular expression with named groups fits.
    Regex(Pattern),
    /// A sentence of NMEA 0183, whose check sum must fit.
    Nmea,
    /// Fields of bytes.
    Binary {
        /// What the frame is checked by. Framing by marks looks for another frame where it does not fit.
        checksum: Option<Checksum>,
    },
}

/// The check sum of a binary frame.
///
/// ```text
/// skip bytes │ bytes that are covered │ check sum, 1 or 2 bytes │ behind bytes
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// How it is computed.
    pub kind: ChecksumKind,
    /// Bytes at the beginning of the frame that it does not cover.
    pub skip: usize,
    /// Bytes behind it, at the end of the frame, such as a stop mark.
    pub behind: usize,
    /// Order of its bytes, where it has two.
    pub order: Order,
}

/// How a check sum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumKind {
    /// Sum of the bytes, modulo 256.
    Sum8,
    /// Sum of the bytes, modulo 65,536.
    Sum16,
    /// Exclusive or of the bytes.
    Xor8,
    /// Two's complement of the sum, modulo 256: all bytes and the check sum add up to 0.
    Lrc8,
    /// CRC-16/MODBUS.
    Crc16Modbus,
}

/// A value in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct TalkerPoint {
    /// Name, type, unit and range.
    pub point: Arc<Point>,
    /// Where it stands.
    pub place: Place,
    /// From the number that stands there to the value.
    pub conversion: Conversion,
}

/// Where a value stands in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// [`Decode::Csv`]: a column, counted from 1.
    Column(u16),
    /// [`Decode::Json`]: a pointer such as `/sensors/0/pm25` (RFC 6901).
    Pointer(String),
    /// [`Decode::Regex`]: a named group.
    Group(String),
    /// [`Decode::Nmea`]: a sentence, by the three letters of its formatter (`RMC`) or by talker and formatter (`GPRMC`),
    /// and a field of it, counted from 1.
    Field {
        /// The sentence.
        sentence: String,
        /// The field.
        field: u16,
    },
    /// [`Decode::Binary`]: bytes.
    Bytes {
        /// Where they begin, counted from 0.
        at: usize,
        /// How the value lies there.
        encoding: Encoding,
        /// [`Order::Abcd`] most significant byte first, [`Order::Dcba`] least; the mixed orders for 4 and 8 bytes.
        order: Order,
        /// Only these bits of an unsigned number.
        bits: Option<Bits>,
    },
}
