//! Frames that are known by what they begin with: a mark, or for those without one a pause.
//!
//! ```text
//! marks    start │ frame │ stop
//! fixed    start … `len` bytes, the mark included
//! length   start … length … as many bytes as it says
//! ```
//!
//! A mark may also stand in the data of a frame, or in garbage. What begins with one and turns out to be no frame is
//! looked at again from the byte behind the mark's first, so that a frame within it is not lost. It is told as broken
//! once, however many false beginnings there are in it.
//!
//! Where nothing but a short mark speaks for a frame (no check sum, no stop mark), and the place where it begins is not
//! known from the frame or the pause before it, it is believed only if another mark or a pause follows it at once.

use std::ops::Range;

use curb_model::Reason;

use super::{Frame, Next};
use crate::config::{Checksum, LengthPrefix, Order};

/// Bytes of a line's end, which some talkers put between frames that need none.
const LINE_END: usize = 2;

/// Collects frames.
#[derive(Debug)]
pub(super) struct Scanner {
    start: Vec<u8>,
    shape: Shape,
    checksum: Option<Checksum>,
    bytes: Vec<u8>,
    /// A frame begins where `bytes` begin, if anything does.
    is_sound: bool,
    /// How many of `bytes` have been told as broken.
    told: usize,
    noise: u64,
}

/// Where a frame ends.
#[derive(Debug)]
pub(super) enum Shape {
    Marks { stop: Vec<u8>, max: usize },
    Fixed { len: usize },
    Length(LengthPrefix),
}

/// Whether more may come of what is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Flows,
    Pauses,
}

/// What bytes are that begin with the mark.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Not known yet.
    Open,
    /// A frame of so many bytes, all included; this part of it is handed up.
    Whole { part: Range<usize>, len: usize },
    /// No frame, known after so many bytes, at least 1.
    False { reason: Reason, reach: usize },
}

impl Scanner {
    pub(super) const fn new(start: Vec<u8>, shape: Shape, checksum: Option<Checksum>) -> Self {
        Self { start, shape, checksum, bytes: Vec::new(), is_sound: false, told: 0, noise: 0 }
    }

    pub(super) fn forget(&mut self, next: Next) {
        self.bytes.clear();
        self.told = 0;
        self.is_sound = next == Next::Frame;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.bytes.extend_from_slice(bytes);
        let (frames, _) = self.scan(Line::Flows);
        frames
    }

    pub(super) fn pause(&mut self) -> Vec<Frame> {
        let (frames, was_cut) = self.scan(Line::Pauses);
        // What was cut may go on; of frames without a mark nothing but a pause tells where they begin.
        self.is_sound = self.start.is_empty() || !was_cut;
        self.told = 0;
        frames
    }

    pub(super) fn take_noise(&mut self) -> u64 {
        std::mem::take(&mut self.noise)
    }

    /// What is complete, and whether the last that began with a mark was no frame.
    fn scan(&mut self, line: Line) -> (Vec<Frame>, bool) {
        let mut frames = Vec::new();
        let mut was_false = false;
        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let passed = self.before_mark(rest, line);
            if passed > 0 {
                self.is_sound &= rest[..passed].iter().all(is_line_end) && !self.start.is_empty();
                at += passed;
                self.noise += (at - at.min(self.told.max(at - passed))) as u64;
                continue;
            }
            if rest.len() < self.start.len() {
                break;
            }
            match self.judge(rest, line) {
                Verdict::Open => break,
                Verdict::Whole { part, len } => {
                    if !part.is_empty() {
                        frames.push(Frame::Whole(rest[part].to_vec()));
                    }
                    at += len;
                    self.is_sound = true;
                    was_false = false;
                }
                Verdict::False { reason, reach } => {
                    if at >= self.told {
                        frames.push(Frame::Broken(reason));
                        self.told = at + reach;
                    }
                    at += 1;
                    self.is_sound = false;
                    was_false = true;
                }
            }
        }
        self.bytes.drain(..at);
        self.told = self.told.saturating_sub(at);
        (frames, was_false)
    }

    /// How many bytes cannot be the beginning of a frame.
    fn before_mark(&self, rest: &[u8], line: Line) -> usize {
        if self.start.is_empty() {
            return if self.is_sound { 0 } else { rest.len() };
        }
        let begins = |at: &usize| {
            let here = &rest[*at..];
            here.starts_with(&self.start) || line == Line::Flows && self.start.starts_with(here)
        };
        (0..rest.len()).find(begins).unwrap_or(rest.len())
    }

    fn judge(&self, rest: &[u8], line: Line) -> Verdict {
        let verdict = match &self.shape {
            Shape::Marks { stop, max } => self.judge_marks(rest, stop, *max),
            Shape::Fixed { len } => self.judge_counted(rest, *len, line),
            Shape::Length(prefix) => match length(rest, prefix) {
                None => Verdict::Open,
                Some(len) if (prefix.at + prefix.width..=prefix.max).contains(&len) => {
                    self.judge_counted(rest, len, line)
                }
                Some(_) => Verdict::False { reason: Reason::Framing, reach: prefix.at + prefix.width },
            },
        };
        if verdict == Verdict::Open && line == Line::Pauses {
            return Verdict::False { reason: Reason::Framing, reach: rest.len() };
        }
        verdict
    }

    fn judge_marks(&self, rest: &[u8], stop: &[u8], max: usize) -> Verdict {
        let begin = self.start.len();
        let most = begin + max + stop.len();
        let seen = &rest[begin..rest.len().min(most)];
        let stops = find(seen, stop);
        // Data that a check sum speaks for may have the mark in it; of text the latest beginning counts.
        let again = if self.checksum.is_none() { find(seen, &self.start) } else { None };
        match (stops, again) {
            (stops, Some(again)) if stops.is_none_or(|stops| again + begin < stops + stop.len()) => {
                Verdict::False { reason: Reason::Framing, reach: begin + again }
            }
            (Some(stops), _) => {
                let len = begin + stops + stop.len();
                if self.fits(&seen[..stops]) {
                    Verdict::Whole { part: begin..begin + stops, len }
                } else {
                    Verdict::False { reason: Reason::Crc, reach: len }
                }
            }
            (None, _) if rest.len() >= most => Verdict::False { reason: Reason::Framing, reach: most },
            (None, _) => Verdict::Open,
        }
    }

    fn judge_counted(&self, rest: &[u8], len: usize, line: Line) -> Verdict {
        let Some((frame, behind)) = rest.split_at_checked(len) else { return Verdict::Open };
        let whole = Verdict::Whole { part: 0..len, len };
        if self.checksum.is_some() {
            return if self.fits(frame) { whole } else { Verdict::False { reason: Reason::Crc, reach: len } };
        }
        let behind = &behind[behind.iter().take(LINE_END).take_while(|byte| is_line_end(byte)).count()..];
        match (self.is_sound, line) {
            (true, _) => whole,
            (false, _) if behind.starts_with(&self.start) => whole,
            (false, Line::Pauses) if behind.is_empty() => whole,
            (false, Line::Flows) if self.start.starts_with(behind) => Verdict::Open,
            (false, _) => Verdict::False { reason: Reason::Framing, reach: len },
        }
    }

    fn fits(&self, frame: &[u8]) -> bool {
        self.checksum.is_none_or(|checksum| checksum.fits(frame))
    }

    #[cfg(test)]
    pub(super) const fn kept(&self) -> usize {
        self.bytes.len()
    }
}

/// Bytes of the whole frame, by the length in it; `None` until that has come.
fn length(rest: &[u8], prefix: &LengthPrefix) -> Option<usize> {
    let written = rest.get(prefix.at..prefix.at + prefix.width)?;
    let add = |len: usize, &byte: &u8| len << 8 | usize::from(byte);
    let len = match prefix.order {
        Order::Abcd | Order::Cdab => written.iter().fold(0, add),
        Order::Badc | Order::Dcba => written.iter().rev().fold(0, add),
    };
    Some(len + prefix.extra)
}

const fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}
