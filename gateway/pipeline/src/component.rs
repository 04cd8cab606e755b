//! Reads a component file, within bounds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Error;
use crate::link::COMPONENT_MAX;

/// The bytes of a component file.
///
/// # Errors
/// The file cannot be read, or is larger than any plugin may be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::ReadComponent { path: path.to_owned(), source };
    let limit = COMPONENT_MAX as u64;
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > COMPONENT_MAX {
        return Err(Error::ComponentTooLarge { path: path.to_owned(), len, limit });
    }
    Ok(bytes)
}
