//! Opening: always, whatever the disk holds. A damaged database is moved aside, its counters are salvaged if they can be
//! read, and gap records tell what went with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use curb_model::{Fault, HubClock, HubTime, Room, RunId};
use curb_wire::record::Previous;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::disk::{self, Disk, Kind, Loaded};
use crate::front;
use crate::mark::{MARGIN, MarkFile};
use crate::queue::Queue;
use crate::writer::{Due, Writer, chain};
use crate::{Config, Error, Health, Store};

/// A store that is open and waits for its clock: [`Opened::begin`] starts the run.
#[derive(Debug)]
pub struct Opened {
    /// The run that will begin.
    pub run: RunId,
    /// The run before, as the disk holds it.
    pub previous: Option<Previous>,
    /// Where this run's clock starts: later than anything that an earlier run can have read.
    pub hub_time: HubTime,
    /// Where a damaged database was moved.
    pub damaged: Option<PathBuf>,
    config: Config,
    disk: Disk,
    queue: Queue,
    mark: MarkFile,
    fault: Option<Fault>,
    aside: u64,
}

/// Opens the database, or replaces it; what it knows, and the damage if there was any.
fn load(disk: &mut Disk) -> Result<(Loaded, Option<(PathBuf, Fault)>), disk::Error> {
    let error = match disk.open().and_then(|()| disk.load()) {
        Ok(loaded) => return Ok((loaded, None)),
        Err(error) if error.kind() == Kind::Damaged => error,
        Err(error) => return Err(error),
    };
    let salvaged = disk.salvage();
    let aside = disk.put_aside()?;
    disk.open()?;
    let detail = format!("{}; moved to {}", chain(&error), aside.display());
    let fault = Fault { room: Room::Store, subject: "queue".to_owned(), word: "damaged", detail };
    tracing::error!("{fault}");
    Ok((salvaged, Some((aside, fault))))
}

impl Store {
    /// Opens the queue in `config.dir` and draws the id of a new run. Nothing of this run is written yet. Blocks for as
    /// long as the disk takes: a short queue is read and checked, of a long one only its counters.
    ///
    /// # Errors
    /// The folder or the database cannot be used at all: no permission, no room for a new one, another process has it.
    pub fn open(config: Config) -> Result<Opened, Error> {
        fs::create_dir_all(&config.dir).map_err(|source| Error::Folder { path: config.dir.clone(), source })?;
        let mark_file = MarkFile::new(&config.dir);
        let mark = mark_file.read();
        let mut disk = Disk::new(&config.dir);
        let (loaded, damage) = load(&mut disk).map_err(|error| match error.kind() {
            Kind::Locked => Error::Locked { path: disk.path().to_owned() },
            Kind::Damaged | Kind::Full | Kind::Other => {
                Error::Open { path: disk.path().to_owned(), source: error.into() }
            }
        })?;

        let last = loaded.runs.iter().map(|run| run.id).chain(mark.map(|mark| mark.run)).max_by_key(|run| run.counter);
        let nonce = getrandom::u64().map_err(Error::Nonce)?;
        let run = RunId { counter: last.map_or(1, |run| run.counter + 1), nonce };
        let times = loaded.streams.iter().map(|stream| stream.at).chain(mark.map(|mark| mark.hub_time));
        let hub_time = times.max().map_or(HubTime::ZERO, |time| time.plus(MARGIN));

        let aside = loaded.aside;
        let unseen = loaded.runs.is_empty();
        let mut queue = Queue::new(config.hub.clone(), run, loaded);
        // A mark that is newer than the database is that of a run whose database is lost.
        let previous = queue.previous().filter(|previous| last == Some(previous.run));
        let previous = previous.or_else(|| last.map(|run| Previous { run, clean: false, streams: [].into() }));
        if damage.is_some() {
            queue.lose_disk();
            if let Some(last) = last.filter(|_| unseen) {
                queue.lost_unseen(last, hub_time);
            }
        }
        let (damaged, fault) = damage.unzip();
        Ok(Opened { run, previous, hub_time, damaged, config, disk, queue, mark: mark_file, fault, aside })
    }
}

impl Opened {
    /// Starts the run: its first message, the `opened` record, is committed before any other can be. `clock` was started
    /// at [`Opened::hub_time`].
    ///
    /// # Errors
    /// The writer's thread cannot be started.
    pub fn begin(self, clock: HubClock) -> Result<Store, Error> {
        let (run, previous) = (self.run, self.previous.clone());
        let (writer, changed) = self.into_writer(clock);
        front::start(run, writer, previous, changed)
    }

    pub(crate) fn into_writer(self, clock: HubClock) -> (Writer, watch::Receiver<u64>) {
        let Self { run, config, disk, queue, mark, fault, aside, previous: _, hub_time: _, damaged: _ } = self;
        let faults: BTreeMap<_, _> = fault.map(|fault| (fault.word, fault)).into_iter().collect();
        let health = Health {
            run,
            rows: queue.waiting.rows,
            bytes: queue.waiting.bytes,
            limit_bytes: config.limit_bytes,
            readings_waiting: queue.waiting.readings,
            oldest: None,
            aside,
            commits: 0,
            payload_bytes: 0,
            gaps: [].into(),
            faults: faults.values().cloned().collect(),
        };
        let (changed, changes) = watch::channel(0);
        let writer = Writer {
            disk,
            queue,
            mark,
            clock,
            limit_bytes: config.limit_bytes,
            counts_every: config.counts_every,
            changed,
            health: Arc::new(Mutex::new(health)),
            due: Due::new(Instant::now(), config.counts_every),
            faults,
            waiting: Vec::new(),
            aside,
            commits: 0,
            payload_bytes: 0,
        };
        (writer, changes)
    }
}
