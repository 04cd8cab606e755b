//! The core's ledger beside the judge's own: do the counters that came from the hub say what the simulators know?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::point::{ByLife, Found};
use super::{Case, End};

/// The reference core's ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Whether the core finds that nothing is unaccounted for.
    pub closes: bool,
    /// One line for each run and stream.
    pub accounts: Vec<Account>,
}

/// One run and stream in the ledger. All counts are readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The run.
    pub run: String,
    /// The stream.
    pub stream: String,
    /// Made on the hub.
    pub read: u64,
    /// Held back by plugins.
    pub filtered: u64,
    /// Held at the core.
    pub delivered: u64,
    /// Told of as lost, by reason.
    pub gaps: BTreeMap<String, u64>,
}

/// The object that `depot ledger --json` prints, as its LEDGER.md documents it; fields that the judge does not weigh are
/// left out.
#[derive(Debug, Deserialize)]
struct Printed {
    closes: bool,
    hubs: Vec<PrintedHub>,
}

#[derive(Debug, Deserialize)]
struct PrintedHub {
    runs: Vec<PrintedRun>,
}

#[derive(Debug, Deserialize)]
struct PrintedRun {
    run: String,
    streams: Vec<PrintedStream>,
}

#[derive(Debug, Deserialize)]
struct PrintedStream {
    stream: String,
    read: u64,
    filtered: u64,
    delivered: u64,
    gaps: BTreeMap<String, u64>,
}

impl Ledger {
    /// Reads what `depot ledger --json` printed.
    ///
    /// # Errors
    /// It is not the documented object.
    pub fn parse(printed: &[u8]) -> Result<Self, serde_json::Error> {
        let Printed { closes, hubs } = serde_json::from_slice(printed)?;
        let mut accounts = Vec::new();
        for PrintedRun { run, streams } in hubs.into_iter().flat_map(|hub| hub.runs) {
            for PrintedStream { stream, read, filtered, delivered, gaps } in streams {
                accounts.push(Account { run: run.clone(), stream, read, filtered, delivered, gaps });
            }
        }
        Ok(Self { closes, accounts })
    }

    /// What the hub told the core of, by stream and reason.
    pub(super) fn gaps(&self) -> BTreeMap<(String, String), u64> {
        let mut gaps = BTreeMap::new();
        for account in &self.accounts {
            for (reason, count) in &account.gaps {
                *gaps.entry((account.stream.clone(), reason.clone())).or_default() += count;
            }
        }
        gaps
    }

    /// What of the ledger does not fit what the judge knows.
    pub(super) fn compare(&self, case: &Case<'_>, tallies: &Tallies) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.closes {
            problems.push("the core's ledger does not close".to_owned());
        }
        let accepted: usize =
            case.accepted.iter().filter(|message| !message.duplicate).map(|message| message.readings.len()).sum();
        let delivered: u64 = self.accounts.iter().map(|account| account.delivered).sum();
        if delivered != accepted as u64 {
            problems.push(format!("the ledger has {delivered} readings, the ingester took in {accepted}"));
        }
        let (runs, lives) = (self.runs(), case.lives.len());
        // One that is killed while it starts leaves no run.
        let unborn = case.lives.iter().filter(|life| life.is_unborn()).count();
        if !(lives - unborn..=lives).contains(&runs.len()) {
            problems.push(format!("the daemon lived {lives} times, the core knows {} runs", runs.len()));
            return problems;
        }
        let dated = lives_of_runs(case);
        let by_order = |run: &str| runs.iter().position(|known| *known == run).filter(|_| runs.len() == lives);
        for account in &self.accounts {
            let Some(life) = dated.get(account.run.as_str()).copied().or_else(|| by_order(&account.run)) else {
                continue;
            };
            let Some(tally) = tallies.0.get(account.stream.as_str()) else { continue };
            problems.extend(tally.check(account, life, case.lives[life].end));
        }
        problems
    }

    /// The runs in the order of their start counters.
    fn runs(&self) -> Vec<&str> {
        let counter = |run: &str| run.split_once('-').and_then(|(counter, _)| counter.parse().ok()).unwrap_or(u64::MAX);
        let runs: BTreeSet<(u64, &str)> =
            self.accounts.iter().map(|account| (counter(&account.run), account.run.as_str())).collect();
        runs.into_iter().map(|(_, run)| run).collect()
    }
}

/// In which life each run was, by the first of its readings.
fn lives_of_runs<'a>(case: &Case<'a>) -> BTreeMap<&'a str, usize> {
    let mut lives = BTreeMap::new();
    for message in case.accepted {
        let Some(at_ms) = message.readings.iter().find_map(|reading| reading.time_ms) else { continue };
        if !lives.contains_key(message.run.as_str())
            && let Some(life) = case.lives.iter().position(|life| (life.started_ms..=life.ended_ms).contains(&at_ms))
        {
            lives.insert(message.run.as_str(), life);
        }
    }
    lives
}

/// What the judge counted, by device.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<Arc<str>, Tally>);

#[derive(Debug, Default)]
struct Tally {
    heard: ByLife,
    bad: ByLife,
    filtered: ByLife,
    ending: ByLife,
}

impl Tallies {
    pub(super) fn add(&mut self, device: &Arc<str>, found: &Found) {
        let tally = self.0.entry(Arc::clone(device)).or_default();
        tally.heard.join(&found.heard);
        tally.bad.join(&found.bad);
        tally.filtered.join(&found.filtered);
        tally.ending.join(&found.ending);
    }
}

impl Tally {
    /// The counters of a run that ended well are complete; those of a killed one are as old as its last message.
    fn check(&self, account: &Account, life: usize, end: End) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |word: &str, told: u64, least: u64| {
            let most = least + self.ending.of(life);
            let least = if matches!(end, End::Stopped { .. }) { least } else { 0 };
            if !(least..=most).contains(&told) {
                let stream = &account.stream;
                problems.push(format!("{stream} of run {}: {told} {word}, should be {least} to {most}", account.run));
            }
        };
        check("read", account.read, self.heard.of(life) + self.bad.of(life));
        check("filtered", account.filtered, self.filtered.of(life));
        problems
    }
}
