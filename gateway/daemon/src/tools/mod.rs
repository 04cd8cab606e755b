//! The installer's tools: one request, one device, one line, from a laptop or beside the running daemon.
//!
//! ```text
//! args, notation ──► target (what is meant) ──► line (through the daemon, or alone) ──► read ping write dump scan
//! frames (bytes → frames), guess (registers → meanings), scan::verdict (what was seen → a sentence): pure
//! ```
//!
//! Answers go to standard output (with `--json` all of them, also that there is none); errors, progress and notices to standard error. Exit codes are those of every command.
//!
//! Deliberately absent: a Modbus client of their own. What a tool sees is what the daemon's own line guard saw.

pub(crate) mod args;
pub(crate) mod dump;
mod frames;
pub(crate) mod guess;
mod line;
mod notation;
pub(crate) mod ping;
pub(crate) mod play;
pub(crate) mod read;
pub(crate) mod scan;
mod target;
pub(crate) mod write;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use curb_model::Reason;
use curb_source::Outcome;

use self::args::LineArgs;
use self::target::Known;
use crate::cli::{CANNOT, DENIED, USAGE, exit, fail};

/// Why a tool did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Target(#[from] target::Error),
    #[error(transparent)]
    Line(#[from] line::Error),
    #[error("use {option}")]
    Option { option: &'static str, source: notation::Misread },
    #[error("do that: {0}")]
    Usage(&'static str),
    /// Nothing was sent.
    #[error("record the write, so it is not done; --unrecorded goes on where there is no state folder to write to")]
    Unrecorded(#[source] crate::spool::Error),
    #[error("write that: {0}")]
    NotGranted(String),
    #[error("count how often the device was written, so it is not done")]
    Uncounted(#[source] curb_durable::Error),
    #[error("use the line: {0}")]
    Unusable(String),
    #[error("read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Whoever read our output has gone.
    #[error("print")]
    Output(#[from] io::Error),
}

impl Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Line(line::Error::Control(error)) => error.exit_code(),
            Self::Line(line::Error::RawBesideDaemon) | Self::NotGranted(_) => DENIED,
            Self::Line(line::Error::Start(curb_source::Error::Config(_))) => USAGE,
            Self::Target(_) | Self::Option { .. } | Self::Usage(_) => USAGE,
            Self::Unusable(why) if why.contains("ermission denied") => DENIED,
            Self::Unrecorded(crate::spool::Error::Folder { .. }) => DENIED,
            Self::Line(_)
            | Self::Unrecorded(_)
            | Self::Uncounted(_)
            | Self::Unusable(_)
            | Self::File { .. }
            | Self::Output(_) => CANNOT,
        }
    }
}

/// The exit code of a tool; says on the way what went wrong.
///
/// # Errors
/// Nobody reads our output any more.
pub(crate) fn finish(result: Result<u8, Error>, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    match result {
        Ok(code) => Ok(exit(code)),
        Err(Error::Output(gone)) => Err(gone),
        Err(error) => Ok(fail(&error, error.exit_code(), json, out)),
    }
}

/// The folder of the daemon's socket: the command line's, else the config's, else the usual one.
fn run_dir(args: &LineArgs, known: &Known) -> PathBuf {
    let config = || known.run_dir().map(ToOwned::to_owned);
    args.run_dir.run_dir.clone().or_else(config).unwrap_or_else(|| args.run_dir.path())
}

/// Whether answers may be coloured.
fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `text` in red, on a terminal.
fn red(text: &str, colour: bool) -> String {
    if colour { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
}

/// What did not come, for people.
fn trouble(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Registers(_) | Outcome::Bits(_) | Outcome::Identity(_) | Outcome::ServerId(_) | Outcome::Done => None,
        Outcome::Exception(code) => Some(format!("exception {code}: {}", exception(*code))),
        Outcome::Failed(Reason::Timeout) => Some("no answer".to_owned()),
        Outcome::Failed(Reason::Crc) => Some("an answer with a wrong check sum".to_owned()),
        Outcome::Failed(Reason::Framing) => Some("bytes that are no answer".to_owned()),
        Outcome::Failed(Reason::Port) => {
            Some("the port or connection closed: see the cable, or whether another master has the device".to_owned())
        }
        Outcome::Failed(reason) => Some(reason.to_string()),
        Outcome::Unusable(why) => Some(why.clone()),
    }
}

/// The same as the word that readings carry.
fn quality(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exception(code) => format!("bad:exception-{code}"),
        Outcome::Failed(reason) => format!("bad:{reason}"),
        Outcome::Unusable(_) => "bad:port".to_owned(),
        Outcome::Registers(_) | Outcome::Bits(_) | Outcome::Identity(_) | Outcome::ServerId(_) | Outcome::Done => {
            "good".to_owned()
        }
    }
}

/// What an exception code means (Modbus Application Protocol 1.1b3, section 7).
const fn exception(code: u8) -> &'static str {
    match code {
        1 => "it does not know this function",
        2 => "it has no such address",
        3 => "it does not take this value or quantity",
        4 => "it has failed",
        5 => "it takes its time",
        6 => "it is busy",
        8 => "its memory is damaged",
        10 => "the gateway has no way there",
        11 => "the gateway's device does not answer",
        _ => "a code of the maker's own",
    }
}

#[cfg(test)]
mod tests {
    use curb_source::ProbeError;

    use super::*;
    use crate::control;

    #[test]
    fn an_exit_code_tells_what_to_mend() {
        let check = |error: Error, code: u8| assert_eq!(error.exit_code(), code, "{error}");
        let refused = |why: String| Error::Line(line::Error::Control(control::Error::Refused(why)));
        check(Error::Line(line::Error::Control(control::Error::Busy("4 taps run already".to_owned()))), CANNOT);
        check(refused("no bus \"x\" runs here".to_owned()), USAGE);
        check(Error::Line(ProbeError::Full.into()), CANNOT);
        check(Error::Line(line::Error::RawBesideDaemon), DENIED);
        check(Error::Unusable("/dev/ttyUSB0: Device or resource busy".to_owned()), CANNOT);
        check(Error::Usage("say which unit: -a 3"), USAGE);
    }

    #[test]
    fn what_failed_is_a_sentence() {
        let said = format!("failed to {}", Error::Usage("only holding registers and coils can be written"));
        assert_eq!(said, "failed to do that: only holding registers and coils can be written");
    }
}
