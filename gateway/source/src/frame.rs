//! Bytes → frames that end in a delimiter. Pure.
//!
//! Where a frame begins is known after a delimiter, or after a pause: talkers speak in bursts. What was joined in the
//! middle, interrupted by a pause, or grew too long is told as broken, not handed up: half of `112.5` is `2.5`.
//!
//! Deliberately absent: what is in a frame.

use crate::config::Framing;

/// A frame, or what was left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Without its delimiter, and without a carriage return before it.
    Whole(Vec<u8>),
    /// Joined late, interrupted, or too long.
    Broken,
}

/// Whether the line was silent before some bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// They follow on what came before.
    Flow,
    /// A pause: what follows is a new frame.
    Pause,
}

/// Collects bytes.
#[derive(Debug)]
pub(crate) struct Framer {
    delimiter: Vec<u8>,
    max: usize,
    bytes: Vec<u8>,
    /// The beginning of the frame at hand is known, and it is not too long.
    sound: bool,
}

impl Framer {
    pub(crate) fn new(framing: &Framing) -> Self {
        let Framing::Delimiter { delimiter, max } = framing else {
            unreachable!("Config::check refuses other framings until they are built")
        };
        Self { delimiter: delimiter.clone(), max: *max, bytes: Vec::new(), sound: false }
    }

    /// Forgets what has come: the port is a new one.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        self.sound = false;
    }

    /// Adds what has been read, and hands up what is complete.
    pub(crate) fn push(&mut self, bytes: &[u8], before: Before) -> Vec<Frame> {
        let mut frames = Vec::new();
        if before == Before::Pause {
            if !self.bytes.is_empty() {
                frames.push(Frame::Broken);
            }
            self.bytes.clear();
            self.sound = true;
        }
        for &byte in bytes {
            self.bytes.push(byte);
            if self.bytes.ends_with(&self.delimiter) {
                frames.extend(self.take());
            } else if self.bytes.len() >= self.max + self.delimiter.len() {
                // Only as much is kept as the delimiter needs to be seen.
                self.sound = false;
                self.bytes.drain(..self.bytes.len() - self.delimiter.len());
            }
        }
        frames
    }

    /// The frame whose delimiter has just come. Empty lines say nothing.
    fn take(&mut self) -> Option<Frame> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(bytes.len() - self.delimiter.len());
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let sound = std::mem::replace(&mut self.sound, true);
        if !sound {
            return Some(Frame::Broken);
        }
        (!bytes.is_empty()).then_some(Frame::Whole(bytes))
    }
}

#[cfg(test)]
mod tests;
