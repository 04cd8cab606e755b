//! When a receipt goes out. Pure: the time is passed in.
//!
//! A receipt is cumulative, so a busy stream needs few. The first goes at once; then at most one each [`INTERVAL`], or each
//! [`MESSAGES`]. So none waits for longer than [`INTERVAL`] after its commit: hubs with `core.ack = "core"` write what is
//! not receipted within a second to flash, and in good weather nothing should be.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::book::{Due, StreamKey};

/// Half of a hub's default `store.commit_every`: the other half is for the way there and back, and the commit.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// So many messages are not kept waiting for the interval: a hub that replays holds at most 1,024 without receipt.
pub(super) const MESSAGES: u64 = 64;

/// Receipts that are due, each stream's latest. The size is bounded by the streams that are alive.
#[derive(Debug, Default)]
pub(super) struct Pace {
    turns: HashMap<StreamKey, Turn>,
    /// When each stream's turn comes; each of `turns` is here once.
    queue: BTreeSet<(Instant, StreamKey)>,
}

#[derive(Debug)]
struct Turn {
    at: Instant,
    /// `None`: nothing is due, and the turn is forgotten when it comes.
    due: Option<u64>,
    /// What the last receipt said; 0 before the first.
    sent: u64,
}

impl Pace {
    /// A receipt became due.
    pub(super) fn add(&mut self, due: Due, now: Instant) {
        let Due { stream, seq } = due;
        let Some(turn) = self.turns.get_mut(&stream) else {
            self.queue.insert((now, stream.clone()));
            self.turns.insert(stream, Turn { at: now, due: Some(seq), sent: 0 });
            return;
        };
        turn.due = turn.due.max(Some(seq));
        if seq.saturating_sub(turn.sent) >= MESSAGES && turn.at > now {
            let key = (turn.at, stream);
            self.queue.remove(&key);
            turn.at = now;
            self.queue.insert((now, key.1));
        }
    }

    /// A receipt whose turn has come.
    pub(super) fn next(&mut self, now: Instant) -> Option<Due> {
        while self.queue.first().is_some_and(|(at, _)| *at <= now) {
            let (_, stream) = self.queue.pop_first().expect("looked at above");
            let turn = self.turns.get_mut(&stream).expect("each stream of the queue has a turn");
            match turn.due.take() {
                None => drop(self.turns.remove(&stream)),
                Some(seq) => {
                    (turn.sent, turn.at) = (seq, now + INTERVAL);
                    self.queue.insert((turn.at, stream.clone()));
                    return Some(Due { stream, seq });
                }
            }
        }
        None
    }

    /// When the next turn comes.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests;
