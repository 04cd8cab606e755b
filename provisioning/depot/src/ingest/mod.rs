//! The reference ingester: from the city's broker into a database, each message once, and a receipt back to the hub.
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
//! Several ingesters share the work in a group: the broker gives each message to one of them (a shared subscription), and
//! the locks of the [`book`] keep each message once, and each receipt true, whoever got which.
//!
//! Deliberately absent: any opinion on what a reading means.

mod accept;
mod backoff;
mod book;
mod client;
mod feed;
mod keep;
mod pace;
mod rival;
mod tls;
mod writer;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use curb_model::Name;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

#[cfg(test)]
pub(crate) use self::book::Book;
use self::feed::Feed;
#[cfg(test)]
pub(crate) use self::keep::delete;
use crate::db::Place;
use crate::error::{Error, Outcome};

/// How `depot ingest` was called.
#[derive(Debug)]
pub(crate) struct Config {
    /// `mqtts://host[:port]`.
    pub(crate) url: String,
    /// A file, or `postgres://…`.
    pub(crate) db: String,
    /// Certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
    /// Roots, PEM.
    pub(crate) roots: PathBuf,
    /// Only this site.
    pub(crate) site: Option<String>,
    /// The group of ingesters, and this one's name in it.
    pub(crate) member: Option<(String, String)>,
    /// How long readings are kept; `None`: for ever.
    pub(crate) keep: Option<Duration>,
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
    let member = config.member.map(member).transpose()?;
    let place: Place = config.db.parse().map_err(|source| Error::Place { text: config.db, source })?;
    let (identity, tls) = tls::load(&config.certificate, &config.key, &config.roots)?;
    let db = writer::open(&place)?;
    let feed = if config.json { Feed::stdout() } else { Feed::none() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Start("the runtime", source))?;
    runtime.block_on(async {
        let stop = Stop::listen().map_err(|source| Error::Start("listening for signals", source))?;
        let (jobs_in, jobs) = mpsc::channel(writer::JOBS);
        let (done, done_out) = mpsc::channel(writer::DONE);
        info!(broker = %config.url, database = %place, "starting");
        let (stop_keeper, keeper_stopped) = std::sync::mpsc::channel();
        let keeper = config.keep.map(|keep| {
            let place = place.clone();
            thread::Builder::new().name("keeper".to_owned()).spawn(move || keep::run(&place, keep, &keeper_stopped))
        });
        let keeper = keeper.transpose().map_err(|source| Error::Start("the keeper thread", source))?;
        let writer =
            thread::Builder::new().name("writer".to_owned()).spawn(move || writer::run(&place, db, feed, jobs, &done));
        let writer = writer.map_err(|source| Error::Start("the writer thread", source))?;
        let (group, client_id) = match member {
            None => (None, identity),
            Some((group, name)) => (Some(group), format!("{identity}-{name}")),
        };
        let broker = client::Broker { client_id, host, port, tls, site, group };
        // Ends at a signal, or when the writer is gone; its end of the jobs is dropped, and the writer ends.
        client::run(&broker, jobs_in, done_out, stop).await;
        drop(stop_keeper);
        let ended = tokio::task::spawn_blocking(move || (writer.join(), keeper.map(thread::JoinHandle::join)));
        let (writer, keeper) = ended.await.map_err(|_| Error::ThreadPanicked)?;
        writer.map_err(|_| Error::ThreadPanicked)??;
        keeper.transpose().map_err(|_| Error::ThreadPanicked)?;
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

/// Checks the two names of a member.
fn member((group, name): (String, String)) -> Result<(Name, Name), Error> {
    let checked = |text: String| Name::new(&text).map_err(|source| Error::Group { text, source });
    Ok((checked(group)?, checked(name)?))
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
pub(crate) mod tests;
