//! When the writer acts by itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::mark;

/// Pauses between tries of a commit that failed: the first and the longest.
pub(super) const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The writer's due times.
#[derive(Debug)]
pub(crate) struct Due {
    /// The commit that failed, and the pause after the next failure.
    pub(super) retry: Option<Instant>,
    pub(super) pause: Duration,
    pub(super) acks: Option<Instant>,
    /// When to look for messages that have been in memory for too long.
    pub(super) window: Option<Instant>,
    pub(super) counts: Instant,
    pub(super) mark: Instant,
    /// When to look for what is too old on the disk.
    pub(super) expire: Instant,
}

impl Due {
    pub(crate) fn new(now: Instant, counts_every: Duration) -> Self {
        Self {
            retry: None,
            pause: RETRY.0,
            acks: None,
            window: None,
            counts: now + counts_every,
            mark: now + mark::EVERY,
            expire: now,
        }
    }

    pub(super) fn first(&self) -> Instant {
        // All wait for the next try: their time may have come long ago.
        let commit = self.retry.or_else(|| self.acks.into_iter().chain(self.window).min());
        commit.into_iter().fold(self.counts.min(self.mark).min(self.expire), Instant::min)
    }

    pub(super) fn retry_later(&mut self) {
        self.retry = Some(Instant::now() + self.pause);
        self.pause = RETRY.1.min(self.pause * 2);
    }
}
