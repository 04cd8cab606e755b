//! What is wrong with a configuration, and where: the one form in which `curb check`, the log and `--json` say it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a setting was written. Sorts in the order in which the layers are laid over each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Nobody wrote it: the value comes with the program.
    BuiltIn,
    /// In a file.
    File {
        /// As it was given on the command line, or found in `conf.d`.
        path: Arc<str>,
        /// Line and column, both from 1; `None` when the whole file is meant.
        position: Option<(u32, u32)>,
    },
    /// In this environment variable.
    Environment(Arc<str>),
    /// By `--set` on the command line; the whole argument.
    Set(Arc<str>),
}

impl Origin {
    /// The file, and line and column in it, where it is one.
    pub(crate) fn place(&self) -> (Option<&str>, Option<(u32, u32)>) {
        match self {
            Self::File { path, position } => (Some(path), *position),
            Self::BuiltIn | Self::Environment(_) | Self::Set(_) => (None, None),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("default"),
            Self::File { path, position: Some((line, column)) } => write!(f, "{path}:{line}:{column}"),
            Self::File { path, position: None } => f.write_str(path),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Set(argument) => write!(f, "--set {argument}"),
        }
    }
}

/// Whether a problem keeps the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// It cannot be used.
    Error,
    /// It can, and is probably not what was meant.
    Warning,
}

/// One thing that is wrong. Shown as compilers do, so that editors can jump to it:
///
/// ```text
/// /etc/curb/curb.toml:21:1: error: device.lamp.unit_id: found 300, expected a unit id from 1 to 247
///   help: …
/// ```
///
/// Serialized for `--json` without its place, which `curb check` spreads over keys of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Problem {
    /// Where it stands.
    #[serde(skip)]
    pub(crate) at: Origin,
    /// The key's path, `device.lamp.unit_id`; empty when it is about a whole file.
    pub(crate) key: String,
    /// Whether the configuration can be used.
    pub(crate) severity: Severity,
    /// What stands there.
    pub(crate) found: String,
    /// What should.
    pub(crate) expected: String,
    /// What to do, where that can be guessed.
    pub(crate) help: Option<String>,
}

impl Problem {
    /// The same, where it does not keep the configuration from being used.
    pub(crate) fn as_warning(&self) -> Self {
        Self { severity: Severity::Warning, ..self.clone() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: ", self.at)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Why a value does not fit: what would, and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// What would fit.
    pub(crate) expected: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl Misfit {
    /// Only says what would fit.
    pub(crate) fn expected(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), help: None }
    }

    /// Adds a hint.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The known word that a mistyped one probably means: at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "x"?`, where there is a near word.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean {near:?}?"))
}
