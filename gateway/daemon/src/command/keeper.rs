//! The thread that keeps the memory of commands on disk: a save waits for the card, and the daemon's loop must not.
//!
//! Who asks for a save while another is written is served by the next, together with all who wait.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use curb_durable::File;
use tokio::sync::{mpsc, oneshot};

use super::seen::Seen;

/// The file's name in the state folder.
const FILE: &str = "commands";

/// Saves that wait. Each command waits for one at a time, and at most as many are under way (see `super::MOST`).
const SAVES: usize = super::MOST;

/// Told when a save is done, and whether it is on disk.
type Waiting = oneshot::Sender<bool>;

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Keeper {
    saves: mpsc::Sender<Waiting>,
    thread: JoinHandle<()>,
}

/// Asks for saves.
#[derive(Debug, Clone)]
pub(super) struct Saver(mpsc::WeakSender<Waiting>);

/// What is on disk. A memory that cannot be read is no reason not to run: it is said, and begun anew.
pub(super) fn load(state: &Path) -> Seen {
    let file = File::new(state.join(FILE));
    let read = match file.read() {
        Ok(None) => return Seen::default(),
        Ok(Some(read)) => read,
        Err(error) => {
            tracing::error!("the commands that were carried out are forgotten: failed to {}", crate::chain(&error));
            return Seen::default();
        }
    };
    if let Some(damaged) = read.damaged {
        tracing::warn!(damaged = %damaged.display(), "the memory of commands was damaged: the one before is taken");
    }
    Seen::decode(&read.bytes).unwrap_or_else(|| {
        tracing::error!("the commands that were carried out are forgotten: {} has another form", file.path().display());
        Seen::default()
    })
}

/// Starts the thread.
pub(super) fn start(state: &Path, seen: Arc<Mutex<Seen>>) -> std::io::Result<Keeper> {
    let file = File::new(state.join(FILE));
    let (saves, asked) = mpsc::channel(SAVES);
    let thread = std::thread::Builder::new().name("commands".to_owned()).spawn(move || keep(&file, &seen, asked))?;
    Ok(Keeper { saves, thread })
}

fn keep(file: &File, seen: &Mutex<Seen>, mut asked: mpsc::Receiver<Waiting>) {
    while let Some(first) = asked.blocking_recv() {
        let mut waiting = vec![first];
        while let Ok(next) = asked.try_recv() {
            waiting.push(next);
        }
        let bytes = super::lock(seen).encode();
        let saved = file.write(&bytes);
        if let Err(error) = &saved {
            tracing::warn!("failed to keep what commands were carried out: {}", crate::chain(error));
        }
        for waiting in waiting {
            // Whoever asked may have gone.
            waiting.send(saved.is_ok()).ok();
        }
    }
}

impl Keeper {
    pub(super) fn saver(&self) -> Saver {
        Saver(self.saves.downgrade())
    }

    /// Ends the thread, when what was asked for is saved.
    pub(super) fn stop(self) {
        drop(self.saves);
        // It has nothing left to do but return; a panic has been printed.
        self.thread.join().ok();
    }
}

impl Saver {
    /// Saves the memory as it is now, or later; whether it is on disk.
    pub(super) async fn save(&self) -> bool {
        let (reply, saved) = oneshot::channel();
        let Some(saves) = self.0.upgrade() else { return false };
        if saves.send(reply).await.is_err() {
            return false;
        }
        drop(saves);
        saved.await.unwrap_or(false)
    }
}
