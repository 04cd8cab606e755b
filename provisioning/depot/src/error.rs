//! Why a command did not do its work. Each text reads well after "failed to", and says what to do where somebody can.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use curb_model::{Name, NameError};

use crate::db::{Failure, PlaceError, without_password};

/// What a command that did its work found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well: exit code 0.
    Fine,
    /// It looked, and something is wrong: exit code 1.
    FoundWrong,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("write the output")]
    Output(#[source] io::Error),
    #[error("use --site {text:?}")]
    Site { text: String, source: NameError },
    #[error("use {text:?} as --group or --name")]
    Group { text: String, source: NameError },
    #[error("use {text:?} as a hub's name")]
    HubName { text: String, source: NameError },
    #[error("use {0:?} as a hub's name: the depot keeps it for the ingester's own certificate")]
    HubNameTaken(Name),
    #[error("use --core-host {0:?}: expected a DNS name or an IP address")]
    CoreHost(String),
    #[error("create {}: it is there already, and nothing was changed; choose another --dir or move it away", .0.display())]
    DirTaken(PathBuf),
    #[error("find an authority in {}: no site.toml; make one with `depot init --site NAME --dir {}`", .0.display(), .0.display())]
    NoAuthority(PathBuf),
    #[error("read {}: line \"site = ...\" is missing or wrong", path.display())]
    SiteFile { path: PathBuf, source: toml::de::Error },
    #[error("add hub {name}: {} is there already, and nothing was changed; move it away to issue again", dir.display())]
    HubTaken { name: Name, dir: PathBuf },
    #[error("make the {what}")]
    Certificate { what: &'static str, source: rcgen::Error },
    #[error("read {}: not a certificate request (PKCS#10, PEM) with a P-256 key and a valid signature", path.display())]
    Request { path: PathBuf, source: rcgen::Error },
    #[error("read {}: not a PEM certificate", path.display())]
    NotCertificate { path: PathBuf },
    #[error("read {}: no PEM private key that can be used", path.display())]
    NotKey { path: PathBuf },
    #[error("use the certificate {} with the key {}", certificate.display(), key.display())]
    Tls { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("use --url {0:?}: expected mqtts://HOST or mqtts://HOST:PORT (mutual TLS; there is no plain mqtt)")]
    Url(String),
    #[error("open {}: no such database; give the --db of `depot ingest`", .0.display())]
    NoDatabase(PathBuf),
    #[error("find hub {0}: it has sent nothing to this database")]
    UnknownHub(String),
    #[error("use --db {}", without_password(text))]
    Place { text: String, source: PlaceError },
    #[error("connect to {place}")]
    Connect { place: String, source: Failure },
    #[error("open {0}: no ingester has made its tables there yet")]
    EmptyDatabase(String),
    #[error("open {}: it is no database of `depot ingest`, and nothing was changed", .0.display())]
    NotDepot(PathBuf),
    #[error(
        "open {place}: its tables are of version {found}, and this depot reads {expected}; `depot ingest` raises a file once it has been started on it"
    )]
    OldSchema { place: String, found: i64, expected: i64 },
    #[error(
        "open {place}: its tables are of version {found}, and this depot reads {expected}; use the newer depot that made them"
    )]
    NewSchema { place: String, found: i64, expected: i64 },
    #[error("{act} in the database")]
    Database { act: &'static str, source: Failure },
    #[error("start {0}")]
    Start(&'static str, #[source] io::Error),
    #[error("keep a thread running: it panicked")]
    ThreadPanicked,
}

impl Error {
    /// The exit code that tells a script which kind of failure it was: 2 wrong usage, 3 cannot run, 4 not permitted.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.is_denied() {
            return 4;
        }
        match self {
            Self::Site { .. }
            | Self::Group { .. }
            | Self::HubName { .. }
            | Self::HubNameTaken(_)
            | Self::CoreHost(_)
            | Self::DirTaken(_)
            | Self::NoAuthority(_)
            | Self::HubTaken { .. }
            | Self::Request { .. }
            | Self::Url(_)
            | Self::Place { .. }
            | Self::EmptyDatabase(_)
            | Self::NoDatabase(_)
            | Self::NotDepot(_)
            | Self::UnknownHub(_) => 2,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Output(_)
            | Self::SiteFile { .. }
            | Self::Certificate { .. }
            | Self::NotCertificate { .. }
            | Self::NotKey { .. }
            | Self::Tls { .. }
            | Self::Connect { .. }
            | Self::OldSchema { .. }
            | Self::NewSchema { .. }
            | Self::Database { .. }
            | Self::Start(..)
            | Self::ThreadPanicked => 3,
        }
    }

    /// Whether the same may work later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Connect { source, .. } | Self::Database { source, .. } if source.is_transient())
    }

    fn is_denied(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            let denied = |e: &io::Error| e.kind() == io::ErrorKind::PermissionDenied;
            if error.downcast_ref::<io::Error>().is_some_and(denied) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// The whole story in one line: an error, then each of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
