//! What can go wrong while a street is put up.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a part of the street cannot start, or did not do what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No pseudo-terminal.
    #[error("open a pseudo-terminal at {}", link.display())]
    Pty {
        /// Where its link was to be.
        link: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No port to listen on.
    #[error("listen on {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No thread for a simulator.
    #[error("start the thread {name}")]
    Thread {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The broker does not start.
    #[error("start the broker on {address}")]
    Broker {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: Box<mqtt5::error::MqttError>,
    },
    /// The broker's thread has not said within its deadline that it is ready.
    #[error("start the broker on {address} within {deadline:?}")]
    BrokerSilent {
        /// Where.
        address: std::net::SocketAddr,
        /// How long was waited.
        deadline: Duration,
    },
    /// A file holds no certificate or key.
    #[error("read {} as PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There are no roots to judge clients by.
    #[error("ask clients for certificates")]
    Roots(#[from] rustls::server::VerifierBuilderError),
    /// Key and certificate do not serve.
    #[error("serve TLS")]
    Tls(#[from] rustls::Error),
    /// A plugin of somebody's own is to see what the demo has not, or has for its own plugin.
    #[error("let a plugin see {points}: the devices that are free for it are {devices}")]
    Guest {
        /// What it is to see.
        points: String,
        /// What it can see.
        devices: String,
    },
    /// A binary is not where it should be.
    #[error("find the program {name}: it is neither in ${variable} nor at {}; build it with `cargo build -p {name}`", looked.display())]
    NoProgram {
        /// The program.
        name: String,
        /// The environment variable that names it.
        variable: String,
        /// Where it was looked for.
        looked: PathBuf,
    },
    /// A process does not start, or cannot be signalled or waited for.
    #[error("{act} {name}")]
    Process {
        /// What was tried.
        act: &'static str,
        /// The process's name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A process has not ended in time.
    #[error("wait for {name} to end within {deadline:?}\n{log}")]
    StillRunning {
        /// The process's name.
        name: String,
        /// How long was waited.
        deadline: Duration,
        /// The end of its log.
        log: String,
    },
    /// A process ended with another code than it should.
    #[error("run {name} ({ended})\n{log}")]
    Failed {
        /// The process's name.
        name: String,
        /// How it ended.
        ended: std::process::ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// Something that was waited for did not come.
    #[error("see {what} within {deadline:?}\n{logs}")]
    NotSeen {
        /// What was waited for.
        what: String,
        /// How long was waited.
        deadline: Duration,
        /// The ends of the logs of those who should have brought it.
        logs: String,
    },
    /// A file of the street cannot be read or written.
    #[error("use the file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a program printed is not what it documents.
    #[error("read line {line} of {}", path.display())]
    Output {
        /// Where it was printed to.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// Somebody asked twice.
    #[error("end in order: asked to end at once")]
    Interrupted,
    /// No terminal to write to, no signal to wait for.
    #[error("use the terminal")]
    Terminal(#[source] io::Error),
}

impl Error {
    /// For `map_err`: a file at `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
