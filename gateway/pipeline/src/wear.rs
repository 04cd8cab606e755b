//! How much of what a plugin remembers is written to the disk. Pure; time is passed in.
//!
//! A plugin with state gives it out with each answer that lets readings out, up to 256 KiB, and no reading may be ahead of the
//! state on disk. So a plugin that always remembers something else could wear out a card in a month. Its answers are not delayed,
//! for their readings may go no further without their state: it is asked less often, in rounds, and its batches wait for the next
//! one as they do for a slow plugin. Of the states of a round the store keeps the newest, so that a round costs one of them however
//! many batches were waiting, and what waits is delayed but not lost.
//!
//! Deliberately absent: states that are written without readings, each `state_every`; they are few.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of state that a plugin may write in an hour: 1.6 GB a day, which a card of 8 GB stands for ten years. The plugins that
/// we know write a hundredth of it.
pub(crate) const HOURLY: u64 = 64 << 20;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Time of which the states cost what the largest of them costs: the default of `store.commit_every`, for the store keeps the newest
/// of those that come before a commit. With a shorter one they cost more than is counted here.
const ROUND: Duration = Duration::from_secs(1);

/// What a plugin has written.
#[derive(Debug, Default)]
pub(crate) struct Wear {
    /// When all of it is paid for. `None`: nothing was ever written.
    paid: Option<Instant>,
    /// The newest round: when it began, and what it has cost.
    round: Option<(Instant, usize)>,
}

impl Wear {
    /// A state of so many bytes goes to the disk.
    pub(crate) fn write(&mut self, bytes: usize, now: Instant) {
        let (begun, cost) = self.round.filter(|(begun, _)| now < *begun + ROUND).unwrap_or((now, 0));
        let more = bytes.saturating_sub(cost);
        self.round = Some((begun, cost.max(bytes)));
        let nanos = HOUR.as_nanos() * more as u128 / u128::from(HOURLY);
        let owed = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)) + owed);
    }

    /// When the next round begins, if the plugin has to wait for it: it has written what may be written in an hour, and more.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let (begun, _) = self.round?;
        let paid = self.paid.filter(|paid| *paid > now + HOUR && now >= begun + ROUND)?;
        paid.checked_sub(HOUR)
    }
}

#[cfg(test)]
mod tests;
