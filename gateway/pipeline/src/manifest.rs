//! What a component says of itself, read without running it: the custom section `curb-plugin`, of the component or of a module in
//! it. Pure.
//!
//! Deliberately absent: believing it. A name in here gives no right; settings are refused by the plugin's `init` in the end. All
//! that it can do is to have less leave the hub.

use serde::Deserialize;
use wasmparser::{Parser, Payload};

/// The section's name.
const SECTION: &str = "curb-plugin";

/// Bytes of a manifest at most. The schema of a plugin with thirty settings has some ten thousand.
const MANIFEST_MAX: usize = 64 << 10;

/// Name, version, and what settings it takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// The author's name for it.
    pub name: String,
    /// The author's version.
    pub version: String,
    /// JSON Schema (2020-12) of the settings.
    pub settings: Option<serde_json::Value>,
    /// Whether what it sees must not leave the hub as it is: when it fails, its readings are dropped and never pass.
    #[serde(default)]
    pub withholds: bool,
}

/// Why there is no manifest to be had.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file is no WebAssembly.
    #[error("found bytes that are no WebAssembly")]
    Wasm(#[source] wasmparser::BinaryReaderError),
    /// There are two, and they may differ.
    #[error("found two custom sections {SECTION}, expected one")]
    Two,
    /// It is too long.
    #[error("found {0} bytes, expected {MANIFEST_MAX} at most")]
    TooLong(usize),
    /// It is no JSON, or not of this form.
    #[error("found something else than JSON with name, version and settings")]
    Json(#[source] serde_json::Error),
}

/// Reads it; `None`: there is none.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read(component: &[u8]) -> Result<Option<Manifest>, ManifestError> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CustomSection(section) = payload.map_err(ManifestError::Wasm)?
            && section.name() == SECTION
        {
            let data = section.data();
            if data.len() > MANIFEST_MAX {
                return Err(ManifestError::TooLong(data.len()));
            }
            if found.replace(serde_json::from_slice(data).map_err(ManifestError::Json)?).is_some() {
                return Err(ManifestError::Two);
            }
        }
    }
    Ok(found)
}
