//! Frames that are parted by nothing but silence.

use curb_model::Reason;

use super::{Frame, Next, checked};
use crate::config::Checksum;

/// Collects bursts.
#[derive(Debug)]
pub(super) struct Silent {
    max: usize,
    checksum: Option<Checksum>,
    bytes: Vec<u8>,
    is_sound: bool,
}

impl Silent {
    pub(super) const fn new(max: usize, checksum: Option<Checksum>) -> Self {
        Self { max, checksum, bytes: Vec::new(), is_sound: false }
    }

    pub(super) fn forget(&mut self, next: Next) {
        self.bytes.clear();
        self.is_sound = next == Next::Frame;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        // One more than a frame may have is kept, which tells that it is too long.
        let room = (self.max + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Vec::new()
    }

    pub(super) fn pause(&mut self) -> Vec<Frame> {
        let bytes = std::mem::take(&mut self.bytes);
        let was_sound = std::mem::replace(&mut self.is_sound, true);
        let frame = if bytes.is_empty() || was_sound && bytes.len() <= self.max {
            checked(bytes, self.checksum.as_ref())
        } else {
            Some(Frame::Broken(Reason::Framing))
        };
        frame.into_iter().collect()
    }

    #[cfg(test)]
    pub(super) const fn kept(&self) -> usize {
        self.bytes.len()
    }
}
