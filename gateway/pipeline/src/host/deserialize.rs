//! The one place where bytes become native code without being compiled here.

#![expect(unsafe_code, reason = "maps a compiled component that was verified first")]

use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps code that the parent has sent.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes are what the engine's compiler gave, unchanged. They come in a
    // `Load` over the link, whose other end is the daemon's alone: a pipe to its own child, or a socket of mode 0600 that is its
    // user's. The daemon sends what `compile::code` gave it: the answer of a compiler that it started itself, or a file that
    // `cache::verified` has found to be a regular file of this user which nobody else may read or write, not reached by a
    // symbolic link, in a folder that is this user's alone, with the SHA-256 that was written beside it. A pipe neither loses nor
    // changes bytes. That version, configuration and machine fit is checked by the engine itself, which then gives an error.
    unsafe { Component::deserialize(engine, code) }
}
