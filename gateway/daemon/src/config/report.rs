//! Collects problems while reading goes on, and keeps one fault from being told as many.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::problem::{Misfit, Origin, Problem, Severity};
use super::proxy;

/// A key's path from the root.
pub(super) type Key = Vec<String>;

/// `device.lamp.unit_id`, with quotes where a part needs them.
pub(crate) fn key_text(key: &[impl AsRef<str>]) -> String {
    let bare =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let parts =
        key.iter().map(AsRef::as_ref).map(|part| if bare(part) { part.to_owned() } else { format!("{part:?}") });
    parts.collect::<Vec<_>>().join(".")
}

/// All problems so far.
#[derive(Debug)]
pub(super) struct Report {
    /// Where a thing belongs that nobody wrote.
    home: Origin,
    problems: Vec<Problem>,
    too_full: Vec<Problem>,
    /// Lines that could not be parsed: what recovery made of them is not judged again.
    torn: BTreeSet<(Arc<str>, u32)>,
    /// Something that was written could not be read, so what seems to be missing may well be there.
    incomplete: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self::at_home(Origin::BuiltIn)
    }
}

impl Report {
    /// Nothing wrong yet. What is missing altogether will be told as missing at `home`.
    pub(super) fn at_home(home: Origin) -> Self {
        Self { home, problems: Vec::new(), too_full: Vec::new(), torn: BTreeSet::new(), incomplete: false }
    }

    /// Whether the configuration cannot be used.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether something at the key or below it does not fit.
    pub(super) fn has_errors_at(&self, key: &[String]) -> bool {
        let key = key_text(key);
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).any(|problem| {
            problem.key.strip_prefix(&key).is_some_and(|below| below.is_empty() || below.starts_with('.'))
        })
    }

    /// Notes what stands at `at` and does not fit.
    pub(super) fn wrong(&mut self, at: &Origin, key: &[String], found: impl Into<String>, misfit: Misfit) {
        self.push(Severity::Error, at, key, found.into(), misfit);
    }

    /// Notes what is probably not meant.
    pub(super) fn doubtful(&mut self, at: &Origin, key: &[String], found: impl Into<String>, misfit: Misfit) {
        self.push(Severity::Warning, at, key, found.into(), misfit);
    }

    /// Notes a bus that cannot carry what it is asked for. It is used all the same.
    pub(super) fn too_full(&mut self, at: &Origin, key: &[String], found: String, misfit: Misfit) {
        let at = if *at == Origin::BuiltIn { &self.home } else { at };
        let Misfit { expected, help } = misfit;
        let (at, key) = (at.clone(), key_text(key));
        self.too_full.push(Problem { at, key, severity: Severity::Error, found, expected, help });
    }

    /// The buses that cannot carry what they are asked for.
    pub(super) fn take_too_full(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.too_full)
    }

    /// Notes what is not there and should be, unless it may stand in a part that could not be read.
    pub(super) fn missing(&mut self, at: &Origin, key: &[String], misfit: Misfit) {
        if !self.incomplete {
            self.push(Severity::Error, at, key, "nothing".to_owned(), misfit);
        }
    }

    /// Notes a text that refers to nothing known, unless that may stand in a part that could not be read.
    pub(super) fn dangling(&mut self, at: &Origin, key: &[String], found: impl Into<String>, misfit: Misfit) {
        if !self.incomplete {
            self.push(Severity::Error, at, key, found.into(), misfit);
        }
    }

    /// Notes something that could not be read at all.
    pub(super) fn unreadable(&mut self, at: &Origin, key: &[String], found: impl Into<String>, misfit: Misfit) {
        self.push(Severity::Error, at, key, found.into(), misfit);
        self.incomplete = true;
        if let Origin::File { path, position: Some((line, _)) } = at {
            self.torn.insert((Arc::clone(path), *line));
        }
    }

    /// Errors and warnings, by place, each once.
    pub(super) fn into_problems(mut self) -> (Vec<Problem>, Vec<Problem>) {
        self.problems.sort();
        self.problems.dedup();
        self.problems.into_iter().partition(|problem| problem.severity == Severity::Error)
    }

    fn push(&mut self, severity: Severity, at: &Origin, key: &[String], found: String, misfit: Misfit) {
        if let Origin::File { path, position: Some((line, _)) } = at
            && self.torn.contains(&(Arc::clone(path), *line))
        {
            return;
        }
        let at = if *at == Origin::BuiltIn { &self.home } else { at };
        let found =
            if proxy::is_secret(key) { "what is not shown, for it may have a password".to_owned() } else { found };
        let Misfit { expected, help } = misfit;
        self.problems.push(Problem { at: at.clone(), key: key_text(key), severity, found, expected, help });
    }
}
