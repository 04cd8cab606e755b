//! The bytes of a [`Stateful`](crate::Stateful) plugin's state: numbers of fixed length behind each other, little-endian.
//!
//! Deliberately absent: names and types. The version that stands beside the bytes says what they are.

/// Writes.
#[derive(Debug, Clone, Default)]
pub struct Pack(Vec<u8>);

impl Pack {
    /// One byte.
    pub fn u8(&mut self, n: u8) -> &mut Self {
        self.bytes(&[n])
    }

    /// Two bytes.
    pub fn u16(&mut self, n: u16) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, n: u32) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    /// Eight bytes.
    pub fn i64(&mut self, n: i64) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    /// Eight bytes, the same float to the last bit when read.
    pub fn f64(&mut self, n: f64) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads what [`Pack`] wrote, in the same order. Bytes that end too early read as zeros: [`Unpack::finish`] tells.
#[derive(Debug, Clone)]
pub struct Unpack<'a> {
    rest: &'a [u8],
    is_torn: bool,
}

impl<'a> Unpack<'a> {
    /// Begins.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_torn: false }
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }

    /// Eight bytes.
    pub fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.bytes())
    }

    /// Whether there are more.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// All was there, and all was read.
    ///
    /// # Errors
    /// There was less, or more: nothing that was read is to be used.
    pub fn finish(self) -> Result<(), String> {
        if self.is_torn || self.has_more() {
            return Err("found bytes of another length than the state of this version has".to_owned());
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                *bytes
            }
            None => {
                (self.rest, self.is_torn) = (&[], true);
                [0; N]
            }
        }
    }
}
