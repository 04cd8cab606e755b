//! Looks through the database's file in the background, once there was trouble: `pragma quick_check` on a connection of its
//! own that only reads.
//!
//! The writer's lock keeps every other connection away, so this one asks for none: it takes the file for one that does not
//! change (`immutable`), and does not see the log, whose frames carry sums of their own. It holds nobody up, but for its share of
//! the disk, which is half at most. The file does change below it, page by page when the log is written back; so what it finds
//! wrong is a suspicion, and the writer looks for itself. What it finds right is right.
//!
//! Deliberately absent: a check at each start, or after each power cut. SQLite's log is made for those.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

/// How long it works before it rests as long: well below what anybody waits for a commit.
const SLICE: Duration = Duration::from_millis(20);

/// Steps of SQLite between two looks at the time: some pages.
const STEPS: i32 = 100;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing wrong.
    Whole,
    /// Something that may be wrong, in SQLite's words.
    Doubt(String),
    /// It did not come to an end.
    Nothing,
}

/// A check under way. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Check {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<Found>>,
}

impl Check {
    /// Starts it.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(file: &Path) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let (uri, asked) = (uri(file), Arc::clone(&stop));
        let look = move || look(&uri, &asked);
        let thread = Some(std::thread::Builder::new().name("store-check".to_owned()).spawn(look)?);
        Ok(Self { stop, thread })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What it found; ends it if it has not come to its end.
    pub(crate) fn found(mut self) -> Found {
        self.end()
    }

    fn end(&mut self) -> Found {
        self.stop.set();
        // A panic has been printed.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(Found::Nothing)
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.end();
    }
}

fn look(uri: &str, stop: &Arc<Stop>) -> Found {
    match quick_check(uri, stop) {
        Ok(text) if text == "ok" => Found::Whole,
        Ok(text) => Found::Doubt(text),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Found::Nothing,
        Err(error) => Found::Doubt(error.to_string()),
    }
}

fn quick_check(uri: &str, stop: &Arc<Stop>) -> rusqlite::Result<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(uri, flags)?;
    let (stop, mut began) = (Arc::clone(stop), Instant::now());
    let rests = move || {
        let worked = began.elapsed();
        let is_over = if worked < SLICE { stop.is_set() } else { stop.rest(worked) };
        if worked >= SLICE {
            began = Instant::now();
        }
        is_over
    };
    connection.progress_handler(STEPS, Some(rests))?;
    connection.query_row("pragma quick_check(1)", [], |row| row.get(0))
}

/// The file's name as SQLite takes it (https://sqlite.org/uri.html).
fn uri(file: &Path) -> String {
    let escaped: String = file
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '%' => "%25".to_owned(),
            '?' => "%3f".to_owned(),
            '#' => "%23".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!("file:{escaped}?immutable=1")
}

/// Whether to end, and a place to rest until then.
#[derive(Debug, Default)]
struct Stop {
    set: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.set.lock().expect("nobody panics while holding it") = true;
        self.told.notify_all();
    }

    fn is_set(&self) -> bool {
        *self.set.lock().expect("nobody panics while holding it")
    }

    /// Waits for so long, or until it is to end; whether it is.
    fn rest(&self, at_most: Duration) -> bool {
        let set = self.set.lock().expect("nobody panics while holding it");
        let waited = self.told.wait_timeout_while(set, at_most, |set| !*set);
        *waited.expect("nobody panics while holding it").0
    }
}
