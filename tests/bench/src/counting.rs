//! Counting what arrives at the core: readings, and what should not be there. Pure; [`crate::core`] hears the messages.
//! It shares no code with the daemon.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;

use crate::clock;
use crate::error::Error;
use crate::serve::low_byte;

/// Which devices the readings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Those of [`crate::serve`], whose registers tell where they belong and when they were served.
    Served,
    /// Others: nothing but the number of readings can be checked.
    Others,
}

/// What has arrived in some time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    /// Good readings.
    pub(crate) readings: u64,
    /// Readings without a value.
    pub(crate) bad: u64,
    /// Values that are not what the device served.
    pub(crate) wrong: u64,
    /// Messages that had arrived before; their readings are not counted again.
    pub(crate) duplicates: u64,
    /// Gap records.
    pub(crate) gaps: u64,
    /// Bytes of the messages' payloads.
    pub(crate) payload: u64,
    /// From the device's answer to the core, one for each message.
    delays: Vec<Duration>,
}

impl Tally {
    /// The delay that so many per cent of the messages did not exceed.
    pub(crate) fn delay(&self, percent: usize) -> Option<Duration> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays.get(delays.len() * percent / 100).copied()
    }
}

/// Counts, and remembers which messages it has counted.
#[derive(Debug)]
pub(crate) struct Counter {
    from: From,
    /// Run, stream and number.
    seen: HashSet<String>,
}

impl Counter {
    pub(crate) fn new(from: From) -> Self {
        Self { from, seen: HashSet::new() }
    }

    /// Adds a message to the tally.
    pub(crate) fn count(&mut self, arrival: &Arrival, tally: &mut Tally) -> Result<(), Error> {
        let Arrival { at, topic, payload } = arrival;
        let level = topic.split('/').nth(4);
        if topic.starts_with("loop/") {
            self.add(tally, *at, payload, numbers(payload));
        } else if level == Some("gap") {
            tally.gaps += 1;
        } else if level == Some("data") {
            let records: Vec<Record<'_>> =
                serde_json::from_str(payload).map_err(|source| Error::Message { topic: topic.clone(), source })?;
            let name = records.first().map(|first| format!("{:?} {:?} {:?}", first.run, first.stream, first.seq));
            if self.seen.insert(name.unwrap_or_default()) {
                tally.bad += records.iter().filter(|record| record.is_bad()).count() as u64;
                self.add(tally, *at, payload, records.iter().filter_map(Record::register));
            } else {
                tally.duplicates += 1;
            }
        }
        Ok(())
    }

    /// Adds a message's registers: address and value.
    fn add(&self, tally: &mut Tally, at: Duration, payload: &str, registers: impl Iterator<Item = (u16, u64)>) {
        tally.messages += 1;
        tally.payload += payload.len() as u64;
        for (address, value) in registers {
            tally.readings += 1;
            let value = u16::try_from(value).ok();
            let low = value.map(|value| value.to_le_bytes()[0]);
            match (self.from, low_byte(address), value) {
                (From::Served, None, Some(stamp)) => tally.delays.push(clock::age(stamp, at)),
                (From::Served, Some(byte), _) if low == Some(byte) => {}
                (From::Others, _, _) => {}
                (From::Served, _, _) => tally.wrong += 1,
            }
        }
    }
}

/// The numbers of the C loop, with their addresses.
fn numbers(payload: &str) -> impl Iterator<Item = (u16, u64)> {
    (0..).zip(payload.split(',').map(|number| number.parse().unwrap_or(u64::MAX)))
}

/// A message as mosquitto_sub prints it.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Since 1970, by mosquitto_sub's own look at the clock.
    pub(crate) at: Duration,
    pub(crate) topic: String,
    payload: String,
}

impl Arrival {
    /// `<seconds>.<nine digits> <topic> <payload>`
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let (seconds, nanos) = parts.next()?.split_once('.')?;
        let at = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
        Some(Self { at, topic: parts.next()?.to_owned(), payload: parts.next()?.to_owned() })
    }
}

/// A SenML record, as far as it is counted.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    n: Cow<'a, str>,
    v: Option<serde_json::Number>,
    #[serde(borrow)]
    vs: Option<Cow<'a, str>>,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
}

impl Record<'_> {
    fn is_bad(&self) -> bool {
        self.n.ends_with("/quality") && self.vs.as_ref().is_some_and(|word| word.starts_with("bad:"))
    }

    /// Points are called `r` and their register's address.
    fn register(&self) -> Option<(u16, u64)> {
        let value = self.v.as_ref()?.as_u64().unwrap_or(u64::MAX);
        Some((self.n.strip_prefix('r')?.parse().ok()?, value))
    }
}
