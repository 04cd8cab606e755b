//! How long a message the core takes, so that a restart without it knows, too.
//!
//! The uplink tells it at each connection, and when a refusal ("packet too large") has taught it a smaller size: what the core said of
//! itself and what was learned of it are one number here, and what is told at the next connection takes its place.
//!
//! 8 bytes in a [`curb_durable::File`] beside the database, little-endian: bytes of a message's payload at most. No file: no
//! bound is known. Written when it is another one, which is seldom.

use std::path::Path;

#[derive(Debug)]
pub(crate) struct ToldFile {
    file: curb_durable::File,
    payload_max: Option<usize>,
}

impl ToldFile {
    /// What is known. What cannot be read is not known: the next connection tells it again.
    pub(crate) fn read(folder: &Path) -> Self {
        let file = curb_durable::File::new(folder.join("payload-max"));
        let read = file.read().unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "store: what the core takes is not known");
            None
        });
        let number = read.and_then(|read| Some(u64::from_le_bytes(read.bytes.try_into().ok()?)));
        Self { file, payload_max: number.and_then(|number| usize::try_from(number).ok()) }
    }

    /// The uplink says it.
    ///
    /// # Errors
    /// It is known now, and cannot be kept over a restart.
    pub(crate) fn tell(&mut self, payload_max: Option<usize>) -> Result<(), curb_durable::Error> {
        if self.payload_max == payload_max {
            return Ok(());
        }
        self.payload_max = payload_max;
        match payload_max {
            Some(bytes) => self.file.write(&(bytes as u64).to_le_bytes()),
            None => self.file.remove(),
        }
    }

    pub(crate) const fn payload_max(&self) -> Option<usize> {
        self.payload_max
    }
}
