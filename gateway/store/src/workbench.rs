//! The queue while no daemon runs: opened by a tool, under the daemon's own lock.
//!
//! A second connection to a live file is not safe, so that there is none: while a daemon has the queue, this does not open.
//! No run begins here, nothing is numbered, and nothing that is damaged is moved: that is the next daemon's.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use curb_model::{HubTime, Name, RowId, RunId};
use curb_wire::senml::Form;

use crate::Error;
use crate::disk::{self, Disk, Kind, Scope};
use crate::queue::Queue;
use crate::shelf::{self, Kept, Shelf, StreamWaiting};

/// The open queue. Closed when it is dropped.
#[derive(Debug)]
pub struct Workbench {
    disk: Disk,
    queue: Queue,
    /// Of what is put back: when.
    at: HubTime,
}

impl Workbench {
    /// Opens the queue in this folder.
    ///
    /// # Errors
    /// There is none, a daemon has it, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let mut disk = Disk::new(dir);
        let path = disk.path().to_owned();
        match OpenOptions::new().read(true).write(true).open(&path).and_then(|file| file.metadata()) {
            Ok(file) if file.len() > 0 => {}
            Ok(_) => return Err(Error::Absent { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Absent { path }),
            Err(source) => return Err(Error::Folder { path, source }),
        }
        let loaded = disk.open_as_it_is().and_then(|()| disk.load());
        let loaded = loaded.map_err(|error| error_of(&disk, error))?;
        let at = loaded.streams.iter().map(|stream| stream.at).max().unwrap_or(HubTime::ZERO);
        // Nothing is numbered here, so that nobody sees these.
        let (nobody, no_run) =
            (Name::new("nobody").expect("a fixed text that is a name"), RunId { counter: 0, nonce: 0 });
        let run = loaded.runs.last().map_or(no_run, |run| run.id);
        Ok(Self { disk, queue: Queue::new(nobody, Form::default(), run, loaded), at })
    }

    /// What waits, by run and stream.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn waiting(&self) -> Result<Vec<StreamWaiting>, Error> {
        shelf::waiting(&self.queue, &self.disk).map_err(|error| error_of(&self.disk, error))
    }

    /// As [`Store::look`](crate::Store::look).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn look(&self, shelf: Shelf, after: Option<RowId>, rows: usize, bytes: usize) -> Result<Vec<Kept>, Error> {
        let after = after.map_or(i64::MIN, |row| row.0);
        self.disk.look(shelf, after, rows, bytes).map_err(|error| error_of(&self.disk, error))
    }

    /// As [`Store::put_back`](crate::Store::put_back).
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn put_back(&mut self, rows: &[RowId]) -> Result<Vec<RowId>, Error> {
        let done = shelf::put_back(&self.disk, &mut self.queue, rows, self.at);
        self.commit(done)
    }

    /// As [`Store::throw_away`](crate::Store::throw_away).
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn throw_away(&mut self, rows: &[RowId]) -> Result<Vec<RowId>, Error> {
        let done = shelf::throw_away(&self.disk, &mut self.queue, rows);
        self.commit(done)
    }

    fn commit(&mut self, done: Result<Vec<RowId>, disk::Error>) -> Result<Vec<RowId>, Error> {
        let committed = done.and_then(|done| {
            let changes = &self.queue.changes;
            self.disk.commit(Scope::All, changes, &self.queue.runs, &self.queue.streams).map(|()| done)
        });
        let done = committed.map_err(|error| error_of(&self.disk, error))?;
        self.queue.committed(Scope::All);
        Ok(done)
    }
}

fn error_of(disk: &Disk, error: disk::Error) -> Error {
    let path = disk.path().to_owned();
    match error.kind() {
        Kind::Locked => Error::Locked { path },
        Kind::Damaged | Kind::Full | Kind::Other => Error::Open { path, source: error.into() },
    }
}
