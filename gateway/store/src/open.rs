//! Opening: always, whatever the disk holds. A damaged database is moved aside, its counters are salvaged if they can be
//! read, and gap records tell what went with it. So they do when SQLite sees no damage, and the last run is not in there:
//! it takes a log that is damaged for one that is empty.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use curb_model::{Fault, HubClock, HubTime, Name, Room, RunId};
use curb_wire::record::Previous;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::disk::{self, Disk, Kind, Loaded, Part};
use crate::front;
use crate::mark::{MARGIN, MarkFile};
use crate::queue::Queue;
use crate::told::ToldFile;
use crate::writer::{Due, Trouble, Writer, damage_detail};
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
    /// Where a damaged database was moved, or its log.
    pub damaged: Option<PathBuf>,
    /// What plugins must not forget, as [`Store::keep_state`] got it last.
    pub states: BTreeMap<Name, Arc<[u8]>>,
    config: Config,
    disk: Disk,
    queue: Queue,
    mark: MarkFile,
    fault: Option<Fault>,
    aside: u64,
    /// The last run that is known to have written to the database.
    last: Option<RunId>,
}

/// More memory than any statement of ours needs for a good file: its cache, and a message many times over.
const ENOUGH: usize = 8 << 20;

/// What was wrong with the database.
struct Damage {
    fault: Fault,
    part: Part,
    aside: Option<PathBuf>,
}

/// Opens and reads the database. A hub can be short of memory for a moment, and a damaged length can ask for more than there
/// is: it is damage if memory fails twice, and there is enough between and after.
fn read(disk: &mut Disk, wrote: Option<RunId>) -> Result<Loaded, disk::Error> {
    let is_absurd = |error: &disk::Error| {
        let mut probe = Vec::<u8>::new();
        error.is_out_of_memory() && std::hint::black_box(&mut probe).try_reserve_exact(ENOUGH).is_ok()
    };
    let once = |disk: &mut Disk| {
        if !disk.is_open() {
            disk.open(wrote)?;
        }
        disk.load()
    };
    match once(disk) {
        Err(error) if is_absurd(&error) => {}
        first => return first,
    }
    match once(disk) {
        Err(error) if is_absurd(&error) => Err(disk::Error::Nonsense { what: "length" }),
        second => second,
    }
}

/// Opens the database, or replaces it; what it knows, and the damage if there was any. `wrote` is the last run that is
/// known to have written to it.
fn load(disk: &mut Disk, wrote: Option<RunId>) -> Result<(Loaded, Option<Damage>), disk::Error> {
    let (loaded, error, part) = match read(disk, wrote) {
        Ok(loaded) => match wrote.filter(|run| !loaded.knows(*run)) {
            None => return Ok((loaded, None)),
            Some(run) => (loaded, disk::Error::Lost { run }, Part::Log),
        },
        Err(error) if error.kind() == Kind::Damaged => (disk.salvage(), error, Part::All),
        Err(error) => return Err(error),
    };
    let aside = disk.put_aside(part)?;
    disk.open(None)?;
    let fault = Fault {
        room: Room::Store,
        subject: "queue".to_owned(),
        word: "damaged",
        detail: damage_detail(&error, aside.as_deref()),
    };
    tracing::error!("{fault}");
    Ok((loaded, Some(Damage { fault, part, aside })))
}

/// A plugin starts without what it remembers if that is not what was written, as on a card that loses writes.
fn torn_states(plugins: &[String]) -> Option<Fault> {
    let names = plugins.join(", ");
    let detail = format!("what was kept of {names} is not what was written; it is not used");
    let fault = Fault { room: Room::Store, subject: "plugins".to_owned(), word: "damaged", detail };
    (!plugins.is_empty()).then(|| {
        tracing::error!("{fault}");
        fault
    })
}

impl Store {
    /// Opens the queue in `config.dir` and draws the id of a new run. Nothing of this run is written yet. Blocks for as
    /// long as the disk takes for a few pages: the counters are read, and no message.
    ///
    /// # Errors
    /// The folder or the database cannot be used at all: no permission, no room for a new one, another process has it.
    pub fn open(config: Config) -> Result<Opened, Error> {
        fs::create_dir_all(&config.dir).map_err(|source| Error::Folder { path: config.dir.clone(), source })?;
        let mark_file = MarkFile::new(&config.dir);
        let mark = mark_file.read();
        let mut disk = Disk::new(&config.dir);
        let (mut loaded, damage) = load(&mut disk, mark.map(|mark| mark.run)).map_err(|error| match error.kind() {
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
        let states =
            loaded.plugins.iter().filter_map(|(name, state)| Some((name.clone(), state.bytes.clone()?))).collect();
        let torn = std::mem::take(&mut loaded.torn_plugins);
        let unseen = last.filter(|last| !loaded.knows(*last));
        let mut queue = Queue::new(config.hub.clone(), config.form, run, loaded);
        // A mark that is newer than the database is that of a run whose database is lost.
        let previous = queue.previous().filter(|previous| last == Some(previous.run));
        let previous = previous.or_else(|| last.map(|run| Previous { run, clean: false, streams: [].into() }));
        if damage.as_ref().is_some_and(|damage| damage.part == Part::All) {
            queue.lose_disk();
        }
        if let Some(last) = unseen {
            queue.lost_unseen(last, hub_time);
        }
        let (damaged, fault) = damage.map(|damage| (damage.aside, damage.fault)).unzip();
        let fault = fault.or_else(|| torn_states(&torn));
        Ok(Opened {
            run,
            previous,
            hub_time,
            damaged: damaged.flatten(),
            states,
            last,
            config,
            disk,
            queue,
            mark: mark_file,
            fault,
            aside,
        })
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
        let Self { run, config, disk, queue, mark, fault, aside, last, .. } = self;
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
            checks: 0,
            gaps: [].into(),
            faults: faults.values().cloned().collect(),
        };
        let (changed, changes) = watch::channel(0);
        let told = ToldFile::read(&config.dir);
        let mut trouble = Trouble::read(&config.dir);
        if !faults.is_empty() {
            trouble.begins();
        }
        let mut writer = Writer {
            disk,
            queue,
            mark,
            told,
            trouble,
            message_bytes: config.message_bytes,
            wrote: last,
            clock,
            limit_bytes: config.limit_bytes,
            commit_every: config.commit_every,
            commit_bytes: config.commit_bytes,
            counts_every: config.counts_every,
            drained: false,
            oldest: None,
            changed,
            health: Arc::new(Mutex::new(health)),
            due: Due::new(Instant::now(), config.counts_every),
            faults,
            waiting: Vec::new(),
            aside,
            commits: 0,
            payload_bytes: 0,
        };
        writer.limit_messages();
        writer.queue.expire_after(config.expire);
        (writer, changes)
    }
}
