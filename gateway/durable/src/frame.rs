//! The frame around the content of a small file, drawn in the crate's documentation. Pure.

use crate::MAX_LEN;

const MAGIC: [u8; 8] = *b"CURBFIL1";

/// Bytes before the content.
pub(crate) const HEADER: usize = 16;

/// `None` if the content is longer than [`MAX_LEN`].
pub(crate) fn encode(content: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= MAX_LEN)?.to_le_bytes();
    let mut framed = Vec::with_capacity(HEADER + content.len());
    framed.extend_from_slice(&MAGIC);
    framed.extend_from_slice(&length);
    framed.extend_from_slice(&checksum(length, content).to_le_bytes());
    framed.extend_from_slice(content);
    Some(framed)
}

/// The content; `None` unless every byte is as it was written, and none is missing or added.
pub(crate) fn decode(mut framed: Vec<u8>) -> Option<Vec<u8>> {
    let (header, content) = framed.split_first_chunk::<HEADER>()?;
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (length, crc) = rest.split_first_chunk::<4>()?;
    let length_fits = usize::try_from(u32::from_le_bytes(*length)) == Ok(content.len()) && content.len() <= MAX_LEN;
    let whole = *magic == MAGIC && length_fits && checksum(*length, content).to_le_bytes() == *crc;
    whole.then(|| framed.split_off(HEADER))
}

/// CRC-32 as in Ethernet and zip (IEEE 802.3, reflected, polynomial 0xEDB88320). Bit by bit: files are small and rarely
/// written, and twelve lines that can be checked by eye are worth more here than speed.
fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in length.iter().chain(content) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            crc = (crc >> 1) ^ carry;
        }
    }
    !crc
}

#[cfg(test)]
pub(crate) fn crc32(content: &[u8]) -> u32 {
    let (length, rest) = content.split_first_chunk::<4>().expect("at least four bytes");
    checksum(*length, rest)
}
