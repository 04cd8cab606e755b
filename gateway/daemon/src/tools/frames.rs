//! Bytes on a line → frames, and frames ↔ the lines of `curb bus dump`. Pure.
//!
//! ```text
//! (12.345678) cabinet > 03 03 0000 0002 C5E9 ok gap 2.100ms
//!  │          │       │ │                    │  └ since the last byte of the frame before; - for the first
//!  │          │       │ │                    └ check sum: ok, bad; tcp where the network checks; none of a talker
//!  │          │       │ └ as on the wire: unit, function, the rest in registers, check sum
//!  │          │       └ > from the hub, < to the hub; without the daemon everybody else's frames are <
//!  │          └ name of the bus, or the last part of the port's path
//!  └ hub time of the first byte, in seconds with microseconds
//! ```
//!
//! Lines that begin with `#` are notes. Where a frame ends is told by its function and a right check sum; where that does
//! not help, by silence. Times of bytes that came together are computed from the rate.
//!
//! Deliberately absent: anybody's idea of which unit sent a frame.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use curb_source::{Chunk, DataBits, Direction, Link, Parity, SerialConfig, StopBits};

use crate::field::unhex;

/// Bytes within a frame may be this far apart: a USB adapter hands over what it has every 16 ms.
const SETTLE: Duration = Duration::from_millis(20);

/// More than this without any frame in it is let go as it is.
const MOST: usize = 1024;

/// Bytes before unit and function of a Modbus TCP frame: transaction, protocol, length.
const TCP_HEAD: usize = 6;

/// What is known about a frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The check sum fits.
    Right,
    /// It does not.
    Wrong,
    /// A whole frame of Modbus TCP, which has none.
    Tcp,
    /// What a talker said between two silences: what it is made of is its own affair.
    None,
}

impl Check {
    /// The word behind the bytes.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "ok",
            Self::Wrong => "bad",
            Self::Tcp => "tcp",
            Self::None => "none",
        }
    }
}

/// Some bytes that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Hub time of the first byte, in microseconds.
    pub(crate) at_us: u64,
    /// Without blanks.
    pub(crate) bus: String,
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
    pub(crate) check: Check,
    /// Silence before it.
    pub(crate) gap_us: Option<u64>,
}

impl Frame {
    /// Unit, function and what follows, if the frame is whole.
    pub(crate) fn pdu(&self) -> Option<(u8, &[u8])> {
        match (self.check, self.bytes.as_slice()) {
            (Check::Right, [unit, pdu @ .., _, _]) => Some((*unit, pdu)),
            (Check::Tcp, bytes) => bytes.get(TCP_HEAD).zip(bytes.get(TCP_HEAD + 1..)).map(|(unit, pdu)| (*unit, pdu)),
            (Check::Right | Check::Wrong | Check::None, _) => None,
        }
    }

    /// How many bytes stand together, in order.
    fn groups(&self) -> Vec<usize> {
        let len = self.bytes.len();
        if self.check == Check::None {
            return vec![len];
        }
        let (mut groups, rest) = match self.check {
            Check::Tcp => (vec![2, 2, 2, 1, 1], len.saturating_sub(TCP_HEAD + 2)),
            Check::Right | Check::Wrong | Check::None => (vec![1, 1], len.saturating_sub(4)),
        };
        let start: usize = groups.iter().sum();
        let body = self.bytes.get(start..start + rest).unwrap_or_default();
        let counted = |at: usize| body.get(at).is_some_and(|&count| usize::from(count) == rest - at - 1);
        if counted(0) && rest % 2 == 1 {
            groups.push(1);
        } else if counted(4) {
            groups.extend([2, 2, 1]);
        }
        let grouped: usize = groups.iter().sum::<usize>() - start;
        let words = rest.saturating_sub(grouped);
        groups.extend(std::iter::repeat_n(2, words / 2));
        groups.extend((words % 2 == 1).then_some(1));
        groups.push(2);
        groups
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => '>',
            Direction::Received => '<',
        };
        write!(f, "({}.{:06}) {} {arrow}", self.at_us / 1_000_000, self.at_us % 1_000_000, self.bus)?;
        let mut rest = self.bytes.as_slice();
        for len in self.groups() {
            let (group, later) = rest.split_at(len.min(rest.len()));
            if !group.is_empty() {
                f.write_str(" ")?;
            }
            group.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
            rest = later;
        }
        write!(f, " {} gap ", self.check.as_str())?;
        match self.gap_us {
            None => f.write_str("-"),
            Some(gap) => write!(f, "{}.{:03}ms", gap / 1_000, gap % 1_000),
        }
    }
}

/// A line that is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a line of `curb bus dump`: {0}")]
pub(crate) struct NoFrame(&'static str);

impl FromStr for Frame {
    type Err = NoFrame;

    fn from_str(line: &str) -> Result<Self, NoFrame> {
        let mut words = line.split_whitespace();
        let time = words.next().and_then(|word| word.strip_prefix('(')?.strip_suffix(')'));
        let at_us = time.and_then(|time| fixed(time, 6)).ok_or(NoFrame("the time, as (12.345678)"))?;
        let bus = words.next().ok_or(NoFrame("the bus"))?.to_owned();
        let direction = match words.next() {
            Some(">") => Direction::Sent,
            Some("<") => Direction::Received,
            Some(_) | None => return Err(NoFrame("the direction, > or <")),
        };
        let mut digits = String::new();
        let check = loop {
            match words.next() {
                Some("ok") => break Check::Right,
                Some("bad") => break Check::Wrong,
                Some("tcp") => break Check::Tcp,
                Some("none") => break Check::None,
                Some(word) => digits.push_str(word),
                None => return Err(NoFrame("ok, bad, tcp or none behind the bytes")),
            }
        };
        let bytes = unhex(&digits).map_err(|_no_bytes| NoFrame("bytes as hexadecimal digits"))?;
        let gap_us = match (words.next(), words.next(), words.next()) {
            (Some("gap"), Some("-"), None) => None,
            (Some("gap"), Some(gap), None) => {
                let gap = gap.strip_suffix("ms").and_then(|gap| fixed(gap, 3));
                Some(gap.ok_or(NoFrame("the gap, as 2.100ms"))?)
            }
            _ => return Err(NoFrame("the gap, as gap 2.100ms")),
        };
        Ok(Self { at_us, bus, direction, bytes, check, gap_us })
    }
}

/// `12.345678` with so many decimals, as a whole number of the last one.
fn fixed(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let fits = digits(whole) && digits(part) && part.len() == decimals;
    fits.then(|| format!("{whole}{part}").parse().ok()).flatten()
}

/// How frames lie in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Rtu,
    Tcp,
    /// A frame is what stands between two silences.
    Silence,
}

/// Puts frames together.
#[derive(Debug)]
pub(crate) struct Grouper {
    bus: String,
    framing: Framing,
    /// How long one byte takes; zero where nobody knows.
    character: Duration,
    pending: Vec<u8>,
    direction: Direction,
    /// First byte of `pending`, in nanoseconds of hub time.
    began: u64,
    /// Last byte of all.
    ended: Option<u64>,
    /// Last byte of the last frame that was given out.
    told: Option<u64>,
}

impl Grouper {
    pub(crate) fn new(bus: &str, link: &Link, settings: Option<&SerialConfig>) -> Self {
        let (framing, character) = match link {
            Link::Tcp(_) => (Framing::Tcp, Duration::ZERO),
            Link::RtuOverTcp(_) => (Framing::Rtu, Duration::ZERO),
            Link::Rtu(own) => (Framing::Rtu, character(settings.unwrap_or(own))),
            Link::Talker { serial: own, .. } => (Framing::Silence, character(settings.unwrap_or(own))),
        };
        Self {
            bus: bus.to_owned(),
            framing,
            character,
            pending: Vec::new(),
            direction: Direction::Received,
            began: 0,
            ended: None,
            told: None,
        }
    }

    /// How long nothing has to come until what has come is all.
    pub(crate) fn settle(&self) -> Duration {
        SETTLE.max(self.character * 7 / 2)
    }

    /// Whether something waits for its end.
    pub(crate) const fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes in some bytes and gives out the frames that they end.
    pub(crate) fn push(&mut self, chunk: &Chunk) -> Vec<Frame> {
        let at = u64::try_from(chunk.at.as_nanos()).unwrap_or(0);
        let took = self.nanos(chunk.bytes.len());
        // What was received has come when it is seen; what is sent only sets out.
        let (began, ended) = match chunk.direction {
            Direction::Received => (at.saturating_sub(took).max(self.ended.unwrap_or(0).min(at)), at),
            Direction::Sent => (at, at.saturating_add(took)),
        };
        let silence = self.ended.map_or(0, |ended| began.saturating_sub(ended));
        let apart = u128::from(silence) > self.settle().as_nanos() || chunk.direction != self.direction;
        let mut frames = if apart { self.flush() } else { Vec::new() };
        if self.pending.is_empty() {
            self.began = began;
            self.direction = chunk.direction;
        }
        self.pending.extend_from_slice(&chunk.bytes);
        self.ended = Some(ended);
        if self.pending.len() >= MOST || covers(self.framing, &self.pending) {
            frames.extend(self.flush());
        }
        frames
    }

    /// Gives out what is there: nothing more comes.
    pub(crate) fn flush(&mut self) -> Vec<Frame> {
        let pending = std::mem::take(&mut self.pending);
        let mut frames = Vec::new();
        let mut at = 0;
        for (len, check) in split(self.framing, &pending) {
            let began = self.began.saturating_add(self.nanos(at));
            let gap_us = self.told.map(|told| began.saturating_sub(told) / 1_000);
            let bytes = pending[at..at + len].to_vec();
            at += len;
            let last = self.began.saturating_add(self.nanos(at));
            self.told = Some(if at == pending.len() { self.ended.unwrap_or(last) } else { last });
            let (bus, direction) = (self.bus.clone(), self.direction);
            frames.push(Frame { at_us: began / 1_000, bus, direction, bytes, check, gap_us });
        }
        frames
    }

    fn nanos(&self, bytes: usize) -> u64 {
        let took = self.character.as_nanos() * bytes as u128;
        u64::try_from(took).unwrap_or(u64::MAX)
    }
}

fn character(serial: &SerialConfig) -> Duration {
    let data = match serial.data_bits {
        DataBits::Seven => 7,
        DataBits::Eight => 8,
    };
    let parity = u32::from(serial.parity != Parity::None);
    let stop = match serial.stop_bits {
        StopBits::One => 1,
        StopBits::Two => 2,
    };
    Duration::from_secs(1) * (1 + data + parity + stop) / serial.baud.max(1)
}

/// Whether all of `bytes` are whole frames.
fn covers(framing: Framing, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(len) = head(framing, rest) else { return false };
        rest = &rest[len..];
    }
    true
}

/// Bytes → lengths of frames. What lies between two good ones is one bad one.
fn split(framing: Framing, bytes: &[u8]) -> Vec<(usize, Check)> {
    let right = match framing {
        Framing::Rtu => Check::Right,
        Framing::Tcp => Check::Tcp,
        Framing::Silence if bytes.is_empty() => return Vec::new(),
        Framing::Silence => return vec![(bytes.len(), Check::None)],
    };
    let mut frames = Vec::new();
    let (mut at, mut bad) = (0, 0);
    while at < bytes.len() {
        match head(framing, &bytes[at..]) {
            Some(len) => {
                frames.extend((bad > 0).then_some((bad, Check::Wrong)));
                frames.push((len, right));
                (at, bad) = (at + len, 0);
            }
            None => (at, bad) = (at + 1, bad + 1),
        }
    }
    if bad > 0 {
        // A function that nobody knows the length of may still end in its check sum.
        let check =
            if framing == Framing::Rtu && has_right_crc(&bytes[bytes.len() - bad..]) { right } else { Check::Wrong };
        frames.push((bad, check));
    }
    frames
}

/// The length of the frame that `bytes` begin with.
fn head(framing: Framing, bytes: &[u8]) -> Option<usize> {
    match framing {
        Framing::Tcp => {
            let [_, _, 0, 0, high, low, ..] = *bytes else { return None };
            let len = TCP_HEAD + usize::from(u16::from_be_bytes([high, low]));
            (len > TCP_HEAD + 1 && bytes.len() >= len).then_some(len)
        }
        Framing::Silence => None,
        Framing::Rtu => lengths(bytes).into_iter().find(|&len| bytes.get(..len).is_some_and(has_right_crc)),
    }
}

/// Lengths that a frame may have by its function: of the request, of the answer.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let counted = |at: usize| bytes.get(at).map(|&count| at + 3 + usize::from(count));
    let [_, function, ..] = *bytes else { return Vec::new() };
    let (request, answer) = match function {
        1..=4 => (Some(8), counted(2)),
        5 | 6 | 8 => (Some(8), None),
        7 => (Some(4), Some(5)),
        15 | 16 => (Some(8), counted(6)),
        17 => (Some(4), counted(2)),
        22 => (Some(10), None),
        23 => (counted(10), counted(2)),
        43 => (Some(7), identification(bytes)),
        0x81..=0xFF => (Some(5), None),
        _ => (None, None),
    };
    request.into_iter().chain(answer).collect()
}

/// The length of an answer to function 43 / 14.
fn identification(bytes: &[u8]) -> Option<usize> {
    let count = *bytes.get(7)?;
    let mut at = 8;
    for _ in 0..count {
        at += 2 + usize::from(*bytes.get(at + 1)?);
    }
    Some(at + 2)
}

/// Whether a frame ends in the check sum of what is before it.
pub(super) fn has_right_crc(frame: &[u8]) -> bool {
    frame.len() > 3 && frame.split_last_chunk::<2>().is_some_and(|(body, crc)| crc16(body).to_le_bytes() == *crc)
}

/// CRC-16/MODBUS, bit by bit, as the standard draws it: what a dump says of a frame does not lean on the line guard.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let shift = |crc: u16, _bit: u8| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
    bytes.iter().fold(0xFFFF, |crc, &byte| (0..8).fold(crc ^ u16::from(byte), shift))
}

#[cfg(test)]
mod tests;
