//! The program `street`: the demo on the command line.

use std::io::{self, IsTerminal as _, Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use street::demo::{self, Guest, Length, Options, Outcome};
use street::soak::{self, Kind, Report, Span};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A street in a process.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Devices, hub and core on one machine, on real protocols, with a bad day in between; the judge has the last word.
    ///
    /// Exit codes: 0 every reading is accounted for and none is wrong, 1 not so, 3 something could not be started.
    #[command(after_help = "Examples:\n  street demo\n  street demo --for forever    until Ctrl-C")]
    Demo {
        /// How long: a number of seconds (at least 60), or `forever`.
        #[arg(long = "for", value_name = "SECONDS", default_value = "60")]
        length: Length,
        #[command(flatten)]
        parts: Parts,
        /// A plugin of your own, in the street beside the demo's.
        #[arg(long, value_name = "FILE")]
        own: Option<PathBuf>,
        /// The points that it sees: of a device of the street without deadband.
        #[arg(long, value_name = "GLOB", default_value = "charger/*", requires = "own")]
        own_points: String,
        /// Its settings, as a TOML value: { every = "10s" }.
        #[arg(long, value_name = "TOML", requires = "own")]
        own_settings: Option<String>,
    },
    /// The demo's street, and SIGKILL for the daemon, its plugin host and the broker at random moments; the judge has the
    /// last word.
    ///
    /// Exit codes: 0 every reading is accounted for and none is wrong, 1 not so, 3 something could not be started.
    #[command(after_help = "Examples:\n  street soak\n  street soak --for 1h --seed 7 --broker mosquitto")]
    Soak {
        /// How long there is killing: 90, 90s, 5m, 1h.
        #[arg(long = "for", value_name = "TIME", default_value = "60")]
        length: Span,
        /// What makes the moments; printed, so that a run can be had again. Without it one is drawn.
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
        /// Which broker.
        #[arg(long, value_name = "NAME", default_value_t)]
        broker: Kind,
        #[command(flatten)]
        parts: Parts,
    },
}

/// What runs between the simulators.
#[derive(Debug, Args)]
struct Parts {
    /// The daemon; without it $CURB_BIN, or the one beside this program.
    #[arg(long, value_name = "FILE")]
    curb: Option<PathBuf>,
    /// The depot's tool; without it $DEPOT_BIN, or the one beside this program.
    #[arg(long, value_name = "FILE")]
    depot: Option<PathBuf>,
    /// The deadband plugin; `make plugins` builds it.
    #[arg(long, value_name = "FILE", default_value = "plugins/target/components/deadband.wasm")]
    plugin: PathBuf,
}

/// What a command came to.
enum Done {
    Demo(Outcome),
    Soak(Report),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    // The broker warns of every connection that is cut, and here many are.
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("mqtt5", LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
    let run = || -> Result<Done, Box<dyn std::error::Error>> {
        // The broker takes the process's default; the daemon itself never does.
        let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        installed.map_err(|_| "a TLS provider was installed before ours")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(match command {
            Command::Demo { length, parts, own, own_points: points, own_settings: settings } => {
                let [curb, depot, plugin] = parts.find()?;
                let guest = own.map(|component| Guest { component, points, settings });
                Done::Demo(runtime.block_on(demo::run(Options { length, curb, depot, plugin, guest }))?)
            }
            Command::Soak { length, seed, broker, parts } => {
                let [curb, depot, plugin] = parts.find()?;
                let seed = seed.unwrap_or_else(|| fastrand::u64(..));
                Done::Soak(runtime.block_on(soak::run(soak::Options { length, seed, broker, curb, depot, plugin }))?)
            }
        })
    };
    match run() {
        Ok(Done::Demo(outcome)) => report(&outcome),
        Ok(Done::Soak(report)) => match writeln!(stdout(), "{report}") {
            Ok(()) if report.verdict.is_fine() => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        },
        Err(error) => {
            let causes = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            // Nothing is left to tell a failure of this to.
            drop(writeln!(stderr(), "street: failed to {}", causes.join(": ")));
            ExitCode::from(3)
        }
    }
}

impl Parts {
    /// The daemon, the depot's tool and the plugin.
    fn find(self) -> Result<[PathBuf; 3], Box<dyn std::error::Error>> {
        let Self { curb, depot, plugin } = self;
        let curb = curb.map_or_else(|| street::binary("curb"), Ok)?;
        let depot = depot.map_or_else(|| street::binary("depot"), Ok)?;
        let plugin = plugin
            .canonicalize()
            .map_err(|error| format!("open the plugin {} ({error}); `make plugins` builds it", plugin.display()))?;
        Ok([curb, depot, plugin])
    }
}

/// The verdict, its one line last.
fn report(Outcome { verdict, folder }: &Outcome) -> ExitCode {
    let mut out = stdout().lock();
    let mut print = || -> io::Result<()> {
        for problem in &verdict.problems {
            writeln!(out, "✗ {problem}")?;
        }
        if let Some(folder) = folder {
            writeln!(out, "logs, settings and the core's database are kept in {}", folder.display())?;
        }
        writeln!(out, "{verdict}")
    };
    match print() {
        Ok(()) if verdict.is_fine() => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}
