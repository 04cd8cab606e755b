//! The reference ingester: from the city's broker into SQLite, each message once, and a receipt back to the hub.
//!
//! ```text
//!  broker ──► client (one task) ──jobs──► writer (one thread, owns the database) ──► stdout (--json)
//!    ▲            │  ▲                       │ commits whatever waits, in one transaction
//!    └─ PUBACK,  ◄┘  └────────done───────────┘
//!       receipts
//! ```
//!
//! A PUBACK leaves after the commit of its message, and so does a receipt. The session at the broker is kept over restarts
//! (the broker holds what comes meanwhile, within its own limits: mosquitto drops beyond `max_queued_messages`, 1,000 if
//! not set), so that a killed ingester loses nothing; what it gets twice it counts and drops. End to end only `core.ack = "core"` on the hub is a promise: then a hub deletes a message
//! on the receipt, and no broker's limits matter.
//!
//! Deliberately absent: a second writer, deletion of old readings, and any opinion on what a reading means.

mod accept;
mod backoff;
mod book;
mod client;
mod feed;
pub(crate) mod schema;
mod tls;
mod writer;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::thread;

use curb_model::Name;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

pub(crate) use self::book::{Book, count};
use self::feed::Feed;
use crate::error::{Error, Outcome};

/// How `depot ingest` was called.
#[derive(Debug)]
pub(crate) struct Config {
    /// `mqtts://host[:port]`.
    pub(crate) url: String,
    /// The database file.
    pub(crate) db: PathBuf,
    /// Certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
    /// Roots, PEM.
    pub(crate) roots: PathBuf,
    /// Only this site.
    pub(crate) site: Option<String>,
    /// Whether accepted messages are written to stdout as JSON lines.
    pub(crate) json: bool,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What was given cannot be used, or the database or the output can no longer be written. A broker that cannot be
/// reached is no error: it is tried again for ever.
pub(crate) fn run(config: Config) -> Result<Outcome, Error> {
    start_log();
    let (host, port) = parse_url(&config.url)?;
    let site = match config.site {
        Some(text) => Some(Name::new(&text).map_err(|source| Error::Site { text, source })?),
        None => None,
    };
    let (identity, tls) = tls::load(&config.certificate, &config.key, &config.roots)?;
    let book = Book::open(&config.db)?;
    let feed = if config.json { Feed::stdout() } else { Feed::none() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Start("the runtime", source))?;
    runtime.block_on(async {
        let stop = Stop::listen().map_err(|source| Error::Start("listening for signals", source))?;
        let (jobs_in, jobs) = mpsc::channel(writer::JOBS);
        let (done, done_out) = mpsc::channel(writer::DONE);
        let writer =
            thread::Builder::new().name("writer".to_owned()).spawn(move || writer::run(book, feed, jobs, &done));
        let writer = writer.map_err(|source| Error::Start("the writer thread", source))?;
        info!(broker = %config.url, database = %config.db.display(), "starting");
        let broker = client::Broker { identity, host, port, tls, site };
        // Ends at a signal, or when the writer is gone; its end of the jobs is dropped, and the writer ends.
        client::run(&broker, jobs_in, done_out, stop).await;
        let ended = tokio::task::spawn_blocking(move || writer.join()).await;
        ended.map_err(|_| Error::WriterPanicked)?.map_err(|_| Error::WriterPanicked)??;
        info!("stopped");
        Ok(Outcome::Fine)
    })
}

/// The two signals that ask for an orderly end.
#[derive(Debug)]
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// # Cancel safety
    /// A signal that arrives while nobody waits is kept for the next call.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_log() {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .with_target(false)
        .init();
}

/// Takes `mqtts://host[:port]` apart. An IPv6 address stands in brackets.
fn parse_url(url: &str) -> Result<(String, u16), Error> {
    const DEFAULT_PORT: u16 = 8883;
    let wrong = || Error::Url(url.to_owned());
    let rest = url.strip_prefix("mqtts://").ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or_else(wrong)?;
            (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("8883")).ok_or_else(wrong)?.parse())
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, port.parse()),
            None => (rest, Ok(DEFAULT_PORT)),
        },
    };
    let fits = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    if fits { Ok((host.to_owned(), port.map_err(|_| wrong())?)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
