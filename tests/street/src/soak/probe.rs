//! Whether the machine itself stands still: a SIGKILL while a disk hangs, or while nobody gets a processor, costs more than
//! the daemon can help.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::now_ms;
use crate::error::Error;
use crate::worker::Worker;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// A look that takes so much longer is a halt, in milliseconds. A write to a quiet disk takes a few.
const HALT_MS: i64 = 100;

/// Writes a byte to the disk again and again, and notes when that takes long.
#[derive(Debug)]
pub(super) struct Probe {
    halts: Arc<Mutex<Vec<(i64, i64)>>>,
    _worker: Worker,
}

impl Probe {
    /// Starts it with a file in `folder`.
    pub(super) fn start(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("probe");
        let mut file = File::create(&path).map_err(Error::file(&path))?;
        let halts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&halts);
        let worker = Worker::start("probe", move |stop| async move {
            while !stop.is_cancelled() {
                let from = now_ms();
                sleep(LOOK).await;
                // A disk that refuses is the daemon's trouble, and the judge will hear of it.
                drop(file.write_all(b".").and_then(|()| file.sync_data()));
                let to = now_ms();
                if to - from > HALT_MS {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push((from, to));
                }
            }
        })?;
        Ok(Self { halts, _worker: worker })
    }

    /// All halts so far.
    pub(super) fn halts(&self) -> Vec<(i64, i64)> {
        self.halts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
