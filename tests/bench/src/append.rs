//! The peer of the queue on disk: appends bytes to a file and syncs it, and says what the kernel wrote for that. No index, no
//! deletion, no check.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::Error;
use crate::meter::written;

/// Appends `bytes` this many `times`, synced each time; prints the bytes written to disk.
pub(crate) fn append(path: &Path, bytes: usize, times: u64) -> Result<(), Error> {
    let failed = Error::file(path);
    let chunk = vec![b'0'; bytes];
    let all = || {
        let mut file = File::create(path)?;
        for _ in 0..times {
            file.write_all(&chunk)?;
            file.sync_data()?;
        }
        Ok(())
    };
    all().map_err(failed)?;
    writeln!(io::stdout(), "{}", written(std::process::id())?).map_err(Error::Terminal)
}
