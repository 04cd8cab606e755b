//! What can keep a figure from being measured. A figure that misses its goal is not an error.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A simulator, or a program that is measured.
    #[error(transparent)]
    Street(#[from] street::Error),
    #[error("use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("read {} as text of the kernel", path.display())]
    Kernel { path: PathBuf },
    #[error("start {program}")]
    Start { program: &'static str, source: io::Error },
    #[error("run {program} ({ended})\n{log}")]
    Run { program: &'static str, ended: ExitStatus, log: String },
    #[error("find the files that depot says it made")]
    Depot(#[source] serde_json::Error),
    #[error("wait for {what} within {deadline:?}\n{log}")]
    Silent { what: &'static str, deadline: Duration, log: String },
    #[error("hear {program} out: it ended while it was measured\n{log}")]
    Ended { program: &'static str, log: String },
    #[error("read line {line:?} of {program}")]
    Line { program: &'static str, line: String },
    #[error("read a message of {topic}")]
    Message { topic: String, source: serde_json::Error },
    #[error("measure {name}: {wrong} of {readings} values are not what the device served")]
    Wrong { name: &'static str, wrong: u64, readings: u64 },
    #[error("use the terminal")]
    Terminal(#[source] io::Error),
    #[error("take all figures: {settings} settings could not be measured")]
    Missing { settings: usize },
    #[error("take all figures: interrupted")]
    Interrupted,
    #[error("write a time")]
    Time(#[from] time::error::Format),
}

impl Error {
    /// For `map_err`: a file at `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
