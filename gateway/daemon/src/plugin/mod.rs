//! `curb plugin`: what an author does with a plugin before a hub has it, and with what a hub says of it.
//!
//! ```text
//! new ──► a project ──► build (toolchain finds the compiler) ──► NAME.wasm, NAME.debug.wasm ──► inspect, test, run
//! lines ──► input ──► batches ──► the pipeline's runner ──► batches ──► lines
//! bundle ───────────────────────────┘   │ host: `curb plugin-host`
//! ```
//!
//! The plugin runs in the child process that a hub has for it. Deliberately absent: a running daemon, which none of this needs, and
//! a compiler of our own: cargo builds.

pub(crate) mod args;
mod bench;
mod build;
pub(crate) mod bundle;
mod input;
mod inspect;
mod new;
mod replay;
mod run;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use curb_model::{Glob, Name};
use curb_pipeline::{COMPONENT_SIZE_MOST, Engine, Limits, OnFailure, PluginConfig, RunnerError};
use serde_json::Value;

use self::args::{EngineArg, HowArgs, OnFailureArg, PluginCommand};
use crate::cli::{CANNOT, FOUND, USAGE, exit, fail};

/// In place of a hub's secret: a plugin that makes noise makes the same for everybody here.
const SEED: [u8; 32] = [0; 32];

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("read standard input")]
    Input(#[source] io::Error),
    #[error("understand {0} lines of the input")]
    Lines(usize),
    #[error("use --settings: {0}")]
    Settings(String),
    #[error("use --{option}")]
    Option { option: &'static str, source: curb_model::NameError },
    #[error("run a plugin over a capture: --component says which")]
    NoComponent,
    #[error("understand the bundle {}", path.display())]
    Bundle { path: PathBuf, source: bundle::Error },
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Whoever read our output has gone.
    #[error("write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Lines(_)
            | Self::Settings(_)
            | Self::Option { .. }
            | Self::NoComponent
            | Self::Bundle { .. }
            | Self::Runner(RunnerError::Settings(_) | RunnerError::Bundle) => USAGE,
            Self::Runner(
                RunnerError::HostDied | RunnerError::HostHangs | RunnerError::HostRaves(_) | RunnerError::Failed(_),
            ) => FOUND,
            Self::Read { .. }
            | Self::Input(_)
            | Self::Output(_)
            | Self::Runner(RunnerError::Host(_) | RunnerError::Component(_)) => CANNOT,
        }
    }
}

/// Does what the command line says. An error means that nobody reads our output any more.
pub(crate) async fn run(command: PluginCommand, out: &mut impl Write) -> io::Result<ExitCode> {
    // Here whoever looks has built the component, or might: a trap is told with all that is known of it.
    curb_pipeline::explain_traps();
    let (done, json) = match command {
        PluginCommand::New(args) => return new::run(&args, out),
        PluginCommand::Build(args) => return build::run(&args, out),
        PluginCommand::Test(args) => return test::run(&args, out),
        PluginCommand::Inspect(args) => return inspect::run(&args, out),
        // What goes wrong is no reading: the next plugin in the shell's pipe reads standard output.
        PluginCommand::Run(args) => (run::run(&args, out).await, false),
        PluginCommand::Replay(args) => (replay::run(&args, out).await, args.json),
        PluginCommand::Bench(args) => (bench::run(&args, out), args.json),
    };
    match done {
        Ok(code) => Ok(exit(code)),
        Err(Error::Output(error)) => Err(error),
        Err(error) => Ok(fail(&error, error.exit_code(), json, out)),
    }
}

impl HowArgs {
    /// The plugin, as a hub's config would have it.
    fn plugin(&self, component: PathBuf) -> Result<PluginConfig, Error> {
        let name = match &self.name {
            Some(name) => Name::new(name).map_err(|source| Error::Option { option: "name", source })?,
            None => input::name_of(&component),
        };
        let globs = if self.points.is_empty() { &["*".to_owned()][..] } else { &self.points };
        let points = globs.iter().map(|glob| Glob::parse(glob)).collect::<Result<_, _>>();
        let limits = Limits::default();
        Ok(PluginConfig {
            name,
            component: build::with_lines(component),
            points: points.map_err(|source| Error::Option { option: "points", source })?,
            settings: settings(self.settings.as_deref()).map_err(Error::Settings)?,
            seed: SEED.to_vec(),
            engine: match self.engine {
                EngineArg::Cranelift => Engine::Cranelift,
                EngineArg::Pulley => Engine::Pulley,
            },
            on_failure: match self.on_failure {
                OnFailureArg::Pass => OnFailure::Pass,
                OnFailureArg::Drop => OnFailure::Drop,
            },
            limits: Limits {
                // A hub's operator may grant it.
                component: COMPONENT_SIZE_MOST,
                memory: self.memory.map_or(limits.memory, |memory| memory.as_u64()),
                call_time: self.call_time.unwrap_or(limits.call_time),
                ..limits
            },
        })
    }
}

/// The settings: JSON, or a file of JSON or TOML. Nothing is an empty table, as on a hub.
fn settings(given: Option<&str>) -> Result<Value, String> {
    let Some(given) = given else { return Ok(Value::Object(serde_json::Map::new())) };
    let settings: Value = if given.trim_start().starts_with('{') {
        serde_json::from_str(given).map_err(|error| error.to_string())?
    } else {
        let text = std::fs::read_to_string(given).map_err(|error| format!("{given}: {error}"))?;
        if given.ends_with(".toml") {
            toml::from_str(&text).map_err(|error| format!("{given}: {}", error.message()))?
        } else {
            serde_json::from_str(&text).map_err(|error| format!("{given}: {error}"))?
        }
    };
    if settings.is_object() { Ok(settings) } else { Err(format!("found {settings}, expected a table")) }
}
