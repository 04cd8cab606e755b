//! The sum beside each message and each plugin's state: whether it is still what was written. Pure.
//!
//! SQLite keeps none for its pages. A card that loses what it said it had written leaves older bytes in their place, perhaps of
//! another message, and those must never be sent as readings.

use crate::queue::StreamState;

/// Over a message's identity and bytes.
pub(crate) fn sum(stream: &StreamState, seq: u64, payload: &[u8]) -> i64 {
    let numbers = [stream.run.counter, stream.run.nonce, seq];
    let identity = numbers.iter().flat_map(|number| number.to_le_bytes()).chain(stream.name.as_str().bytes());
    fnv(identity.chain(payload.iter().copied()))
}

/// Over a plugin's name and what it must not forget.
pub(crate) fn state_sum(plugin: &str, state: &[u8]) -> i64 {
    fnv(plugin.bytes().chain([0]).chain(state.iter().copied()))
}

/// FNV-1a with 64 bits: against accidents, not against people.
fn fnv(bytes: impl Iterator<Item = u8>) -> i64 {
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step).cast_signed()
}
