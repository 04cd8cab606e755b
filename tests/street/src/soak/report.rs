//! What a soak came to, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::broker::Kind;
use super::dice::Victim;
use crate::judge::{Cost, Verdict};

/// What a soak came to.
#[derive(Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) broker: Kind,
    pub(super) lasted: Duration,
    /// How often each part was killed.
    pub(super) kills: BTreeMap<Victim, u32>,
    /// How often the broker ended by itself.
    pub(super) fell: u32,
    /// How long it took until all that waited was at the core, after the last kill.
    pub(super) drained: Duration,
    /// What a SIGKILL of the daemon may cost.
    pub(super) window: Duration,
    /// How long the machine itself stood still at most, in milliseconds; a SIGKILL then may cost as much more.
    pub(super) longest_halt_ms: i64,
    /// The judge's word.
    pub verdict: Verdict,
    /// Where the logs are; they are kept if the verdict is not fine.
    pub folder: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, broker, lasted, kills, fell, drained, window, longest_halt_ms, verdict, folder } = self;
        let costs = || verdict.costs.values();
        let longest = costs().map(|cost| cost.longest_ms).max().unwrap_or(0);
        let most = costs().map(|Cost { readings, .. }| *readings).max().unwrap_or(0);
        let total: u32 = kills.values().sum();
        writeln!(f, "seed            {seed}")?;
        writeln!(f, "broker          {broker}, which ended by itself {fell} times")?;
        writeln!(
            f,
            "lasted          {} s, and {:.1} s until all was delivered",
            lasted.as_secs(),
            drained.as_secs_f64()
        )?;
        writeln!(f, "SIGKILLs        {total}")?;
        for (victim, count) in kills {
            writeln!(f, "  {:<13} {count}", victim.as_str())?;
        }
        writeln!(f, "with a loss     {} of the daemon's", verdict.costs.len())?;
        writeln!(f, "  most          {most} readings")?;
        writeln!(f, "  longest       {longest} ms before the kill, of {} ms", window.as_millis())?;
        writeln!(f, "machine halted  {longest_halt_ms} ms at most")?;
        for problem in &verdict.problems {
            writeln!(f, "✗ {problem}")?;
        }
        if let Some(folder) = folder {
            writeln!(f, "logs, settings and the core's database are kept in {}", folder.display())?;
        }
        write!(f, "{verdict}")
    }
}
