//! All that shows of a component file without running it, and what a hub would refuse of it: what `curb plugin inspect` prints.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::anatomy::Anatomy;
use crate::manifest::Manifest;
use crate::{Error, Limits, Objection, component, inspect, manifest};

/// How WebAssembly begins.
const MAGIC: &[u8] = b"\0asm";

/// What shows of a component file.
#[derive(Debug)]
pub struct Examined {
    /// SHA-256 of the file, in hexadecimal; `None` of a file that is larger than any plugin: it is not read.
    pub digest: Option<String>,
    /// Bytes of the file.
    pub size: u64,
    /// What it is made of; `None` if it is no WebAssembly, or cut off.
    pub anatomy: Option<Anatomy>,
    /// What it says of itself, if anything, and if it can be read.
    pub manifest: Option<Manifest>,
    /// Why a hub would not run it: empty if it would.
    pub refused: Vec<Refused>,
}

/// Why a hub would not run a component.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What it is made of is not what plugins are made of.
    #[error(transparent)]
    Made(#[from] Objection),
    /// What the host says that would run it.
    #[error(transparent)]
    Host(Error),
}

/// Looks at a component file, as a hub would with the default limits.
///
/// # Errors
/// The file cannot be read.
pub fn examine(path: &Path) -> Result<Examined, Error> {
    let bytes = match component::read(path, Limits::default().component) {
        Ok(bytes) => bytes,
        Err(error @ Error::ComponentTooLarge { len, .. }) => {
            let refused = vec![Refused::Host(error)];
            return Ok(Examined { digest: None, size: len, anatomy: None, manifest: None, refused });
        }
        Err(error) => return Err(error),
    };
    let (anatomy, objections) = match Anatomy::of(&bytes) {
        Ok(anatomy) => {
            let objections = anatomy.objections(Limits::default().memory);
            (Some(anatomy), objections)
        }
        Err(error) if bytes.starts_with(MAGIC) => (None, vec![Objection::Torn { at: error.offset() }]),
        // The engine takes a component as text, too.
        Err(_) if bytes.starts_with(b"(") => (None, Vec::new()),
        Err(_) => (None, vec![Objection::NoWasm]),
    };
    let mut refused: Vec<Refused> = objections.into_iter().map(Refused::Made).collect();
    let is_component = anatomy.as_ref().is_some_and(|anatomy| !anatomy.is_module);
    match inspect(path) {
        // The engine's words for what was said in plainer ones.
        Err(Error::CompileComponent { .. }) if !refused.is_empty() && !is_component => {}
        Err(error) => refused.push(Refused::Host(error)),
        Ok(_) => {}
    }
    let is_told = refused.iter().any(|refused| matches!(refused, Refused::Host(Error::Manifest { .. })));
    let manifest = manifest::read(&bytes).unwrap_or_else(|source| {
        // Where the engine stops, nobody has looked at the manifest; of bytes that end too early all is said.
        if anatomy.is_some() && !is_told {
            refused.push(Refused::Host(Error::Manifest { path: path.to_owned(), source }));
        }
        None
    });
    let digest = Some(hex(&Sha256::digest(&bytes)));
    let size = bytes.len().try_into().unwrap_or(u64::MAX);
    Ok(Examined { digest, size, anatomy, manifest, refused })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
