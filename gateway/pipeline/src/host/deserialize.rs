//! The one place where bytes become native code without being compiled here.

#![expect(unsafe_code, reason = "maps a compiled component that was verified first")]

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::host::cache::Verified;

/// Loads code from the cache.
#[expect(clippy::disallowed_methods, reason = "this is the verified cache")]
pub(super) fn deserialize(engine: &Engine, code: &Verified) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes are what `Component::serialize` gave, unchanged. A `Verified`
    // is made in one place, `cache::verified`, and only if the file is a regular file of this user which nobody else may
    // read or write, not reached by a symbolic link, and its SHA-256 is the one written beside it; the folder was checked
    // to be this user's alone in `Cache::open`. So only this user's own process can have written it, and it is whole.
    // That version and configuration fit is checked by the engine itself, which then gives an error.
    unsafe { Component::deserialize(engine, code.code()) }
}
