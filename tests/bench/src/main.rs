//! `bench`: the figures of Curb, each with its comparison in the same run. `make bench` calls it.
//!
//! It starts the real `curb`, a plain C loop as the peer, mosquitto between hub and core, and the devices; it counts what
//! arrives at the core, asks the kernel what that took, and prints one table. A figure that misses its goal is printed as
//! missed and is no failure; readings that are wrong are.
//!
//! Deliberately absent: the daemon's own word about itself, and any of its crates.

mod append;
mod bed;
mod clock;
mod core;
mod counting;
mod error;
mod figures;
mod hub;
mod meter;
mod serve;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum as _};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::signal::unix::{SignalKind, signal};

use crate::bed::Bed;
use crate::error::Error;
use crate::figures::{Setting, Times};
use crate::table::Table;

/// Could not measure.
const CANNOT: u8 = 3;

/// The figures of Curb, each with its comparison in the same run.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take the figures; five to ten minutes
    #[command(after_help = "Examples:\n  bench run\n  bench run --quick --only load\n\n\
        Programs: $CURB_BIN and $DEPOT_BIN, else those beside this one.")]
    Run(RunArgs),
    /// The devices of the load; started by `bench run`, never by hand
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        devices: u16,
    },
    /// The peer of the queue on disk; started by `bench run`, never by hand
    #[command(hide = true)]
    Append {
        #[arg(long)]
        file: PathBuf,
        #[arg(long)]
        bytes: usize,
        #[arg(long)]
        times: u64,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A few seconds for each figure: to see whether it works, not for figures
    #[arg(long)]
    quick: bool,
    /// Only this setting; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Setting>,
    /// Working folder; it is made anew. On a disk: bytes written are a figure
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    folder: PathBuf,
    /// The deadband component
    #[arg(long, value_name = "FILE", default_value = "plugins/target/components/deadband.wasm")]
    plugin: PathBuf,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Append { file, bytes, times } => append::append(&file, bytes, times),
        Command::Serve { devices } => serve::serve(devices).map_err(Error::Terminal),
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    complain(&error);
    ExitCode::from(CANNOT)
}

/// An error and its causes, in one line; what a program left in its log stands below.
fn complain(error: &Error) {
    let mut text = format!("bench: failed to {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // Without a stderr there is only the exit code to tell it.
    drop(writeln!(io::stderr(), "{text}"));
}

fn run(args: &RunArgs) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Terminal)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Terminal)?;
        // What was started ends with the future that is dropped here.
        tokio::select! {
            done = Box::pin(measure(args)) => done,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Error::Terminal).and(Err(Error::Interrupted)),
            _ = terminate.recv() => Err(Error::Interrupted),
        }
    })
}

async fn measure(args: &RunArgs) -> Result<(), Error> {
    let settings = if args.only.is_empty() { Setting::value_variants() } else { &args.only };
    let times = if args.quick { Times::QUICK } else { Times::FULL };
    let bed = Bed::make(&args.folder, &args.plugin).await?;
    let mut table = Table::default();
    note_load(&mut table);
    let mut missing = 0;
    for setting in settings {
        // One setting that cannot be measured does not spoil the others.
        if let Err(error) = figures::take(&bed, *setting, times, &mut table).await {
            complain(&error);
            missing += 1;
        }
    }
    if args.quick {
        table.note("--quick: a few seconds for each figure; do not quote these");
    }
    let mut out = io::stdout();
    writeln!(out, "{}", machine()?).map_err(Error::Terminal)?;
    writeln!(out, "curb: {}; {}\n", bed.curb.display(), bed.peers().await?).map_err(Error::Terminal)?;
    table.print(&mut out).map_err(Error::Terminal)?;
    if missing == 0 { Ok(()) } else { Err(Error::Missing { settings: missing }) }
}

/// Others at work on the machine make delays longer and caches colder; whoever reads the figures should know.
fn note_load(table: &mut Table) {
    const BUSY: f64 = 0.5;
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split_whitespace().next().and_then(|minute| minute.parse().ok()).unwrap_or(0.0_f64);
    if load > BUSY {
        table.note(format!("the machine was busy before the run: load {load} in the last minute"));
    }
}

/// Date, machine and command, without which a figure says nothing.
fn machine() -> Result<String, Error> {
    let date = OffsetDateTime::UNIX_EPOCH + clock::now();
    let date = date.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))?;
    // What a machine does not tell stays empty: the figures are worth printing without it.
    let field = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let value =
            text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_matches([' ', '\t', ':', '=', '"'])));
        value.unwrap_or_default().to_owned()
    };
    let processor = field("/proc/cpuinfo", "model name");
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = field("/etc/os-release", "PRETTY_NAME");
    let command: Vec<String> = std::env::args().collect();
    Ok(format!("{date} · {processors} × {processor}, {system}, Linux {} · {}", kernel.trim(), command.join(" ")))
}
