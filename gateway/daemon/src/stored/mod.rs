//! `curb store show | export | release | drop`: what the queue holds, and what the core refused for what it is.
//!
//! ```text
//! command ──► control socket ──► serve ──┐
//!    └─ no daemon: the queue's own lock ─┴─► shelves (the policy's word) ──► store
//! ```
//!
//! Beside a daemon everything goes through it: a second connection to its file is not safe. Deliberately absent: any change
//! to what waits, or to the bytes of a message.

mod export;
mod form;
pub(crate) mod serve;
mod shelves;
mod text;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use curb_model::{HubClock, HubTime};
use curb_store::Workbench;
use curb_wire::command::{Proof, Refusal};
use serde::de::DeserializeOwned;

use self::form::{Changed, Shown};
use crate::cli::{CANNOT, CONFIG, DENIED, FINE, FOUND, StoreArgs, StoreCommand, StoreRows, USAGE, exit, fail};
use crate::clock::{self, Verdict};
use crate::command::clip;
use crate::config::{Loaded, Settings};
use crate::control::{self, Call, Op, SOCKET};
use crate::spool::{self, Noted, Spool};
use crate::turn;

pub(crate) use form::{Change, Exported};
pub(crate) use shelves::Shelves;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Control(#[from] control::Error),
    #[error("understand the daemon's answer")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Shelves(#[from] shelves::Error),
    #[error("open the queue")]
    Open(#[source] curb_store::Error),
    #[error("use the queue in {}: a daemon has it whose socket is not in {}; --run-dir says where it is", state.display(), run_dir.display())]
    Elsewhere { state: PathBuf, run_dir: PathBuf },
    #[error("read the settings {}", path.display())]
    Settings { path: PathBuf, source: io::Error },
    #[error("know what may leave the hub: {config} has {problems} problems; `curb check` shows them")]
    Config { config: String, problems: usize },
    #[error("record the change, so it is not made")]
    Unrecorded(#[source] spool::Error),
    #[error("write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Whoever read our output has gone.
    #[error("print")]
    Output(#[from] io::Error),
}

impl Error {
    fn exit_code(&self) -> u8 {
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Control(error) => error.exit_code(),
            Self::Open(curb_store::Error::Folder { source, .. })
            | Self::File { source, .. }
            | Self::Settings { source, .. }
                if denied(source) =>
            {
                DENIED
            }
            Self::Unrecorded(spool::Error::Folder { .. }) => DENIED,
            Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => USAGE,
            Self::Config { .. }
            | Self::Settings { .. }
            | Self::Elsewhere { .. }
            | Self::Open(curb_store::Error::Absent { .. }) => USAGE,
            Self::Json(_)
            | Self::Shelves(_)
            | Self::Open(_)
            | Self::Unrecorded(_)
            | Self::File { .. }
            | Self::Output(_) => CANNOT,
        }
    }
}

/// `curb store …`.
///
/// # Errors
/// Nobody reads our output any more.
pub(crate) async fn run(command: StoreCommand, out: &mut impl Write) -> io::Result<ExitCode> {
    let (result, json) = match command {
        StoreCommand::Show { at } => (show(&at, out).await, at.json),
        StoreCommand::Export { aside, file, at } => {
            let what = if aside { Exported::Aside } else { Exported::All };
            (export::run(&at, what, &file, out).await, at.json)
        }
        StoreCommand::Release { rows, at } => (change(&at, Change::Release, rows, out).await, at.json),
        StoreCommand::Drop { rows, at } => (change(&at, Change::Drop, rows, out).await, at.json),
    };
    match result {
        Ok(code) => Ok(exit(code)),
        Err(Error::Output(gone)) => Err(gone),
        Err(error) => Ok(fail(&error, error.exit_code(), json, out)),
    }
}

async fn show(args: &StoreArgs, out: &mut impl Write) -> Result<u8, Error> {
    let shown: Shown = match Way::find(args)? {
        Way::Daemon(run_dir) => answer(&run_dir, Op::StoreShow).await?,
        Way::Alone(alone) => alone.shelves()?.show().await?,
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&shown)?)?;
    } else {
        text::show(&shown, out)?;
    }
    Ok(if shown.aside.is_empty() { FINE } else { FOUND })
}

async fn change(args: &StoreArgs, change: Change, rows: StoreRows, out: &mut impl Write) -> Result<u8, Error> {
    let rows = (!rows.all).then_some(rows.rows);
    let changed: Changed = match Way::find(args)? {
        Way::Daemon(run_dir) => answer(&run_dir, Op::StoreChange { change, rows }).await?,
        Way::Alone(alone) => alone.change(change, rows.as_deref()).await?,
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&changed)?)?;
    } else {
        text::changed(change, &changed, out)?;
    }
    Ok(if changed.absent.is_empty() && changed.denied.is_empty() { FINE } else { FOUND })
}

/// The way to the messages.
enum Way {
    /// Through the daemon; the folder of its socket.
    Daemon(PathBuf),
    Alone(Box<Alone>),
}

/// A hub whose daemon does not run.
struct Alone {
    config: String,
    loaded: Loaded,
}

impl Way {
    /// A file of settings that was asked for has to be there; without it the place of the queue would be a guess. A daemon whose
    /// socket is found needs none.
    fn find(args: &StoreArgs) -> Result<Self, Error> {
        let config = &args.config.config;
        // Opening a pipe would wait until somebody writes there.
        let read =
            fs::metadata(config).and_then(|about| if about.is_file() { File::open(config).map(drop) } else { Ok(()) });
        let unread = read.err().map(|source| Error::Settings { path: config.clone(), source });
        let unread = if config == Path::new(CONFIG) { unread } else { unread.map_or(Ok(None), Err)? };
        let loaded = crate::config::load(&crate::sources(&args.config));
        let state = loaded.paths.state.clone();
        let configured = || loaded.settings.as_ref().map(|settings| settings.paths.run.clone());
        let run_dir = args.run_dir.run_dir.clone().or_else(configured).unwrap_or_else(|| args.run_dir.path());
        let path = run_dir.join(SOCKET);
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => Ok(Self::Daemon(run_dir)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                if let Some(error) = unread {
                    return Err(error);
                }
                if turn::is_taken(&state) {
                    return Err(Error::Elsewhere { state, run_dir });
                }
                let config = args.config.config.display().to_string();
                Ok(Self::Alone(Box::new(Alone { config, loaded })))
            }
            Err(source) => Err(control::Error::Connect { path, source }.into()),
        }
    }
}

impl Alone {
    fn shelves(&self) -> Result<Shelves, Error> {
        let bench = Workbench::open(&self.loaded.paths.state.join("queue")).map_err(Error::Open)?;
        Ok(Shelves::Alone(Box::new(bench)))
    }

    /// The settings, for the policy.
    fn settings(&self) -> Result<&Settings, Error> {
        let problems = self.loaded.problems.len();
        self.loaded.settings.as_ref().ok_or_else(|| Error::Config { config: self.config.clone(), problems })
    }

    /// Noted before it is done, as a write to a device is, and taken into the audit records by the next daemon.
    async fn change(&self, change: Change, rows: Option<&[i64]>) -> Result<Changed, Error> {
        let settings = self.settings()?;
        let mut shelves = self.shelves()?;
        let clock = HubClock::starting_at(HubTime::ZERO);
        let time_ms = match clock::look(settings.clock.trust, &clock).await {
            Verdict::Trusted(offset) => Some(clock.now().utc_millis(offset)),
            Verdict::Unsynchronised | Verdict::BeforeFloor => None,
        };
        let command = rows.map_or_else(|| format!("store {} --all", change.as_str()), |rows| command(change, rows));
        let mut spool = Spool::open(&settings.paths.state).map_err(Error::Unrecorded)?;
        spool.note(Noted { command, point: None, value: None, time_ms }).map_err(Error::Unrecorded)?;
        let result = shelves.change(change, rows, &settings.pipeline.policy).await;
        let told = match &result {
            Ok(changed) if !changed.done.is_empty() => Ok(Proof::Committed),
            Ok(_) => Err(("nothing-done", "none of these is set aside and may go".to_owned())),
            Err(error) => Err(("unconfirmed", crate::chain(error))),
        };
        let told = told.map_err(|(word, detail)| Refusal { word: word.to_owned(), detail });
        if let Err(error) = spool.finish(told) {
            tracing::warn!("failed to record what came of it: {}", crate::chain(&error));
        }
        Ok(result?)
    }
}

/// As an audit record names it.
fn command(change: Change, rows: &[i64]) -> String {
    let rows: String = rows.iter().map(|row| format!(" {row}")).collect();
    clip(&format!("store {}{rows}", change.as_str()))
}

async fn answer<T: DeserializeOwned>(run_dir: &Path, op: Op) -> Result<T, Error> {
    line(&mut control::ask(run_dir, op).await?).await
}

async fn line<T: DeserializeOwned>(call: &mut Call) -> Result<T, Error> {
    let gone = || control::Error::Talk(io::ErrorKind::UnexpectedEof.into());
    let line = call.next().await?.ok_or_else(gone)?;
    Ok(serde_json::from_str(line.get())?)
}
