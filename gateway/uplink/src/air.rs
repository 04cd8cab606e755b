//! Air time: what the connection costs on the line, and how much of it there may be. Pure.
//!
//! Bytes are reckoned as a metered line counts them: MQTT packets, the TLS 1.3 records around them, the TCP and IP headers around
//! those. A budget is kept over *any* day and *any* minute, not from midnight to midnight, and needs no wall clock. It holds
//! up data only: alarms, the hub's own documents and answers to commands pass, and are paid for by what comes
//! after them.
//!
//! Deliberately absent: larger messages (`pipeline`), which the daemon asks for before anything has to wait for long.

use std::time::{Duration, Instant};

use curb_model::Fault;

use crate::health;
use crate::lost::Reached;

/// Headers of a segment: IPv4 20, TCP 20 with 12 of timestamps (RFC 791, 9293, 7323). IPv6 has 20 more.
const SEGMENT: u64 = 52;
/// What fits into one on a line with an MTU of 1,500.
const SEGMENT_DATA: u64 = 1_448;
/// Around a TLS 1.3 record: 5 header, 1 type, 16 tag (RFC 8446, 5.2).
const RECORD: u64 = 22;
/// PUBACK, with its reason code at most.
const PUBACK: u64 = 6;
/// A PINGREQ and its answer.
const PING: u64 = 2 * (2 + RECORD + SEGMENT);
/// Of a handshake that ends at the core's certificate, both ways: 3,441 bytes through a relay, from a core with `depot`'s
/// certificates and another CA, in 9 segments. Of a hybrid key exchange it is half (X25519MLKEM768).
const HANDSHAKE: u64 = 3_900;
/// Of a whole one with two chains of `depot`'s certificates, and of CONNECT, both ways: 6,215 bytes by the kernel's count, in 12
/// segments; and CONNACK.
const CONNECT: u64 = 7_000;

/// A day and a minute, in seconds.
const DAY: u64 = 86_400;
const MINUTE: u64 = 60;
/// The part of a budget that may be spent at once after a pause; the rest comes with time. So whatever a day brings, it costs
/// no more than the day's budget.
const BURST_OF_DAY: u64 = 24;
const BURST_OF_MINUTE: u64 = 4;

/// Bytes that must be left for something to be sent.
const LEAST: f64 = 1.0;

/// Data that waits for longer than this is told as a fault.
const LATE: Duration = Duration::from_secs(60);

/// What the line may carry, in bytes; `None`: any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// In any 24 hours.
    pub per_day: Option<u64>,
    /// In any 60 seconds.
    pub per_minute: Option<u64>,
}

impl Budget {
    /// What a line may carry on the average, in bytes a second.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        let of_day = self.per_day.map(|bytes| bytes as f64 / DAY as f64);
        let of_minute = self.per_minute.map(|bytes| bytes as f64 / MINUTE as f64);
        of_day.into_iter().chain(of_minute).reduce(f64::min)
    }
}

/// Bytes that may be spent now, and how fast there are more.
#[derive(Debug)]
struct Bucket {
    what: &'static str,
    budget: u64,
    capacity: f64,
    per_second: f64,
    /// Below zero after something that had to pass.
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Empty: a hub that starts often gets no more than one that runs.
    fn new(what: &'static str, budget: u64, seconds: u64, burst: u64, now: Instant) -> Self {
        let capacity = budget as f64 / burst as f64;
        let per_second = (budget as f64 - capacity) / seconds as f64;
        Self { what, budget, capacity, per_second, level: 0.0, at: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_second).min(self.capacity);
        self.at = now;
    }

    /// When something may be spent again, if not now.
    fn until(&self) -> Option<Instant> {
        // A byte more than is needed: time is rounded, too.
        let missing = LEAST + 1.0 - self.level;
        (self.level < LEAST).then(|| self.at + Duration::from_secs_f64((missing / self.per_second).min(DAY as f64)))
    }
}

/// The account of the line. It outlives connections.
#[derive(Debug, Default)]
pub(crate) struct Air {
    buckets: Vec<Bucket>,
    /// Bytes of this run, both ways.
    spent: u64,
    /// Since when there has been data that had to wait: until all of it is sent.
    behind: Option<Instant>,
    /// Whether data waits now.
    waits: bool,
    /// How often data had to wait.
    waited: u64,
}

impl Air {
    /// `spent`: what was on the line before.
    pub(crate) fn new(budget: Budget, spent: u64, now: Instant) -> Self {
        let day = budget.per_day.map(|bytes| Bucket::new("day", bytes, DAY, BURST_OF_DAY, now));
        let minute = budget.per_minute.map(|bytes| Bucket::new("minute", bytes, MINUTE, BURST_OF_MINUTE, now));
        Self { buckets: day.into_iter().chain(minute).collect(), spent, behind: None, waits: false, waited: 0 }
    }

    /// Whether data may be sent now. What is sent then may be larger than what is left: the next has to wait for it.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        self.buckets.iter_mut().for_each(|bucket| bucket.fill(now));
        let allows = self.buckets.iter().all(|bucket| bucket.until().is_none());
        if !allows && !self.waits {
            self.behind.get_or_insert(now);
            self.waited += 1;
        }
        self.waits = !allows;
        allows
    }

    /// A publish of so many bytes went out; its acknowledgement will come.
    pub(crate) fn published(&mut self, packet: usize, now: Instant) {
        self.spend(carried(packet as u64) + carried(PUBACK), now);
    }

    /// A publish of so many bytes came in, and was acknowledged.
    pub(crate) fn received(&mut self, payload: usize, now: Instant) {
        self.spend(carried(payload as u64) + carried(PUBACK), now);
    }

    /// A ping was answered.
    pub(crate) fn pinged(&mut self, now: Instant) {
        self.spend(PING, now);
    }

    /// A connection was tried, and came this far.
    pub(crate) fn dialled(&mut self, reached: Reached, now: Instant) {
        match reached {
            Reached::Nobody => {}
            Reached::Handshake => self.spend(HANDSHAKE, now),
            Reached::Core => self.spend(CONNECT, now),
        }
    }

    fn spend(&mut self, bytes: u64, now: Instant) {
        self.spent += bytes;
        for bucket in &mut self.buckets {
            bucket.fill(now);
            bucket.level -= bytes as f64;
        }
    }

    /// When data that waits may go on.
    pub(crate) fn due(&self) -> Option<Instant> {
        if !self.waits {
            return None;
        }
        self.buckets.iter().filter_map(Bucket::until).max()
    }

    /// Bytes on the line in this run.
    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    /// How often data had to wait for the budget.
    pub(crate) fn waited(&self) -> u64 {
        self.waited
    }

    /// All data is sent.
    pub(crate) const fn nothing_waits(&mut self) {
        (self.waits, self.behind) = (false, None);
    }

    pub(crate) fn fault(&self, now: Instant) -> Option<Fault> {
        let since = self.behind.filter(|since| now >= *since + LATE)?;
        let tight = self.buckets.iter().max_by_key(|bucket| bucket.until())?;
        let (budget, what, minutes) = (tight.budget, tight.what, now.duration_since(since).as_secs() / 60);
        let detail = format!(
            "data has had to wait for {minutes} min because of the budget of {budget} bytes a {what}; alarms pass. Larger \
             budget, fewer points, or core.compress"
        );
        Some(health::fault("air-time", detail))
    }
}

/// Bytes on the line for so many bytes of MQTT.
const fn carried(packet: u64) -> u64 {
    let record = packet + RECORD;
    record + record.div_ceil(SEGMENT_DATA) * SEGMENT
}

#[cfg(test)]
mod tests;
