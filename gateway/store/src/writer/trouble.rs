//! After trouble with the disk: the file is looked through in the background, and what should be there and is not is told.
//!
//! Trouble is an error of the card (not: no room), a file that was moved aside, or a message whose bytes are not those that
//! were written. It outlives a restart in an empty file beside the database, until a check has found nothing wrong. A power cut
//! alone is no trouble.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::Writer;
use crate::check::{Check, Found};
use crate::disk::{Error, Stored};
use crate::queue::Leaves;

/// How long after trouble the check begins: where one error is, others follow, and each would end it.
const SOON: Duration = Duration::from_secs(10);

/// How often a check under way is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long until a check that came to no end is tried again.
const AGAIN: Duration = Duration::from_secs(600);

/// What is known of past trouble, and the check that it calls for.
#[derive(Debug)]
pub(crate) struct Trouble {
    mark: PathBuf,
    stands: bool,
    due: Option<Instant>,
    check: Option<Check>,
    /// Checks that found nothing wrong.
    pub(crate) checks: u64,
}

impl Trouble {
    /// What an earlier run left.
    pub(crate) fn read(folder: &Path) -> Self {
        let mark = folder.join("trouble");
        Self { stands: mark.exists(), mark, due: None, check: None, checks: 0 }
    }

    /// There is some now.
    pub(crate) fn begins(&mut self) {
        self.check = None;
        self.due = None;
        if !self.stands {
            self.stands = true;
            // The card may refuse this, too; then a restart forgets it.
            if let Err(error) = fs::write(&self.mark, "") {
                tracing::warn!(%error, "store: trouble with the disk is not kept over a restart");
            }
        }
    }

    /// A check under way ends; what calls for it stays.
    pub(super) fn pause(&mut self) {
        self.check = None;
    }

    /// The disk works.
    pub(super) fn disk_works(&mut self) {
        if self.stands && self.due.is_none() {
            self.due = Some(Instant::now() + SOON);
        }
    }

    #[cfg(test)]
    pub(crate) const fn stands(&self) -> bool {
        self.stands
    }

    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    fn is_over(&mut self) {
        self.stands = false;
        self.due = None;
        self.checks += 1;
        match fs::remove_file(&self.mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "store: trouble with the disk is remembered for longer than it lasts");
            }
            _ => {}
        }
    }
}

impl Writer {
    /// Begins the check, or looks at what came of it, if it is time.
    pub(super) fn check_on_disk(&mut self, now: Instant) {
        if self.trouble.due.is_none_or(|due| due > now) {
            return;
        }
        let Some(check) = self.trouble.check.take() else {
            self.trouble.due = Some(now + LOOK);
            match Check::start(self.disk.path()) {
                Ok(check) => self.trouble.check = Some(check),
                Err(error) => {
                    tracing::warn!(%error, "store: the queue's file cannot be checked now");
                    self.trouble.due = Some(now + AGAIN);
                }
            }
            return;
        };
        if !check.is_over() {
            self.trouble.due = Some(now + LOOK);
            self.trouble.check = Some(check);
            return;
        }
        match check.found() {
            Found::Whole => self.is_whole(),
            Found::Nothing => self.trouble.due = Some(now + AGAIN),
            Found::Doubt(text) => {
                tracing::warn!(text, "store: the queue's file may be damaged");
                self.trouble.due = Some(now + AGAIN);
                match self.disk.quick_check() {
                    Ok(()) => self.is_whole(),
                    Err(error) => self.failed(&error),
                }
            }
        }
        self.show();
    }

    fn is_whole(&mut self) {
        tracing::info!("store: the queue's file was checked after trouble: nothing is wrong with it");
        self.trouble.is_over();
    }

    /// What the file should hold and does not is told. Only a card that has lost what it said it had written comes to this, and
    /// it shows when the file holds nothing more.
    pub(super) fn look_for_vanished(&mut self) -> Result<(), Error> {
        let changes = &self.queue.changes;
        let is_settled = changes.gone.is_empty() && changes.release.is_none() && self.disk.is_open();
        if !is_settled || self.queue.waiting.rows <= changes.rows.len() as u64 || !self.disk.is_empty()? {
            return Ok(());
        }
        let rows = self.queue.vanish();
        let detail = format!("{rows} messages that were written are not in the queue's file: the card has lost them");
        self.raise("damaged", detail);
        self.trouble.begins();
        Ok(())
    }

    /// Messages whose bytes are not those that were written go, and are told.
    pub(super) fn lose(&mut self, rows: &[Stored]) {
        if rows.is_empty() {
            return;
        }
        let detail = format!("{} messages are not as they were written: the card has changed them", rows.len());
        self.raise("damaged", detail);
        self.trouble.begins();
        rows.iter().for_each(|row| self.queue.remove(row, Leaves::Damaged));
    }
}
