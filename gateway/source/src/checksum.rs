//! The check sums of binary frames. Pure.
//!
//! ```text
//! skip bytes │ bytes that are covered │ check sum, 1 or 2 bytes │ behind bytes
//! ```

use crate::config::{Checksum, ChecksumKind};
use crate::rtu::crc16;

impl Checksum {
    /// Whether the check sum in this frame is that of its bytes. A frame without room for one has none.
    pub(crate) fn fits(&self, frame: &[u8]) -> bool {
        let stands = frame.len().checked_sub(self.behind + self.kind.width());
        let Some((stands, covered)) = stands.and_then(|at| Some((at, frame.get(self.skip..at)?))) else { return false };
        let found = &frame[stands..stands + self.kind.width()];
        let expected = self.kind.of(covered);
        if self.kind.width() == 1 {
            u16::from(found[0]) == expected
        } else {
            let bytes = [found[0], found[1]];
            expected == if self.order.swaps_bytes() { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
        }
    }
}

impl ChecksumKind {
    /// Bytes of the check sum.
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::Sum8 | Self::Xor8 | Self::Lrc8 => 1,
            Self::Sum16 | Self::Crc16Modbus => 2,
        }
    }

    fn of(self, bytes: &[u8]) -> u16 {
        let sum8 = || bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte));
        match self {
            Self::Sum8 => sum8().into(),
            Self::Lrc8 => sum8().wrapping_neg().into(),
            Self::Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Self::Sum16 => bytes.iter().fold(0, |sum: u16, &byte| sum.wrapping_add(byte.into())),
            Self::Crc16Modbus => crc16(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
