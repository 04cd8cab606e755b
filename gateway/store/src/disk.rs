//! The queue's SQLite file: one transaction per commit, and the reads behind `next`, acknowledgements and eviction.
//!
//! ```text
//! run      counter · nonce · clean · utc_offset            one row per run that has rows waiting, and the last one;
//!                                                          what the last trusted clock said: UTC minus hub time
//! stream   id · run · name · seq · read · filtered · refused · at · rows · bytes · readings
//!                                                          counters since the run began; `at`: hub time of its last commit;
//!                                                          the last three: what waits in `message`
//! message  row · stream · seq · lane · readings · first · last · payload · sum
//!                                                          the queue: one row per message, bytes frozen; their sum
//! aside    row · run · stream · seq · lane · readings · code · payload
//! plugin   name · at · state · sum                         what plugins must not forget, the newest of each
//! ```
//!
//! `readings` are those that no gap record tells of: 0 for records, and for data that was aside and is put back.
//!
//! A message that waits for the clock has a negative `row`: the queue is what lies above zero. Releasing adds one number
//! to the rows below zero, so that they come behind everything handed out before, in their order.
//!
//! Deliberately absent: decisions. What is written and what goes is decided in `queue`; what to do about errors in `writer`.

mod aside;
mod error;
mod files;
mod plugin;
mod read;
mod sum;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use curb_model::{HubTime, Lane, Name, RunId, Stream, UtcOffset};
use curb_wire::record::StreamCounts;
use rusqlite::{Connection, Row, params};

use crate::queue::{Changes, PluginState, RunState, StreamState, Waiting};

pub(crate) use error::{Error, Kind};
pub(crate) use files::Part;
pub(crate) use read::{Admit, Frozen, Stored};
pub(crate) use sum::sum;

const FILE: &str = "queue.db";

/// What SQLite puts behind the name of a file for its write-ahead log.
const LOG: &str = "-wal";

/// "Curb" in ASCII, in the file's header: tells `file` and us whose database it is.
const APPLICATION: i32 = 0x4375_7262;

/// The schema's version. A file of another one is moved aside like a damaged one: this is the first.
const SCHEMA: i32 = 1;

/// KiB of page cache: a hub has little memory, and the queue's ends are all that is touched. A guess.
const CACHE_KIB: i32 = 1024;

/// Bytes that the write-ahead log keeps after a checkpoint, so that a burst does not hold its disk for ever.
const WAL_KEPT_BYTES: i32 = 3 << 19;

/// Pages of the log from which on it is written back: 1 MiB, so that the reserve need not be large.
const LOG_PAGES: i32 = 256;

/// How long a process that was just killed may hold its lock.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Messages set aside that are kept for a person to look at; each is told in a gap record already. A guess: enough to
/// see the pattern, and at most some hundred KiB.
const ASIDE_KEPT: i64 = 1_000;

/// Plugins whose state is kept, those that are configured no more among them: with 256 KiB each, 16 MiB at the very most.
const STATES_KEPT: i64 = 64;

/// Numbers from here on are damage: nothing of ours is counted this far, and there is room for what will be added.
const NONSENSE: i64 = 1 << 61;

/// What a file knows when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) runs: Vec<RunState>,
    pub(crate) streams: Vec<StreamState>,
    /// Greatest row id.
    pub(crate) last_row: i64,
    /// Least and greatest row id below zero.
    pub(crate) held: Option<(i64, i64)>,
    pub(crate) aside: u64,
    /// What plugins must not forget.
    pub(crate) plugins: BTreeMap<Name, PluginState>,
    /// Plugins whose state is not what was written.
    pub(crate) torn_plugins: Vec<String>,
}

impl Loaded {
    /// Whether `run` wrote to this file, or a later one.
    pub(crate) fn knows(&self, run: RunId) -> bool {
        self.runs.iter().any(|known| known.id.counter >= run.counter)
    }
}

/// What a commit writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    /// All but the messages in memory: they may yet be delivered in time.
    Deletions,
}

#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    /// `None` after a damaged file was moved aside, while a new one cannot be made.
    connection: Option<Connection>,
}

impl Disk {
    /// The database in `folder`; nothing is touched.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), connection: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Opens or creates the file, and takes its lock. `wrote` is a run that is known to have written to it: an empty file
    /// is then one that was lost, and is left as it is.
    pub(crate) fn open(&mut self, wrote: Option<RunId>) -> Result<(), Error> {
        self.open_file(wrote)?;
        self.keep_reserve();
        Ok(())
    }

    /// The same for somebody who only looks: without taking room for a reserve.
    pub(crate) fn open_as_it_is(&mut self) -> Result<(), Error> {
        self.open_file(None)
    }

    fn open_file(&mut self, wrote: Option<RunId>) -> Result<(), Error> {
        let lost = |run| Err(Error::Lost { run });
        // Asked before SQLite is: it deletes the log of a file without a byte.
        let is_blank = match fs::metadata(&self.path) {
            Ok(file) => file.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_blank && let Some(run) = wrote {
            return lost(run);
        }
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(LOCK_WAIT)?;
        // Exclusive before the first access: the log then needs no shared memory file, and nobody else can write.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT_BYTES, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let tables: i64 = connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
        let (application, schema) = (pragma("application_id")?, pragma("user_version")?);
        if tables == 0 && schema == 0 {
            if let Some(run) = wrote {
                // Open, for `put_aside`: closed before, SQLite would delete its log.
                self.connection = Some(connection);
                return lost(run);
            }
            connection.execute_batch(include_str!("schema.sql"))?;
            // At once: a damaged log must not take a young queue's tables with it.
            checkpoint(&connection)?;
        } else if application != APPLICATION {
            return Err(Error::Foreign { what: "application id", found: application, expected: APPLICATION });
        } else if schema != SCHEMA {
            return Err(Error::Foreign { what: "schema version", found: schema, expected: SCHEMA });
        }
        // Files of the first days lack these.
        let has_sum = "select count(*) from pragma_table_info('message') where name = 'sum'";
        if connection.query_row(has_sum, [], |row| row.get::<_, i64>(0))? == 0 {
            connection.execute_batch("alter table message add column sum integer")?;
        }
        let has_offset = "select count(*) from pragma_table_info('run') where name = 'utc_offset'";
        if connection.query_row(has_offset, [], |row| row.get::<_, i64>(0))? == 0 {
            connection.execute_batch("alter table run add column utc_offset integer")?;
        }
        connection.execute_batch("create index if not exists message_alarm on message (row) where lane = 1")?;
        connection.execute_batch(plugin::TABLE)?;
        connection.execute_batch(
            "create index if not exists message_released on message (stream) where readings = 0 and lane < 2",
        )?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Reads what the queue must know: a few rows per run, not the messages.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        let mut loaded = self.load_counters()?;
        let connection = self.connection()?;
        // A row that is aside keeps its number as well.
        let ends = "select max((select coalesce(max(row), 0) from message), (select coalesce(max(row), 0) from aside)), \
                    (select min(row) from message)";
        let (last, first) = connection.query_row(ends, [], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
        loaded.last_row = i64::max(last, 0);
        if let Some(first) = first.filter(|first| *first < 0) {
            let last = connection.query_row("select max(row) from message where row < 0", [], |row| row.get(0))?;
            loaded.held = Some((first, last));
        }
        if loaded.last_row >= NONSENSE || loaded.held.is_some_and(|(_, last)| last >= i64::MIN / 2 + NONSENSE) {
            return Err(Error::Nonsense { what: "row id" });
        }
        loaded.aside = self.count_aside()?;
        self.load_plugins(&mut loaded)?;
        Ok(loaded)
    }

    /// Looks through the whole file.
    pub(crate) fn quick_check(&self) -> Result<(), Error> {
        let found: String = self.connection()?.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(Error::Nonsense { what: "page" }) }
    }

    /// What can still be read of a damaged file that is open: the counters of its runs, all or nothing, and what plugins
    /// must not forget, as far as it goes.
    pub(crate) fn salvage(&self) -> Loaded {
        let mut loaded = self.load_counters().unwrap_or_default();
        self.load_plugins(&mut loaded).ok();
        loaded
    }

    fn load_counters(&self) -> Result<Loaded, Error> {
        let connection = self.connection()?;
        let mut loaded = Loaded::default();
        let mut statement = connection.prepare("select counter, nonce, clean, utc_offset from run order by counter")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = RunId { counter: unsigned(row.get(0)?)?, nonce: row.get::<_, i64>(1)?.cast_unsigned() };
            let offset = row.get::<_, Option<i64>>(3)?.map(UtcOffset::from_nanos);
            loaded.runs.push(RunState { id, clean: row.get(2)?, offset });
        }
        let mut statement = connection.prepare(
            "select id, run, name, seq, read, filtered, refused, at, rows, bytes, readings from stream order by id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            loaded.streams.push(stream_state(row, &loaded.runs)?);
        }
        Ok(loaded)
    }

    /// Makes `changes` durable: all of them, or none. With [`Scope::Deletions`] what is in memory stays there, and so do
    /// the counters of its streams.
    pub(crate) fn commit(
        &mut self,
        scope: Scope,
        changes: &Changes,
        runs: &[RunState],
        streams: &BTreeMap<i64, StreamState>,
    ) -> Result<(), Error> {
        let transaction = self.connection.as_mut().ok_or(Error::Missing)?.transaction()?;
        {
            let mut run = transaction.prepare_cached("insert or replace into run values (?1, ?2, ?3, ?4)")?;
            for state in runs.iter().filter(|run| changes.runs.contains(&run.id)) {
                let RunState { id, clean, offset } = *state;
                let offset = offset.map(UtcOffset::as_nanos);
                run.execute(params![signed(id.counter), id.nonce.cast_signed(), clean, offset])?;
            }
            let mut aside = transaction.prepare_cached(
                "insert or replace into aside select m.row, r.counter || '-' || printf('%016x', r.nonce), s.name, m.seq, \
                 m.lane, m.readings, ?2, m.payload \
                 from message m join stream s on s.id = m.stream join run r on r.counter = s.run where m.row = ?1",
            )?;
            for (row, code) in &changes.aside {
                aside.execute(params![row, code])?;
            }
            if !changes.aside.is_empty() {
                let sql = "delete from aside where row not in (select row from aside order by row desc limit ?1)";
                transaction.prepare_cached(sql)?.execute([ASIDE_KEPT])?;
            }
            let mut unshelve = transaction.prepare_cached("delete from aside where row = ?1")?;
            for row in &changes.no_longer_aside {
                unshelve.execute([row])?;
            }
            // Deletions come before insertions: on a full disk the room they make is what the others need.
            let mut delete = transaction.prepare_cached("delete from message where row = ?1")?;
            for row in &changes.gone {
                delete.execute([row])?;
            }
            let mut insert =
                transaction.prepare_cached("insert into message values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            if scope == Scope::All {
                plugin::write(&transaction, &changes.plugins)?;
            }
            for new in changes.rows.iter().filter(|_| scope == Scope::All) {
                let Stored { row, stream, readings, .. } = new.stored;
                let (first, last) = (new.stored.first.as_nanos(), new.stored.last.as_nanos());
                let (seq, lane) = (signed(new.stored.seq), lane_number(new.stored.lane));
                let sum = streams.get(&stream).map(|state| sum(state, new.stored.seq, &new.payload));
                insert.execute(params![row, stream, seq, lane, readings, first, last, &new.payload[..], sum])?;
            }
            let mut replace = transaction.prepare_cached("update message set payload = ?2, sum = ?3 where row = ?1")?;
            for new in changes.replaced.values() {
                let sum = streams.get(&new.stored.stream).map(|state| sum(state, new.stored.seq, &new.payload));
                replace.execute(params![new.stored.row, &new.payload[..], sum])?;
            }
            if let Some(shift) = changes.release {
                transaction.prepare_cached("update message set row = row + ?1 where row < 0")?.execute([shift])?;
            }
            let mut stream = transaction.prepare_cached(
                "insert or replace into stream values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            let mut left =
                transaction.prepare_cached("update stream set rows = ?2, bytes = ?3, readings = ?4 where id = ?1")?;
            for state in changes.streams.iter().filter_map(|id| streams.get(id)) {
                let (counts, waiting) = (&state.counts, &state.waiting);
                let in_memory = changes.rows.waiting(state.id);
                if scope == Scope::Deletions && in_memory.rows > 0 {
                    let waiting = waiting.without(in_memory);
                    let (bytes, readings) = (signed(waiting.bytes), signed(waiting.readings));
                    left.execute(params![state.id, signed(waiting.rows), bytes, readings])?;
                    continue;
                }
                stream.execute(params![
                    state.id,
                    signed(state.run.counter),
                    state.name.as_str(),
                    signed(counts.seq),
                    signed(counts.read),
                    signed(counts.filtered),
                    signed(counts.refused),
                    state.at.as_nanos(),
                    signed(waiting.rows),
                    signed(waiting.bytes),
                    signed(waiting.readings),
                ])?;
            }
            if changes.forget {
                transaction.execute_batch(
                    "delete from stream where rows = 0 and run < (select max(counter) from run); \
                     delete from run where counter < (select max(counter) from run) \
                     and counter not in (select run from stream);",
                )?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Writes the log back into the file, and gives the disk its room.
    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        checkpoint(self.connection()?)
    }

    /// Writes the log back into the file and closes both.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        match self.connection.take().map(Connection::close) {
            Some(Err((_, error))) => Err(error.into()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Lets the file grow no further, as a full disk would.
    #[cfg(test)]
    pub(crate) fn limit_growth(&self, pages: Option<u32>) {
        let connection = self.connection().unwrap();
        let now: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = pages.map_or(u32::MAX - 1, |pages| now + pages);
        connection.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(())).unwrap();
    }

    fn connection(&self) -> Result<&Connection, Error> {
        self.connection.as_ref().ok_or(Error::Missing)
    }
}

fn checkpoint(connection: &Connection) -> Result<(), Error> {
    Ok(connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?)
}

fn stream_state(row: &Row<'_>, runs: &[RunState]) -> Result<StreamState, Error> {
    let counter = unsigned(row.get(1)?)?;
    let run =
        runs.iter().find(|run| run.id.counter == counter).ok_or(Error::Nonsense { what: "stream without a run" })?;
    let name = Stream::parse(row.get_ref(2)?.as_str().unwrap_or_default());
    let id = row.get(0)?;
    if !(0..NONSENSE).contains(&id) {
        return Err(Error::Nonsense { what: "stream id" });
    }
    let mut state = StreamState::new(id, run.id, name.map_err(|_| Error::Nonsense { what: "stream name" })?);
    state.counts = StreamCounts {
        seq: unsigned(row.get(3)?)?,
        read: unsigned(row.get(4)?)?,
        filtered: unsigned(row.get(5)?)?,
        refused: unsigned(row.get(6)?)?,
    };
    state.at = HubTime::from_nanos(row.get(7)?);
    state.waiting =
        Waiting { rows: unsigned(row.get(8)?)?, bytes: unsigned(row.get(9)?)?, readings: unsigned(row.get(10)?)? };
    Ok(state)
}

/// SQLite's integers are signed. No counter of ours gets to 2⁶³.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).ok().filter(|_| number < NONSENSE).ok_or(Error::Nonsense { what: "count" })
}

const fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Data => 0,
        Lane::Alarm => 1,
        Lane::Run => 2,
        Lane::Gap => 3,
        Lane::Clock => 4,
        Lane::Audit => 5,
    }
}
