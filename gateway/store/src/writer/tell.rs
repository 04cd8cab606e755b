//! What the writer tells people: standing faults, each logged when it comes and when it goes, and the health.

use std::path::Path;

use curb_model::{Fault, Room};

use super::Writer;
use crate::disk::Error;

impl Writer {
    pub(super) fn raise(&mut self, word: &'static str, detail: String) {
        let fault = Fault { room: Room::Store, subject: "queue".to_owned(), word, detail };
        if !self.faults.contains_key(word) {
            tracing::error!("{fault}");
        }
        self.faults.insert(word, fault);
    }

    pub(super) fn clear(&mut self, word: &'static str) {
        if self.faults.remove(word).is_some() {
            tracing::info!("store: queue ({word}): over");
        }
    }

    /// What the core refused for what it is waits for a person.
    pub(super) fn tell_aside(&mut self) {
        match self.aside {
            0 => self.clear("set-aside"),
            count => self.raise(
                "set-aside",
                format!("the core refused {count} message(s) for what they are: `curb store show` says which and why"),
            ),
        }
    }

    /// After a commit: what the disk holds has changed.
    pub(super) fn publish(&mut self) {
        self.oldest = if self.drained { None } else { self.disk.oldest_reading().ok().flatten() };
        self.show();
    }

    pub(super) fn show(&self) {
        let waiting = self.queue.waiting;
        let oldest = self.oldest.or_else(|| self.queue.changes.rows.oldest_reading());
        let mut health = self.health.lock().expect("nobody panics while holding it");
        health.rows = waiting.rows;
        health.bytes = waiting.bytes;
        health.readings_waiting = waiting.readings;
        health.oldest = oldest;
        health.aside = self.aside;
        health.commits = self.commits;
        health.payload_bytes = self.payload_bytes;
        health.checks = self.trouble.checks;
        health.gaps.clone_from(self.queue.gaps.readings());
        health.faults = self.faults.values().cloned().collect();
    }
}

/// An error with its sources, for a fault's detail.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// What a `damaged` fault says.
pub(crate) fn damage_detail(error: &Error, aside: Option<&Path>) -> String {
    let found =
        aside.map_or_else(|| "nothing is left of it".to_owned(), |aside| format!("moved to {}", aside.display()));
    format!("{}; {found}", chain(error))
}
