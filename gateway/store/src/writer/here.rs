//! What a caller does on its own thread, because nothing of it needs the disk: in good weather that is everything, and
//! no thread is woken for a message. What does need it, or comes while a commit is under way, goes to the writer's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use curb_model::Batch;

use super::{Request, Writer};

/// What is on its way to the writer's thread. While something is, nothing may be done here: it would overtake it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicUsize>);

/// A place in the line, until what stood in it is done, or its sender has given up.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<AtomicUsize>);

impl Line {
    pub(crate) fn join(&self) -> Ticket {
        self.0.fetch_add(1, Ordering::AcqRel);
        Ticket(Arc::clone(&self.0))
    }

    /// Asked with the writer in hand: the thread gives tickets back before it lets go of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Memory is full: it must wait.
    No,
    Yes,
    /// It is taken, and the writer's thread has to look: there is something to commit, now or in time.
    Wake,
}

impl Writer {
    pub(crate) fn take_here(&mut self, batch: &Batch) -> Taken {
        if !self.has_room() {
            return Taken::No;
        }
        self.queue.append(batch, self.clock.now());
        if self.must_commit() {
            return Taken::Wake;
        }
        let was_due = self.due.window.is_some();
        self.keep();
        if was_due || self.due.window.is_none() { Taken::Yes } else { Taken::Wake }
    }

    /// Answers a request that needs no disk; gives back one that does.
    pub(crate) fn answer_here(&mut self, request: Request) -> Option<Request> {
        self.queue.settle();
        let is_ours = match &request {
            Request::Next { .. } | Request::Delivered(_) | Request::Receipt { .. } => true,
            Request::SetAside { .. }
            | Request::PayloadMax(_)
            | Request::Expire(_)
            | Request::Look { .. }
            | Request::Waiting(_)
            | Request::PutBack { .. }
            | Request::ThrowAway { .. }
            | Request::Close(_) => false,
        };
        if !is_ours || !self.drained || self.must_commit() || self.queue.changes.is_urgent() {
            return Some(request);
        }
        self.answer(request);
        None
    }
}
