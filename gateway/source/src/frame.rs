//! Bytes → frames. Pure: a pause on the line is told by the caller.
//!
//! ```text
//! delimiter   text that ends each frame                          delimited
//! marks       start … stop                                       scan
//! fixed       frames of one length, with a mark or after a pause scan
//! length      frames that tell their length                      scan
//! silence     a pause parts frames                               silent
//! ```
//!
//! Where a frame begins is known by its mark, behind another frame, or after a pause: talkers speak in bursts. What was
//! joined in the middle, interrupted by a pause, or grew too long is told as broken, not handed up: half of `112.5` is
//! `2.5`. A frame with a check sum is handed up when that fits, and only then. How the bytes are cut into reads makes no
//! difference, and no bytes make a framer keep more than one frame and one read.
//!
//! Deliberately absent: what is in a frame, and any guess at where one ends.

use std::time::Duration;

use curb_model::Reason;

use crate::config::{Checksum, Framing};
use delimited::Delimited;
use scan::{Scanner, Shape};
use silent::Silent;

mod delimited;
mod scan;
mod silent;

/// Silence after which what comes is a new frame, where the framing says nothing. Guessed: talkers write a line in one
/// go, and some compute for a tenth of a second in the middle of it.
const PAUSE: Duration = Duration::from_millis(250);

/// A frame, or what was left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Without its delimiter or marks around it; marks that are part of it are in it. Never empty.
    Whole(Vec<u8>),
    /// Joined late, interrupted, too long, or with a wrong check sum.
    Broken(Reason),
}

/// What is known of the bytes that come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: they may be the middle of a frame.
    Unknown,
    /// A frame begins with them.
    Frame,
}

/// Collects bytes.
#[derive(Debug)]
pub(crate) struct Framer {
    kind: Kind,
    pause: Duration,
}

#[derive(Debug)]
enum Kind {
    Delimited(Delimited),
    Scanner(Scanner),
    Silent(Silent),
}

impl Framer {
    pub(crate) fn new(framing: &Framing, checksum: Option<Checksum>) -> Self {
        let kind = match framing {
            Framing::Delimiter { delimiter, max } => Kind::Delimited(Delimited::new(delimiter.clone(), *max, checksum)),
            Framing::Marks { start, stop, max } => {
                let shape = Shape::Marks { stop: stop.clone(), max: *max };
                Kind::Scanner(Scanner::new(start.clone(), shape, checksum))
            }
            Framing::Fixed { start, len } => {
                Kind::Scanner(Scanner::new(start.clone(), Shape::Fixed { len: *len }, checksum))
            }
            Framing::Length(prefix) => {
                Kind::Scanner(Scanner::new(prefix.start.clone(), Shape::Length(prefix.clone()), checksum))
            }
            Framing::Silence { max, .. } => Kind::Silent(Silent::new(*max, checksum)),
        };
        let pause = match framing {
            Framing::Silence { gap, .. } => *gap,
            Framing::Delimiter { .. } | Framing::Marks { .. } | Framing::Fixed { .. } | Framing::Length(_) => PAUSE,
        };
        Self { kind, pause }
    }

    /// The silence after which [`Self::pause`] is to be called.
    pub(crate) const fn pause_after(&self) -> Duration {
        self.pause
    }

    /// Forgets what has come: the port is a new one, or the device was asked anew.
    pub(crate) fn forget(&mut self, next: Next) {
        match &mut self.kind {
            Kind::Delimited(framer) => framer.forget(next),
            Kind::Scanner(framer) => framer.forget(next),
            Kind::Silent(framer) => framer.forget(next),
        }
    }

    /// Adds what has been read, and hands up what is complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        match &mut self.kind {
            Kind::Delimited(framer) => framer.push(bytes),
            Kind::Scanner(framer) => framer.push(bytes),
            Kind::Silent(framer) => framer.push(bytes),
        }
    }

    /// The line has been silent since the last bytes: what is open will not be completed.
    pub(crate) fn pause(&mut self) -> Vec<Frame> {
        match &mut self.kind {
            Kind::Delimited(framer) => framer.pause(),
            Kind::Scanner(framer) => framer.pause(),
            Kind::Silent(framer) => framer.pause(),
        }
    }

    /// Bytes since the last call that were part of no frame, not even of a broken one.
    pub(crate) fn take_noise(&mut self) -> u64 {
        match &mut self.kind {
            Kind::Scanner(framer) => framer.take_noise(),
            Kind::Delimited(_) | Kind::Silent(_) => 0,
        }
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        match &self.kind {
            Kind::Delimited(framer) => framer.kept(),
            Kind::Scanner(framer) => framer.kept(),
            Kind::Silent(framer) => framer.kept(),
        }
    }
}

/// A frame whose end is certain; an empty one says nothing.
fn checked(bytes: Vec<u8>, checksum: Option<&Checksum>) -> Option<Frame> {
    if bytes.is_empty() {
        return None;
    }
    let fits = checksum.is_none_or(|checksum| checksum.fits(&bytes));
    Some(if fits { Frame::Whole(bytes) } else { Frame::Broken(Reason::Crc) })
}

#[cfg(test)]
mod tests;
