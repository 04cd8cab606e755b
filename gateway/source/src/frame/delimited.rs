//! Frames that end in a text.

use curb_model::Reason;

use super::{Frame, Next, checked};
use crate::config::Checksum;

/// Collects lines.
#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: Vec<u8>,
    max: usize,
    checksum: Option<Checksum>,
    bytes: Vec<u8>,
    begun: Begun,
}

/// What is known of the frame at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// Its beginning was seen.
    Seen,
    /// It was not: it is the rest of something.
    Missed,
    /// It is longer than any frame.
    TooLong,
}

impl Delimited {
    pub(super) const fn new(delimiter: Vec<u8>, max: usize, checksum: Option<Checksum>) -> Self {
        Self { delimiter, max, checksum, bytes: Vec::new(), begun: Begun::Missed }
    }

    pub(super) fn forget(&mut self, next: Next) {
        self.bytes.clear();
        self.begun = match next {
            Next::Unknown => Begun::Missed,
            Next::Frame => Begun::Seen,
        };
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in bytes {
            self.bytes.push(byte);
            if self.bytes.ends_with(&self.delimiter) {
                frames.extend(self.take());
            } else if self.bytes.len() >= self.max + self.delimiter.len() {
                // Only as much is kept as the delimiter needs to be seen.
                self.begun = Begun::TooLong;
                self.bytes.drain(..=self.bytes.len() - self.delimiter.len());
            }
        }
        frames
    }

    /// A frame that was cut may go on after the pause, so its rest is not believed; but no frame is that long, and
    /// what comes after a babble is new.
    pub(super) fn pause(&mut self) -> Vec<Frame> {
        let is_open = !self.bytes.is_empty() || self.begun == Begun::TooLong;
        self.begun = if is_open && self.begun != Begun::TooLong { Begun::Missed } else { Begun::Seen };
        self.bytes.clear();
        if is_open { vec![Frame::Broken(Reason::Framing)] } else { Vec::new() }
    }

    /// The frame whose delimiter has just come.
    fn take(&mut self) -> Option<Frame> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(bytes.len() - self.delimiter.len());
        // The other half of a line's end.
        if self.delimiter == b"\n" && bytes.last() == Some(&b'\r') {
            bytes.pop();
        } else if self.delimiter == b"\r" && bytes.first() == Some(&b'\n') {
            bytes.remove(0);
        }
        match std::mem::replace(&mut self.begun, Begun::Seen) {
            Begun::Seen => checked(bytes, self.checksum.as_ref()),
            Begun::Missed | Begun::TooLong => Some(Frame::Broken(Reason::Framing)),
        }
    }

    #[cfg(test)]
    pub(super) const fn kept(&self) -> usize {
        self.bytes.len()
    }
}
