//! The forms that a message comes in, and how each is told from the others: by its first byte.
//!
//! | First byte | Form | Content type |
//! |---|---|---|
//! | `[` | SenML JSON | none said: `application/senml+json` |
//! | 0x80 to 0x9f, an array | SenML CBOR | `application/senml+cbor` |
//! | 0x78, a window of 32 KiB (RFC 1950) | a zlib stream that holds one of the two | `application/zlib` |
//!
//! So a queue may hold messages of several forms, and a reader needs no property that a bridge may lose.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use super::DOCUMENT;
use crate::Error;

/// The bytes of a deflated message when it is inflated, at most. Protects a reader from a few bytes that become
/// gigabytes; some ten thousand readings, far more than any batch. A hub sends what is larger as it is.
pub const INFLATED_MAX: usize = 1 << 20;

/// How hard to look for repetitions: the most. A message takes well below a millisecond.
const LEVEL: u8 = 9;

/// How readings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// The notation.
    pub encoding: Encoding,
    /// Whether it is compressed.
    pub compress: Compress,
}

/// The notation of a SenML pack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 8428, section 5.
    #[default]
    Json,
    /// RFC 8428, section 6.
    Cbor,
}

/// Whether a message is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compress {
    /// As it is.
    #[default]
    None,
    /// With deflate, as a zlib stream, if that is shorter.
    Deflate,
}

/// What a first byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// JSON, or nothing that we know; the JSON reader says what is wrong with it.
    Text,
    Cbor,
    Zlib,
}

pub(super) const fn seen(payload: &[u8]) -> Seen {
    match payload.first() {
        Some(0x80..=0x9f) => Seen::Cbor,
        Some(0x78) => Seen::Zlib,
        _ => Seen::Text,
    }
}

/// The content type of a stored message, as MQTT 5 carries it; `None`: JSON, which every document of this version is
/// unless it says otherwise.
#[must_use]
pub const fn content_type(payload: &[u8]) -> Option<&'static str> {
    match seen(payload) {
        Seen::Text => None,
        Seen::Cbor => Some("application/senml+cbor"),
        Seen::Zlib => Some("application/zlib"),
    }
}

/// `plain`, or a zlib stream if that is shorter.
pub(super) fn deflate(plain: Vec<u8>) -> Vec<u8> {
    if plain.len() > INFLATED_MAX {
        return plain;
    }
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&plain, LEVEL);
    if packed.len() < plain.len() { packed } else { plain }
}

pub(super) fn inflate(packed: &[u8]) -> Result<Vec<u8>, Error> {
    decompress_to_vec_zlib_with_limit(packed, INFLATED_MAX).map_err(|fault| {
        if fault.status == TINFLStatus::HasMoreOutput {
            Error::TooLarge { document: DOCUMENT, limit: INFLATED_MAX }
        } else {
            Error::Inflate { document: DOCUMENT }
        }
    })
}
