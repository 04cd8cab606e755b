//! Streams: their rows, the locks on them, and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};

use curb_model::{Name, RunId};
use curb_wire::record::StreamCounts;

use super::{Book, Claim, StreamKey};
use crate::db::{Asked, Cell, Db, Row, cells};
use crate::intervals::{Change, Interval, IntervalSet};

const ROW: &str = "SELECT seq, read, filtered, refused, delivered, duplicates, durable, receipted, changes, run
                   FROM stream WHERE id = ?1";
const ROW_LOCKED: &str = "SELECT seq, read, filtered, refused, delivered, duplicates, durable, receipted, changes, run
                          FROM stream WHERE id = ?1 FOR UPDATE";

/// The counters of a stream's row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) seq: u64,
    pub(super) read: u64,
    pub(super) filtered: u64,
    pub(super) refused: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    /// The last message number on the hub's disk when its run was cut off, if that was told.
    pub(super) durable: Option<u64>,
    /// The greatest receipt that was handed out.
    receipted: u64,
    /// Transactions that changed the stream.
    changes: u64,
}

/// A stream, as its rows have it and the open transaction changes it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) run: i64,
    pub(super) hub: i64,
    pub(super) counts: Counts,
    /// Messages held.
    held: IntervalSet,
    /// Messages held or covered by gap records.
    pub(super) covered: IntervalSet,
    /// Whether the open transaction changed anything.
    changed: bool,
    /// Firsts of intervals that are no longer there, and intervals that have grown or are new.
    gone: BTreeSet<u64>,
    grown: BTreeMap<u64, u64>,
}

impl Account {
    /// Holds one more message, or counts a duplicate.
    pub(super) fn hold(&mut self, seq: u64) -> Change {
        self.changed = true;
        self.covered.insert(seq);
        let change = self.held.insert(seq);
        match &change {
            Change::Held => self.counts.duplicates += 1,
            Change::Merged { gone, now } => {
                self.counts.seq = self.counts.seq.max(seq);
                for first in gone {
                    self.grown.remove(first);
                    self.gone.insert(*first);
                }
                self.grown.insert(now.first, now.last);
            }
        }
        change
    }

    /// Raises the counters to what was told. They only grow, so order does not matter.
    pub(super) fn tell(&mut self, told: &StreamCounts) {
        self.changed = true;
        let counts = &mut self.counts;
        counts.seq = counts.seq.max(told.seq);
        counts.read = counts.read.max(told.read);
        counts.filtered = counts.filtered.max(told.filtered);
        counts.refused = counts.refused.max(told.refused);
    }

    /// Takes a gap record's range.
    pub(super) fn cover(&mut self, gap: Interval) {
        self.changed = true;
        self.covered.insert_all(gap);
        self.counts.seq = self.counts.seq.max(gap.last);
    }

    /// What was on the hub's disk when the run was cut off.
    pub(super) fn cut_off(&mut self, durable: u64) {
        self.changed = true;
        self.counts.durable = Some(durable);
    }

    fn flush(&mut self, db: &mut Db) -> Asked<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        self.counts.changes += 1;
        self.counts.receipted = self.counts.receipted.max(self.covered.contiguous());
        let Counts { seq, read, filtered, refused, delivered, duplicates, durable, receipted, changes } = self.counts;
        db.run(
            "UPDATE stream SET seq = ?2, read = ?3, filtered = ?4, refused = ?5, delivered = ?6, duplicates = ?7,
                               durable = ?8, receipted = ?9, changes = ?10 WHERE id = ?1",
            cells![self.id, seq, read, filtered, refused, delivered, duplicates, durable, receipted, changes],
        )?;
        for first in std::mem::take(&mut self.gone) {
            db.run("DELETE FROM held WHERE stream = ?1 AND first = ?2", cells![self.id, first])?;
        }
        for (first, last) in std::mem::take(&mut self.grown) {
            db.run(
                "INSERT INTO held (stream, first, last) VALUES (?1, ?2, ?3)
                 ON CONFLICT (stream, first) DO UPDATE SET last = excluded.last",
                cells![self.id, first, last],
            )?;
        }
        Ok(())
    }
}

impl Book {
    /// Makes and locks the rows of a transaction. First all that is missing is made, then all is locked, each in one order
    /// everywhere: who waits for a row that another makes holds no lock that the other wants.
    pub(super) fn lock(&mut self, claim: Claim) -> Asked<()> {
        for (site, hub) in claim.hubs {
            self.hub(&site, &hub)?;
        }
        let mut ids = BTreeMap::new();
        for key in claim.streams {
            let id = match self.streams.get(&key) {
                Some(account) => account.id,
                None => self.make(&key)?,
            };
            ids.insert(id, key);
        }
        for (id, key) in ids {
            self.take(id, &key)?;
            self.locked.insert(key);
        }
        Ok(())
    }

    /// A stream that is claimed.
    pub(super) fn locked(&mut self, key: &StreamKey) -> &mut Account {
        self.streams.get_mut(key).expect("the message's streams were claimed when the transaction began")
    }

    /// A stream as it stands now, if it is there.
    pub(super) fn known(&mut self, key: &StreamKey) -> Asked<Option<&Account>> {
        if !self.locked.contains(key) {
            let id = match self.streams.get(key) {
                Some(account) => Some(account.id),
                None => self.find(key)?,
            };
            let Some(id) = id else { return Ok(None) };
            self.read(id, key, ROW)?;
        }
        Ok(self.streams.get(key))
    }

    /// Writes what the transaction changed, and gives the locks up with its commit.
    pub(super) fn flush_streams(&mut self) -> Asked<()> {
        for key in std::mem::take(&mut self.locked) {
            if let Some(account) = self.streams.get_mut(&key) {
                account.flush(&mut self.db)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, id: i64, key: &StreamKey) -> Asked<()> {
        // SQLite's transaction has the write lock of the whole file.
        self.read(id, key, self.db.pick(ROW, ROW_LOCKED))
    }

    /// Reads a stream's row, and its intervals if they are not in memory or were changed by another ingester.
    fn read(&mut self, id: i64, key: &StreamKey, sql: &'static str) -> Asked<()> {
        let row = self.db.first(sql, cells![id], |row| Ok((counts(row)?, row.int(9)?)))?;
        let (counts, run) = row.ok_or(crate::db::Failure::Shape { column: 0 })?;
        if self.streams.get(key).is_some_and(|account| account.counts.changes == counts.changes) {
            return Ok(());
        }
        let hub = self.hub(&key.site, &key.hub)?;
        let interval = |row: &Row| Ok(Interval { first: row.count(0)?, last: row.count(1)? });
        let held = self.db.rows("SELECT first, last FROM held WHERE stream = ?1", cells![id], interval)?;
        let gaps = self.db.rows(
            "SELECT first, last FROM gap WHERE stream = ?1 AND first IS NOT NULL",
            cells![id],
            interval,
        )?;
        let covered = held.iter().chain(&gaps).copied().collect();
        let account = Account {
            id,
            run,
            hub,
            counts,
            held: held.into_iter().collect(),
            covered,
            changed: false,
            gone: BTreeSet::new(),
            grown: BTreeMap::new(),
        };
        self.streams.insert(key.clone(), account);
        Ok(())
    }

    fn find(&mut self, key: &StreamKey) -> Asked<Option<i64>> {
        let StreamKey { site, hub, run, stream } = key;
        self.db.first(
            "SELECT stream.id FROM stream JOIN run ON run.id = stream.run JOIN hub ON hub.id = run.hub
             WHERE hub.site = ?1 AND hub.name = ?2 AND run.name = ?3 AND stream.name = ?4",
            cells![site.as_str(), hub.as_str(), run.to_string(), stream.as_str()],
            |row| row.int(0),
        )
    }

    fn make(&mut self, key: &StreamKey) -> Asked<i64> {
        if let Some(id) = self.find(key)? {
            return Ok(id);
        }
        let hub = self.hub(&key.site, &key.hub)?;
        let run = self.run(hub, key.run)?;
        self.id(
            "SELECT id FROM stream WHERE run = ?1 AND name = ?2",
            "INSERT INTO stream (run, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            cells![run, key.stream.as_str()],
        )
    }

    /// The row of a run; made if it is not there.
    pub(super) fn run(&mut self, hub: i64, run: RunId) -> Asked<i64> {
        self.id(
            "SELECT id FROM run WHERE hub = ?1 AND name = ?2 AND counter = ?3",
            "INSERT INTO run (hub, name, counter) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            cells![hub, run.to_string(), run.counter],
        )
    }

    /// The row of a hub; made if it is not there.
    pub(super) fn hub(&mut self, site: &Name, hub: &Name) -> Asked<i64> {
        let key = (site.clone(), hub.clone());
        if let Some(id) = self.hubs.get(&key) {
            return Ok(*id);
        }
        let id = self.id(
            "SELECT id FROM hub WHERE site = ?1 AND name = ?2",
            "INSERT INTO hub (site, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            cells![site.as_str(), hub.as_str()],
        )?;
        self.hubs.insert(key, id);
        Ok(id)
    }

    /// The id of a row; `make` makes it if it is not there. Another ingester may make it at the same moment, so it is
    /// looked for once more.
    pub(super) fn id(&mut self, find: &'static str, make: &'static str, cells: &[Cell<'_>]) -> Asked<i64> {
        if let Some(id) = self.db.first(find, cells, |row| row.int(0))? {
            return Ok(id);
        }
        self.db.run(make, cells)?;
        let id = self.db.first(find, cells, |row| row.int(0))?;
        id.ok_or(crate::db::Failure::Shape { column: 0 })
    }
}

fn counts(row: &Row) -> Asked<Counts> {
    Ok(Counts {
        seq: row.count(0)?,
        read: row.count(1)?,
        filtered: row.count(2)?,
        refused: row.count(3)?,
        delivered: row.count(4)?,
        duplicates: row.count(5)?,
        durable: row.maybe_count(6)?,
        receipted: row.count(7)?,
        changes: row.count(8)?,
    })
}
