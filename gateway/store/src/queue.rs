//! What the queue holds and what its next commit changes. Pure: it runs ahead of the disk, never behind it.
//!
//! A batch that enters gets its number and its bytes here, at once and for ever. [`Changes`] collects everything that
//! the disk does not know yet; the writer commits it as one transaction and calls [`Queue::committed`]. A commit that
//! fails changes nothing here, so that trying again is the same commit. Data may be handed out before it is committed, and
//! what is delivered until then is in no commit; all else is committed first.
//!
//! Deliberately absent: clocks, SQL, errors.

mod append;
mod aside;
mod expire;
mod lose;
mod state;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use curb_model::{GapReason, HubTime, Lane, Name, RunId, Stream, UtcOffset};
use curb_wire::command::{Audit, AuditRecord};
use curb_wire::record::{
    ClockEvent, ClockRecord, Document as _, GapRecord, Identity, Previous, RunEvent, RunRecord, StreamCounts, VERSION,
};
use curb_wire::senml::Form;

use crate::disk::{Loaded, Scope, Stored};
use crate::gaps::Gaps;

pub(crate) use aside::Aside;
use expire::Expiry;
pub(crate) use state::{Changes, PluginState, RunState, StreamState, Waiting};
pub(crate) use window::NewRow;

/// Why a row leaves the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Delivered,
    /// The byte limit was reached.
    Evicted,
    /// It is too old to be worth sending.
    Expired,
    /// Its bytes are not those that were written.
    Damaged,
    /// The broker refused it for what it is, with this code.
    SetAside(u8),
}

/// A run record that is still only here and on disk, and may be told anew.
#[derive(Debug)]
struct OpenCounts {
    row: i64,
    seq: u64,
    streams: BTreeMap<String, StreamCounts>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    hub: Name,
    form: Form,
    /// Bytes of a message at most, where it can be parted.
    message_max: usize,
    expiry: Expiry,
    run: RunId,
    pub(crate) runs: Vec<RunState>,
    pub(crate) streams: BTreeMap<i64, StreamState>,
    /// Streams of this run.
    current: HashMap<Stream, i64>,
    next_row: i64,
    /// Least and greatest row id below zero.
    held: Option<(i64, i64)>,
    released: bool,
    pub(crate) waiting: Waiting,
    pub(crate) gaps: Gaps,
    counts: Option<OpenCounts>,
    /// What plugins must not forget, as it is on disk, or will be with the next commit.
    plugins: BTreeMap<Name, PluginState>,
    pub(crate) changes: Changes,
}

impl Queue {
    /// What `loaded` says, to be continued by `run`. What earlier runs held back for the clock is released: no clock
    /// record of theirs is coming.
    pub(crate) fn new(hub: Name, form: Form, run: RunId, loaded: Loaded) -> Self {
        let mut waiting = Waiting::default();
        loaded.streams.iter().for_each(|stream| waiting.add(stream.waiting));
        let mut queue = Self {
            hub,
            form,
            message_max: usize::MAX,
            expiry: Expiry::default(),
            run,
            runs: loaded.runs,
            streams: loaded.streams.into_iter().map(|stream| (stream.id, stream)).collect(),
            current: HashMap::new(),
            next_row: loaded.last_row + 1,
            held: loaded.held,
            released: false,
            waiting,
            gaps: Gaps::default(),
            counts: None,
            plugins: loaded.plugins,
            changes: Changes::default(),
        };
        queue.release_held();
        queue
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// From here on new messages are at most so long, where they can be parted.
    pub(crate) const fn limit_messages(&mut self, bytes: usize) {
        self.message_max = bytes;
    }

    /// The run before, as the disk holds it.
    pub(crate) fn previous(&self) -> Option<Previous> {
        let last = self.runs.iter().filter(|run| run.id != self.run).max_by_key(|run| run.id.counter)?;
        let streams = self.streams.values().filter(|stream| stream.run == last.id);
        let streams = streams.map(|stream| (stream.name.to_string(), stream.counts)).collect();
        Some(Previous { run: last.id, clean: last.clean, streams })
    }

    /// The first message of the run. Forgets earlier runs of which nothing waits: their last word is in this record.
    pub(crate) fn open(&mut self, previous: Option<Previous>, at: HubTime) {
        self.began(at);
        self.runs.push(RunState::new(self.run, false));
        self.changes.runs.insert(self.run);
        let record = self.run_record(RunEvent::Opened, at, previous, BTreeMap::new());
        self.record(&Stream::run(), Lane::Run, at, record);
        let run = self.run;
        self.streams.retain(|_, stream| stream.run == run || stream.waiting.rows > 0);
        let streams = &self.streams;
        self.runs.retain(|known| known.id == run || streams.values().any(|stream| stream.run == known.id));
        self.changes.forget = true;
    }

    /// The last message of the run: final counters.
    pub(crate) fn close(&mut self, at: HubTime) {
        self.settle();
        let streams = self.streams.values().filter(|stream| stream.run == self.run);
        let streams = streams.map(|stream| (stream.name.to_string(), stream.counts)).collect();
        let record = self.run_record(RunEvent::Closed, at, None, streams);
        self.record(&Stream::run(), Lane::Run, at, record);
        self.runs.iter_mut().filter(|run| run.id == self.run).for_each(|run| run.clean = true);
        self.changes.runs.insert(self.run);
    }

    pub(crate) fn clock_record(&mut self, event: ClockEvent, at: HubTime, offset: Option<UtcOffset>, trust: &str) {
        // A clock that is lost leaves what it said: hub time goes on by itself.
        if let Some(run) = self.runs.iter_mut().find(|run| run.id == self.run).filter(|_| offset.is_some()) {
            run.offset = offset;
            self.changes.runs.insert(run.id);
        }
        let trust = trust.to_owned();
        let record = |id| ClockRecord { v: VERSION, id, event, ht: at, offset, trust }.encode();
        self.record(&Stream::clock(), Lane::Clock, at, record);
    }

    pub(crate) fn audit(&mut self, audit: Audit) {
        let at = audit.ht;
        self.record(&Stream::audit(), Lane::Audit, at, |id| AuditRecord { id, audit }.encode());
    }

    /// Tells counters that moved without a message since. A record that nobody has been given yet is told anew
    /// instead, so that a long outage keeps one.
    pub(crate) fn tell_counts(&mut self, at: HubTime) {
        let mut moved = BTreeMap::new();
        for stream in self.streams.values_mut() {
            if std::mem::take(&mut stream.untold) {
                moved.insert(stream.name.to_string(), stream.counts);
            }
        }
        if moved.is_empty() {
            return;
        }
        if let Some(mut open) = self.counts.take() {
            open.streams.append(&mut moved);
            let record = self.run_record(RunEvent::Counts, at, None, open.streams.clone());
            self.rewrite(&Stream::run(), Lane::Run, at, (open.row, open.seq), record);
            self.counts = Some(open);
        } else {
            let record = self.run_record(RunEvent::Counts, at, None, moved.clone());
            let (row, seq) = self.record(&Stream::run(), Lane::Run, at, record);
            self.counts = Some(OpenCounts { row, seq, streams: moved });
        }
    }

    /// Lets messages go that wait for the clock, and those to come.
    pub(crate) fn release_undated(&mut self) {
        self.released = true;
        self.release_held();
        self.streams.values_mut().for_each(|stream| stream.held = false);
    }

    /// A row leaves. It is gone for everybody at once; from the disk, if it came that far, with the next commit.
    pub(crate) fn remove(&mut self, row: &Stored, why: Leaves) {
        let Some(stream) = self.streams.get_mut(&row.stream) else { return };
        if self.changes.rows.remove(row.row).is_none() && !self.changes.gone.insert(row.row) {
            return;
        }
        let cost = Waiting::of(row.lane, 1, row.len, u64::from(row.readings));
        stream.waiting.take(cost);
        self.waiting.take(cost);
        self.changes.streams.insert(row.stream);
        let reason = match why {
            Leaves::Delivered => return,
            Leaves::Evicted => GapReason::Full,
            Leaves::Expired => GapReason::Expired,
            Leaves::Damaged => {
                // If it was an open gap's own record, that is told again.
                self.gaps.lost(row.row);
                GapReason::Damaged
            }
            Leaves::SetAside(code) => {
                self.changes.aside.insert(row.row, code);
                GapReason::SetAside
            }
        };
        if row.is_released() {
            return;
        }
        // The counters that the newest message carried must be told in another way.
        stream.untold |= stream.run == self.run && row.seq == stream.counts.seq;
        self.gaps.numbered(stream.run, &stream.name, reason, row);
    }

    /// A record is given to the uplink: from now on its bytes stay as they are.
    pub(crate) fn handed_out(&mut self, row: i64) {
        self.gaps.handed_out(row);
        self.counts.take_if(|open| open.row == row);
    }

    /// What audit records take, of all runs.
    pub(crate) fn audit_bytes(&self) -> u64 {
        let audit = Stream::audit();
        self.streams.values().filter(|stream| stream.name == audit).map(|stream| stream.waiting.bytes).sum()
    }

    pub(crate) fn stream_of(&self, run: RunId, name: &Stream) -> Option<i64> {
        self.streams.values().find(|stream| stream.run == run && stream.name == *name).map(|stream| stream.id)
    }

    /// Freezes what has been collected in open gaps. Before each commit.
    pub(crate) fn settle(&mut self) {
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.settle(|gap, place| {
            let (at, gap) = (gap.to_ht, gap.clone());
            let record = |id| GapRecord { v: VERSION, id, gap }.encode();
            match place {
                None => self.record(&Stream::gap(), Lane::Gap, at, record),
                Some(place) => self.rewrite(&Stream::gap(), Lane::Gap, at, place, record),
            }
        });
        self.gaps = gaps;
    }

    /// Takes what the disk really holds for what waits; there is nothing uncommitted. Heals numbers that were damaged.
    pub(crate) fn recount(&mut self, counted: &BTreeMap<i64, Waiting>) {
        self.waiting = Waiting::default();
        for stream in self.streams.values_mut() {
            stream.waiting = counted.get(&stream.id).copied().unwrap_or_default();
            self.waiting.add(stream.waiting);
        }
    }

    /// The disk knows `changes`.
    pub(crate) fn committed(&mut self, scope: Scope) {
        let known = std::mem::take(&mut self.changes);
        if scope == Scope::Deletions {
            self.changes.streams = known.rows.iter().map(|new| new.stored.stream).collect();
            self.changes.rows = known.rows;
            self.changes.plugins = known.plugins;
            self.changes.behind_state = known.behind_state;
        }
    }

    /// What a plugin must not forget, instead of what it said before; `None`: nothing any more.
    pub(crate) fn keep_state(&mut self, plugin: Name, bytes: Option<Arc<[u8]>>, at: HubTime) {
        self.changes.behind_state.get_or_insert(self.next_row);
        let since = self.changes.plugins.get(&plugin).map_or(at, |state| state.since);
        let state = PluginState { since, bytes };
        self.plugins.insert(plugin.clone(), state.clone());
        self.changes.plugins.insert(plugin, state);
    }

    fn stream(&mut self, name: &Stream) -> i64 {
        if let Some(id) = self.current.get(name) {
            return *id;
        }
        let id = self.add_stream(self.run, name);
        self.current.insert(name.clone(), id);
        id
    }

    fn add_stream(&mut self, run: RunId, name: &Stream) -> i64 {
        let id = self.streams.last_key_value().map_or(1, |(last, _)| last + 1);
        self.streams.insert(id, StreamState::new(id, run, name.clone()));
        id
    }

    fn take_row(&mut self) -> i64 {
        let row = self.next_row;
        self.next_row += 1;
        row
    }

    fn take_held_row(&mut self) -> i64 {
        // Half of the range for each kind: neither is used up by 2⁶² messages.
        let (first, row) = self.held.map_or((i64::MIN / 2, i64::MIN / 2), |(first, last)| (first, last + 1));
        self.held = Some((first, row));
        row
    }

    fn release_held(&mut self) {
        if let Some((first, last)) = self.held.take() {
            let shift = self.next_row - first;
            self.next_row = last + shift + 1;
            self.changes.release = Some(shift);
        }
    }

    fn push(&mut self, new: NewRow) {
        let cost = new.cost();
        self.waiting.add(cost);
        let Stored { stream: id, lane, last, .. } = new.stored;
        let stream = self.streams.get_mut(&id).expect("a row is made for a stream that exists");
        stream.waiting.add(cost);
        stream.at = stream.at.max(last);
        self.changes.streams.insert(id);
        self.changes.commit_first |= lane != Lane::Data;
        self.changes.rows.insert(new);
    }

    fn identity(&self, stream: &Stream, seq: u64) -> Identity {
        Identity { hub: self.hub.to_string(), run: self.run, stream: stream.to_string(), seq }
    }

    /// Numbers and freezes a record; its row and number.
    fn record(
        &mut self,
        stream: &Stream,
        lane: Lane,
        at: HubTime,
        encode: impl FnOnce(Identity) -> Vec<u8>,
    ) -> (i64, u64) {
        let id = self.stream(stream);
        let state = self.streams.get_mut(&id).expect("it was looked up or made above");
        state.counts.seq += 1;
        let seq = state.counts.seq;
        let payload = encode(self.identity(stream, seq));
        let row = self.take_row();
        self.push(NewRow { stored: record_row(row, id, seq, lane, at, &payload), since: at, payload: payload.into() });
        (row, seq)
    }

    /// New bytes for a record that nobody has been given yet.
    fn rewrite(
        &mut self,
        stream: &Stream,
        lane: Lane,
        at: HubTime,
        (row, seq): (i64, u64),
        encode: impl FnOnce(Identity) -> Vec<u8>,
    ) -> (i64, u64) {
        let payload: Arc<[u8]> = encode(self.identity(stream, seq)).into();
        if !self.changes.rows.rewrite(row, &payload) {
            let stream = self.stream(stream);
            self.changes.streams.insert(stream);
            let new = NewRow { stored: record_row(row, stream, seq, lane, at, &payload), since: at, payload };
            self.changes.replaced.insert(row, new);
        }
        (row, seq)
    }

    fn run_record(
        &self,
        event: RunEvent,
        ht: HubTime,
        previous: Option<Previous>,
        streams: BTreeMap<String, StreamCounts>,
    ) -> impl FnOnce(Identity) -> Vec<u8> + use<> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        move |id| RunRecord { v: VERSION, id, event, ht, version, previous, streams }.encode()
    }
}

/// The row of a record: it has no readings, and one time.
fn record_row(row: i64, stream: i64, seq: u64, lane: Lane, at: HubTime, payload: &[u8]) -> Stored {
    Stored { row, stream, seq, lane, readings: 0, first: at, last: at, len: payload.len() as u64 }
}
