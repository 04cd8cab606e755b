//! The judge: holds what arrived at the core against what the simulators served.
//!
//! Every served reading must have been delivered with its value and time, or held back by the deadband (whose rule is
//! written anew here), or be told of in a gap, or have been read in the documented window before a SIGKILL. Every value
//! that was delivered must have been served, then and there. All of it is pure: tests give the judge a history with one
//! thing wrong in it, and it must say which.
//!
//! The unit of every count is the reading.

mod accepted;
mod ledger;
mod point;
mod rule;
mod truth;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use accepted::{Accepted, Arrived, Follower, Value};
pub use ledger::{Account, Ledger};
pub use truth::{Place, Point};

use crate::record::Served;

/// How many examples of one kind of trouble a verdict tells. The counts are complete.
const EXAMPLES: usize = 5;

/// Of this many readings one may be called bad by the hub although it was served well: on a loaded machine a device or
/// the hub may be halted for longer than a time-out. A hub that calls good answers bad must not get away with it.
const DISPUTES: u64 = 50;

/// One life of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When its process was started, UTC milliseconds.
    pub started_ms: i64,
    /// When its process was gone.
    pub ended_ms: i64,
    /// How it ended.
    pub end: End,
}

/// How long a daemon may take until its run stands on its disk, in milliseconds.
const BIRTH_MS: i64 = 5000;

impl Life {
    /// Whether it was killed so soon that it may have left no trace.
    const fn is_unborn(&self) -> bool {
        matches!(self.end, End::Killed) && self.ended_ms - self.started_ms < BIRTH_MS
    }
}

/// How a life of the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to end at this moment, and did. An answer that left later need not have become a reading.
    Stopped {
        /// UTC milliseconds.
        asked_ms: i64,
    },
    /// SIGKILL.
    Killed,
}

/// All that the judge is told.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The points of the hub's settings.
    pub points: &'a [Point],
    /// What the simulators served.
    pub served: &'a [Served],
    /// What the core accepted, in that order.
    pub accepted: &'a [Accepted],
    /// What the core's ledger says; without it gaps cannot be told from losses.
    pub ledger: Option<&'a Ledger>,
    /// The daemon's lives, one after the other.
    pub lives: &'a [Life],
    /// When the plugins forgot although the daemon lived on: their process was killed. They may send more after that.
    pub forgot_ms: &'a [i64],
    /// How much a SIGKILL may cost: what was read in this time before it.
    pub window: Duration,
    /// When the machine itself stood still, from and to, UTC milliseconds: a SIGKILL behind it may cost as much more.
    pub halts: &'a [(i64, i64)],
}

/// Why a reading did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// It was read in the documented window before a SIGKILL.
    Window,
    /// It was served between two lives of the daemon.
    Down,
    /// The hub told the core so, for this reason.
    Gap(String),
    /// Nobody had the port open, although the daemon lived.
    Unheard,
    /// Nobody knows.
    Unexplained,
}

/// What one SIGKILL of the daemon cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Readings lost.
    pub readings: u64,
    /// How long before the kill the oldest of them was served, in milliseconds.
    pub longest_ms: i64,
}

impl Loss {
    /// Whether the hub keeps its promise all the same.
    #[must_use]
    pub const fn is_promised(&self) -> bool {
        match self {
            Self::Window | Self::Down | Self::Gap(_) => true,
            Self::Unheard | Self::Unexplained => false,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window => f.write_str("just before SIGKILL"),
            Self::Down => f.write_str("while curb was down"),
            Self::Gap(reason) => write!(f, "told as {reason}"),
            Self::Unheard => f.write_str("port not open"),
            Self::Unexplained => f.write_str("unexplained"),
        }
    }
}

/// What the judge found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Readings that the street offered to the hub.
    pub read: u64,
    /// Held back by the deadband's rule.
    pub filtered: u64,
    /// Delivered with the value and time that were served.
    pub delivered: u64,
    /// Delivered as bad.
    pub bad: u64,
    /// Of those, bad although the device had answered well and in time.
    pub disputed: u64,
    /// Readings in further copies of messages, which the core left out.
    pub duplicates: u64,
    /// Not delivered, and why.
    pub lost: BTreeMap<Loss, u64>,
    /// What each SIGKILL cost, by the life that it ended; those that cost nothing are left out.
    pub costs: BTreeMap<usize, Cost>,
    /// Delivered values that were not served like that.
    pub wrong: u64,
    /// What is not as it should be, for people.
    pub problems: Vec<String>,
}

impl Verdict {
    /// Whether everything is accounted for and nothing is wrong.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.wrong == 0 && self.problems.is_empty() && self.lost.keys().all(Loss::is_promised)
    }

    /// All readings that are lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    fn problem(&mut self, kind: &str, examples: &[String]) {
        if !examples.is_empty() {
            let more = examples.len().saturating_sub(EXAMPLES);
            let shown = examples[..examples.len() - more].join("; ");
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            self.problems.push(format!("{kind}: {shown}{more}"));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, filtered, delivered, bad, duplicates, wrong, .. } = self;
        write!(f, "read {read} · filtered {filtered} · delivered {delivered} · bad {bad} · ")?;
        write!(f, "duplicates removed {duplicates} · lost {}", self.lost())?;
        if !self.lost.is_empty() {
            let why: Vec<String> = self.lost.iter().map(|(loss, count)| format!("{count} {loss}")).collect();
            write!(f, " ({})", why.join(", "))?;
        }
        write!(f, " · wrong {wrong}")
    }
}

/// What went wrong, by kind, in words.
#[derive(Debug, Default)]
struct Trouble {
    wrong: Vec<String>,
    unexplained: Vec<String>,
    extra: Vec<String>,
}

/// Judges a case.
#[must_use]
pub fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut trouble = Trouble::default();
    let arrivals = arrivals(case, &mut verdict, &mut trouble);
    let mut tallies = ledger::Tallies::default();
    let mut gaps = case.ledger.map(Ledger::gaps).unwrap_or_default();
    for point in case.points {
        let arrived = arrivals.get(point.name.as_str()).map_or(&[][..], Vec::as_slice);
        let found = point::judge(case, point, arrived, &mut gaps, &mut trouble);
        tallies.add(&point.device, &found);
        verdict.read += found.read();
        verdict.filtered += found.filtered.total();
        verdict.delivered += found.delivered;
        verdict.bad += found.bad.total();
        verdict.disputed += found.disputed;
        for (loss, count) in found.lost {
            *verdict.lost.entry(loss).or_default() += count;
        }
        for (life, Cost { readings, longest_ms }) in found.costs {
            let cost = verdict.costs.entry(life).or_default();
            cost.readings += readings;
            cost.longest_ms = cost.longest_ms.max(longest_ms);
        }
    }
    verdict.wrong = trouble.wrong.len() as u64;
    verdict.problem("wrong", &trouble.wrong);
    verdict.problem("lost without a word", &trouble.unexplained);
    verdict.problem("delivered although the deadband holds it back", &trouble.extra);
    if verdict.disputed * DISPUTES > verdict.read {
        let text = format!("{} of {} readings are bad although they were served well", verdict.disputed, verdict.read);
        verdict.problems.push(text);
    }
    if let Some(ledger) = case.ledger {
        verdict.problems.extend(ledger.compare(case, &tallies));
    }
    verdict
}

/// The readings that the core took in, by point. Copies are counted; what cannot be any reading of the street is wrong.
fn arrivals<'a>(
    case: &Case<'a>,
    verdict: &mut Verdict,
    trouble: &mut Trouble,
) -> BTreeMap<&'a str, Vec<point::Arrival<'a>>> {
    let known: BTreeSet<&str> = case.points.iter().map(|point| point.name.as_str()).collect();
    let mut held = BTreeSet::new();
    let mut arrivals: BTreeMap<&str, Vec<point::Arrival<'_>>> = BTreeMap::new();
    for message in case.accepted {
        if message.duplicate {
            verdict.duplicates += message.readings.len() as u64;
            continue;
        }
        let fresh = held.insert((&message.hub, &message.run, &message.stream, message.seq));
        for reading in &message.readings {
            let place = || format!("{} in {} {} {}", reading.point, message.run, message.stream, message.seq);
            match (known.contains(reading.point.as_str()), reading.time_ms) {
                (_, _) if !fresh => trouble.wrong.push(format!("{}: taken in twice", place())),
                (false, _) => trouble.wrong.push(format!("{}: no such point", place())),
                (true, None) => trouble.wrong.push(format!("{}: without a time", place())),
                (true, Some(at_ms)) => {
                    let arrival = point::Arrival { at_ms, reading, message };
                    arrivals.entry(reading.point.as_str()).or_default().push(arrival);
                }
            }
        }
    }
    for arrivals in arrivals.values_mut() {
        arrivals.sort_by_key(|arrival| arrival.at_ms);
    }
    arrivals
}
