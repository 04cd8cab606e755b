//! Logging: one line an event, to standard error, where systemd's journal or a terminal takes it.
//!
//! An error is logged once, where it stops travelling. Standing faults are logged when they are raised and when they
//! clear, with the same word that `curb status` and the core show: by the rooms at the moment they see them, and here
//! ([`FaultLog`]) for the daemon's own: identity, clock and settings.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use curb_model::{Fault, Room};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::LogFormat;

/// Starts logging. `level` is for Curb's own crates; the libraries below speak at `WARN`.
pub(crate) fn start(level: Level, format: LogFormat) {
    let ours =
        Targets::new().with_target("curb", level).with_default(LevelFilter::WARN.min(LevelFilter::from_level(level)));
    let ansi = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let layer = match format {
        LogFormat::Text => layer.with_filter(ours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(ours).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}

/// Logs the daemon's own standing faults when they come and when they go.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    standing: BTreeMap<(String, &'static str), Fault>,
}

impl FaultLog {
    /// Compares with the faults of the last time. A fault whose detail changed is still the same fault.
    pub(crate) fn update(&mut self, faults: &[Fault]) {
        let key = |fault: &Fault| (format!("{} {}", fault.room, fault.subject), fault.word);
        let ours = |fault: &&Fault| matches!(fault.room, Room::Identity | Room::Clock | Room::Config);
        let now: BTreeMap<_, _> = faults.iter().filter(ours).map(|fault| (key(fault), fault.clone())).collect();
        for (_, Fault { room, subject, word, detail }) in
            now.iter().filter(|(key, _)| !self.standing.contains_key(*key))
        {
            tracing::warn!(%room, subject, word, "{detail}");
        }
        for (_, Fault { room, subject, word, .. }) in self.standing.iter().filter(|(key, _)| !now.contains_key(*key)) {
            tracing::info!(%room, subject, word, "no longer so");
        }
        self.standing = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_whose_detail_changes_is_still_the_same_fault() {
        let fault = |room, detail: &str| Fault { room, subject: "x".to_owned(), word: "w", detail: detail.to_owned() };
        let mut log = FaultLog::default();
        log.update(&[fault(Room::Clock, "at 12:00"), fault(Room::Uplink, "told by the uplink itself")]);
        assert_eq!(log.standing.len(), 1, "only the daemon's own");
        log.update(&[fault(Room::Clock, "at 12:01")]);
        assert_eq!(log.standing.len(), 1);
        log.update(&[]);
        assert!(log.standing.is_empty());
    }
}
