//! A plugin's lines in the hub's log: so many at once and so many in a time, whatever the plugin says. Pure but for the
//! line itself; time is passed in.
//!
//! The host cuts what one call says. This bounds what many calls say, and holds though the host be one that cannot be
//! trusted.

use std::time::Duration;

use curb_model::Name;
use tokio::time::Instant;
use tracing::Level;

/// Lines that may come at once: what a plugin says in one call at most, so that a start is told in full.
const BURST: u32 = 20;

/// Time in which a plugin earns another line. Guessed: a plugin that tells of every batch stays readable, and a day of it
/// is some 10 MB.
const REFILL: Duration = Duration::from_secs(1);

/// What a plugin may still say.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// When all that was said is paid for; as far ahead as lines are owed. `None`: nothing was ever said.
    paid: Option<Instant>,
    /// Lines that were not logged since the last one that was.
    suppressed: u64,
}

impl Lines {
    /// Whether a line may be logged now: `Some` with the number of lines that were suppressed before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + REFILL;
        if paid > now + REFILL * BURST {
            self.suppressed += 1;
            return None;
        }
        self.paid = Some(paid);
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Logs a line of `plugin`, if it may say one. What the log's level leaves out costs it nothing.
    pub(crate) fn log(&mut self, plugin: &Name, level: u8, text: &str, now: Instant) {
        let is_wanted = match level {
            0 => tracing::enabled!(Level::DEBUG),
            1 => tracing::enabled!(Level::INFO),
            2 => tracing::enabled!(Level::WARN),
            _ => tracing::enabled!(Level::ERROR),
        };
        if !is_wanted {
            return;
        }
        let Some(suppressed) = self.admit(now) else { return };
        let suppressed = (suppressed > 0).then_some(suppressed);
        match level {
            0 => tracing::debug!(%plugin, suppressed, "{text}"),
            1 => tracing::info!(%plugin, suppressed, "{text}"),
            2 => tracing::warn!(%plugin, suppressed, "{text}"),
            _ => tracing::error!(%plugin, suppressed, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests;
