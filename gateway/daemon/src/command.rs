//! Commands: from the core through the uplink, and from people on the hub through the control socket. One function carries
//! them out, and no other way leads from outside to a device.
//!
//! ```text
//! request ─► read ─► known already? ─► in time? ─► granted? ─► noted on disk ─► written, read back ─► audit record ─► answer
//!              └───────────┴──────────────┴───────────┴── refused with a word ────────────────────────────┘
//! ```
//!
//! Each runs on a task of its own; the daemon's loop only looks up the bus. Deliberately absent: whether a value may stand at
//! a point (the config's grant, which the source looks at, here and again on the bus), and any way to write without an audit
//! record.

mod keeper;
mod request;
mod seen;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use curb_model::{HubClock, Name, PointName, Reason, Value};
use curb_source::{BusHandle, Proof, WriteError, Written};
use curb_store::Store;
use curb_uplink::{COMMANDS, Command};
use curb_wire::command::{self as wire, Answer, Audit, Origin, Outcome, Refusal, WRITE, Write};
use curb_wire::record::Document as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use keeper::{Keeper, Saver};
use request::{Request, in_time, read};
use seen::{Admission, Known, Seen};

use crate::spool::Spool;

/// Commands under way at most: those of the core that are started at once, and as many from the control socket, each
/// with its own share.
const MOST: usize = 2 * COMMANDS;

/// Correlation data in bytes at most: four times an UUID. It is stored for each command.
const ID_MAX: usize = 64;

/// Of texts that come from outside: bytes that are kept in an audit record and an answer at most.
const TEXT_MAX: usize = 256;

/// How long after its deadline a write may take that was sent just before: the slowest device's time-outs. Then its bus is
/// stuck, which has its own fault.
const CONFIRM: Duration = Duration::from_secs(30);

/// How long the disk may take to keep an audit record. Longer means that it is full; then there is no answer, and the record
/// is written as soon as there is room.
const AUDIT: Duration = Duration::from_secs(30);

/// Whoever wants to write. A clone is the same.
#[derive(Debug, Clone)]
struct Desk {
    hub: Name,
    clock: HubClock,
    store: Store,
    seen: Arc<Mutex<Seen>>,
    saver: Saver,
}

/// The commands under way.
#[derive(Debug)]
pub(crate) struct Commands {
    desk: Desk,
    keeper: Keeper,
    incoming: mpsc::Receiver<Command>,
    /// For each uplink that is started.
    hand_over: mpsc::Sender<Command>,
    tasks: JoinSet<()>,
}

/// What came of a request, and whether it was new.
enum Done {
    /// To be recorded, and answered.
    New(Outcome),
    /// Carried out: to be recorded, remembered and answered.
    Carried(Outcome),
    /// To be answered only.
    Again(Answer),
}

impl Commands {
    /// Takes up the memory of commands in `state`. What was under way when the hub was cut off is recorded as unconfirmed.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(state: &Path, hub: &Name, clock: &HubClock, store: &Store) -> std::io::Result<Self> {
        let mut seen = keeper::load(state);
        let interrupted = seen.interrupted(hub.as_str());
        let seen = Arc::new(Mutex::new(seen));
        let keeper = keeper::start(state, Arc::clone(&seen))?;
        let desk = Desk { hub: hub.clone(), clock: clock.clone(), store: store.clone(), seen, saver: keeper.saver() };
        let (hand_over, incoming) = mpsc::channel(COMMANDS);
        let mut tasks = JoinSet::new();
        if !interrupted.is_empty() {
            tasks.spawn(desk.clone().tell_interrupted(interrupted));
        }
        match Spool::open_if_there(state) {
            Ok(None) => {}
            Ok(Some(spool)) => drop(tasks.spawn(desk.clone().take_up(spool))),
            // They wait for the next start.
            Err(error) => tracing::error!("failed to record what curb write did: failed to {}", crate::chain(&error)),
        }
        Ok(Self { desk, keeper, incoming, hand_over, tasks })
    }

    /// Where an uplink hands commands over.
    pub(crate) fn hand_over(&self) -> mpsc::Sender<Command> {
        self.hand_over.clone()
    }

    /// The next command of the core. Waits while as many are under way as may be.
    ///
    /// # Cancel safety
    /// Safe: a command is taken only when it is returned.
    pub(crate) async fn next(&mut self) -> Option<Command> {
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a command's task failed");
                    }
                }
                command = self.incoming.recv(), if self.tasks.len() < COMMANDS => return command,
            }
        }
    }

    /// Carries a command of the core out, on a task of its own. `way` says how to get to a point, if it may be written so.
    pub(crate) fn begin(
        &mut self,
        command: Command,
        way: impl FnOnce(&PointName, &Value) -> Result<BusHandle, WriteError>,
    ) {
        let request = read(&command);
        let way = request.as_ref().ok().map(|Request { write, .. }| way(&write.point, &write.value));
        self.tasks.spawn(self.desk.clone().serve(command, request, way));
    }

    /// Carries out a write that somebody on the hub wants, on a task of its own; the result comes when it is recorded.
    pub(crate) fn write_here(
        &mut self,
        way: Result<BusHandle, WriteError>,
        point: PointName,
        value: Value,
        deadline: Instant,
    ) -> oneshot::Receiver<Result<Written, WriteError>> {
        let (reply, result) = oneshot::channel();
        let way = if self.tasks.len() < MOST { way } else { Err(WriteError::Full) };
        self.tasks.spawn(self.desk.clone().serve_here(way, point, value, deadline, reply));
        result
    }

    /// Lets what is under way end, and takes no more. To be called when the buses have stopped, and before the run ends.
    ///
    /// # Cancel safety
    /// Dropped half way, commands that were sent are unconfirmed after the next start.
    pub(crate) async fn finish(mut self) {
        self.incoming.close();
        while let Ok(command) = self.incoming.try_recv() {
            self.begin(command, |_, _| Err(WriteError::Stopped));
        }
        while self.tasks.join_next().await.is_some() {}
        self.keeper.stop();
    }
}

impl Desk {
    /// One command of the core, from its reading to its answer.
    async fn serve(
        self,
        command: Command,
        request: Result<Request, Refusal>,
        way: Option<Result<BusHandle, WriteError>>,
    ) {
        let done = match (&request, way) {
            (Ok(request), Some(way)) => self.carry_out(request, way, command.expires).await,
            (Ok(request), None) => Done::New(self.outcome(Some(&request.write), Err(not_done(&WriteError::Stopped)))),
            (Err(refusal), _) => Done::New(self.outcome(None, Err(refusal.clone()))),
        };
        let answer = match done {
            Done::Again(answer) => answer,
            Done::New(outcome) => {
                if !self.record(Origin::Core, &command.name, command.correlation.as_deref(), outcome.clone()).await {
                    return;
                }
                self.answer(outcome)
            }
            Done::Carried(outcome) => {
                let recorded =
                    self.record(Origin::Core, &command.name, command.correlation.as_deref(), outcome.clone()).await;
                let answer = self.answer(outcome);
                if let Ok(Request { id, .. }) = &request {
                    lock(&self.seen).finish(id, answer.clone());
                    // If it cannot be kept, it is unconfirmed after the next start, and not done again.
                    self.saver.save().await;
                }
                if !recorded {
                    return;
                }
                answer
            }
        };
        command.answer(answer.encode());
    }

    async fn carry_out(
        &self,
        Request { id, write }: &Request,
        way: Result<BusHandle, WriteError>,
        expires: Option<std::time::Instant>,
    ) -> Done {
        let known = lock(&self.seen).look(id, write);
        if known != Known::No {
            return self.known(write, known);
        }
        let refused = |refusal| Done::New(self.outcome(Some(write), Err(refusal)));
        let (deadline, now_ms) = match in_time(write, &self.clock, expires) {
            Ok(in_time) => in_time,
            Err(refusal) => return refused(refusal),
        };
        let bus = match way {
            Ok(bus) => bus,
            Err(error) => return refused(not_done(&error)),
        };
        let admission = lock(&self.seen).admit(id, write, now_ms);
        match admission {
            Admission::Go => {}
            Admission::Known(known) => return self.known(write, known),
            Admission::Full => {
                return refused(refusal("full", "too many commands are remembered whose deadline has not passed"));
            }
        }
        if !self.saver.save().await {
            lock(&self.seen).forget(id);
            return refused(refusal(
                "not-recorded",
                "the hub cannot write to its disk: what it did could be done again",
            ));
        }
        let result = send(Ok(bus), write.point.clone(), write.value.clone(), deadline).await;
        Done::Carried(self.outcome(Some(write), result.as_ref().map(proof).map_err(not_done)))
    }

    fn known(&self, write: &Write, known: Known) -> Done {
        match known {
            Known::Done(answer) => Done::Again(*answer),
            Known::Another => {
                let detail = "another request had the same correlation data: give each its own";
                Done::New(self.outcome(Some(write), Err(refusal("duplicate-id", detail))))
            }
            Known::UnderWay | Known::No => {
                let detail = "the same request is being carried out: its answer is coming";
                Done::Again(self.answer(self.outcome(Some(write), Err(refusal("under-way", detail)))))
            }
        }
    }

    /// One write of somebody on the hub.
    async fn serve_here(
        self,
        way: Result<BusHandle, WriteError>,
        point: PointName,
        value: Value,
        deadline: Instant,
        reply: oneshot::Sender<Result<Written, WriteError>>,
    ) {
        let result = send(way, point.clone(), value.clone(), deadline).await;
        let write = Write { point, value, deadline_ms: 0 };
        let told = result.as_ref().map(proof).map_err(not_done);
        self.record(Origin::Socket, WRITE, None, self.outcome(Some(&write), told)).await;
        // Whoever asked may have hung up.
        drop(reply.send(result));
    }

    async fn tell_interrupted(self, interrupted: Vec<(Vec<u8>, Outcome)>) {
        for (id, outcome) in interrupted {
            self.record(Origin::Core, WRITE, Some(&id), outcome).await;
        }
        self.saver.save().await;
    }

    /// Records what the tools wrote while no daemon ran.
    async fn take_up(self, spool: Spool) {
        for audit in spool.audits() {
            if !self.keep(Audit { ht: self.clock.now(), ..audit }).await {
                return;
            }
        }
        if let Err(error) = spool.remove() {
            tracing::warn!("what curb write did will be recorded again: failed to {}", crate::chain(&error));
        }
    }

    fn outcome(&self, write: Option<&Write>, result: Result<wire::Proof, Refusal>) -> Outcome {
        let (point, value) = write.map(|write| (write.point.clone(), write.value.clone())).unzip();
        let time_ms = self.clock.offset().map(|offset| self.clock.now().utc_millis(offset));
        Outcome { point, value, result, time_ms }
    }

    fn answer(&self, outcome: Outcome) -> Answer {
        Answer { hub: self.hub.to_string(), outcome }
    }

    /// Writes the audit record; whether it is durable.
    async fn record(&self, origin: Origin, command: &str, correlation: Option<&[u8]>, outcome: Outcome) -> bool {
        let audit = Audit {
            ht: self.clock.now(),
            origin,
            command: clip(command),
            correlation: correlation.map(|id| id[..id.len().min(ID_MAX)].to_vec()),
            outcome,
        };
        self.keep(audit).await
    }

    async fn keep(&self, audit: Audit) -> bool {
        let Outcome { point, result, .. } = &audit.outcome;
        let word = result.as_ref().map_or_else(|refusal| refusal.word.clone(), |_| "done".to_owned());
        let point = point.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::info!(origin = ?audit.origin, command = audit.command, point, word, "command");
        match timeout(AUDIT, self.store.audit(audit)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!("failed to record a command: {error}");
                false
            }
            Err(_) => {
                tracing::error!("the disk has not taken the record of a command within {AUDIT:?}: it gets no answer");
                false
            }
        }
    }
}

/// Sends a write to its bus.
async fn send(
    way: Result<BusHandle, WriteError>,
    point: PointName,
    value: Value,
    deadline: Instant,
) -> Result<Written, WriteError> {
    let written = timeout_at(deadline + CONFIRM, way?.write(point, value, deadline)).await;
    written.unwrap_or(Err(WriteError::Unconfirmed(Reason::Timeout)))
}

const fn proof(written: &Written) -> wire::Proof {
    match written.proof {
        Proof::ReadBack => wire::Proof::ReadBack,
        Proof::Echo => wire::Proof::Echo,
    }
}

/// The word and the text of a write that was not done.
fn not_done(error: &WriteError) -> Refusal {
    refusal(error.word(), error.to_string())
}

fn refusal(word: &str, detail: impl Into<String>) -> Refusal {
    Refusal { word: word.to_owned(), detail: clip(&detail.into()) }
}

/// A text that may be long, in [`TEXT_MAX`] bytes: its beginning, and a mark where the rest is left out.
pub(crate) fn clip(text: &str) -> String {
    const MARK: &str = "…";
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(TEXT_MAX - MARK.len())])
}

/// What is behind the lock is whole at any moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
