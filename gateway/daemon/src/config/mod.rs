//! Settings: read in layers, checked as a whole, turned into the rooms' own `Config` types.
//!
//! The way of a setting: [`Sources`] say where to look; `layers` reads them and merges them by the `config` crate, noting
//! where every key was written (`locate`); `build::expand` lays profiles below the devices that name one; `typed` turns
//! each table into its `schema` type; `build` checks values and what they say about each other, and makes [`Settings`]. All of it goes on after a fault, so that
//! [`Loaded::problems`] names every one at once.
//!
//! Deliberately absent: reading the process's own environment or arguments (the caller passes them in), certificates
//! (`curb-identity` judges them), and any effect on a running room (`assemble` compares and applies).

mod build;
mod editor;
mod last_good;
mod layers;
mod locate;
mod merged;
mod node;
mod notation;
mod problem;
mod profiles;
mod proxy;
mod report;
mod schema;
mod settings;
mod typed;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use build::{Built, Surroundings};
use node::Node;
use report::Report;
use settings::{LogSettings, PathSettings};

pub(crate) use editor::json_schema;
pub(crate) use last_good::{load_last_good, save_last_good};
pub(crate) use merged::{Leaf, Merged};
pub(crate) use notation::ENCODINGS;

pub(crate) use problem::{Misfit, Origin, Problem, did_you_mean};
pub(crate) use profiles::{Library, Source as ProfileSource};
pub(crate) use report::key_text;
pub(crate) use settings::{Ack, ByHand, ClockTrust, CoreSettings, LogFormat, Settings, StoreSettings, WhenFull};

/// Where to look for settings, later ones over earlier ones: built-in defaults, the main file, `conf.d/*.toml` by name,
/// the environment, `--set`.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    main: PathBuf,
    conf_d: PathBuf,
    environment: Vec<(OsString, OsString)>,
    sets: Vec<String>,
}

impl Sources {
    /// The main file, and the folder `conf.d` beside it, which need not exist.
    pub(crate) fn new(main: impl Into<PathBuf>) -> Self {
        let main = main.into();
        let conf_d = main.with_file_name("conf.d");
        Self { main, conf_d, environment: Vec::new(), sets: Vec::new() }
    }

    /// Another folder of drop-in files.
    pub(crate) fn conf_d(mut self, folder: impl Into<PathBuf>) -> Self {
        self.conf_d = folder.into();
        self
    }

    /// Takes `CURB__SECTION__KEY` from these variables; others are passed over.
    pub(crate) fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.environment = variables.into_iter().collect();
        self
    }

    /// Adds the arguments of `--set`, each `key.path=value`.
    pub(crate) fn sets(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.sets.extend(arguments);
        self
    }
}

/// A configuration, right or wrong.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What the daemon is assembled from; `None` when there is a problem.
    pub(crate) settings: Option<Settings>,
    /// Folders, from the defaults where the configuration is wrong about them: the last good one lies below.
    pub(crate) paths: PathSettings,
    /// Logging, likewise: the problems go there.
    pub(crate) log: LogSettings,
    /// Everything that keeps the configuration from being used, by place.
    pub(crate) problems: Vec<Problem>,
    /// What is probably not meant, by place.
    pub(crate) warnings: Vec<Problem>,
    /// Buses that cannot carry what they are asked for: a problem to whoever checks, no reason not to run.
    pub(crate) too_full: Vec<Problem>,
    /// All settings with their places.
    pub(crate) merged: Merged,
}

/// A register as it is written in settings and on the command line: `holding:100`.
///
/// # Errors
/// It is none: what was expected, and what was probably meant.
pub(crate) fn register(text: &str) -> Result<(curb_source::Table, u16), String> {
    notation::register(text).map_err(|misfit| {
        let help = misfit.help.map(|help| format!("; {help}")).unwrap_or_default();
        format!("expected {}{help}", misfit.expected)
    })
}

/// Reads, merges and checks.
pub(crate) fn load(sources: &Sources) -> Loaded {
    let main = Origin::File { path: sources.main.display().to_string().into(), position: None };
    let mut report = Report::at_home(main);
    let mut root = layers::read(sources, &mut report);
    build::expand(&mut root, &mut report);
    Loaded::build(root, Surroundings::Checked, report)
}

impl Loaded {
    fn build(root: Node, surroundings: Surroundings, mut report: Report) -> Self {
        let Built { settings, paths, log } = build::build(&root, surroundings, &mut report);
        let too_full = report.take_too_full();
        let (problems, warnings) = report.into_problems();
        Self { settings, paths, log, problems, warnings, too_full, merged: Merged(root) }
    }
}
