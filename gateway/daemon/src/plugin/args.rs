//! The arguments of `curb plugin`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Subcommand, ValueEnum};

/// `curb plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a folder with a project in Rust that builds and passes its tests
    #[command(after_help = "Examples:\n  curb plugin new quiet-nights\n  curb plugin new --stateful cycles\n\n\
        The last part of the path is the plugin's name. Without --sdk the author's crate is written beside the project, as it is \
        in this curb, so that the project needs neither curb's sources nor this machine.")]
    New(NewArgs),
    /// Build a plugin's component, and a second one with debug information that stays on this machine
    #[command(after_help = "Examples:\n  curb plugin build\n  curb plugin build quiet-nights\n\n\
        Wants Rust with the target wasm32-unknown-unknown, and says how to get it. CARGO_NET_OFFLINE=true keeps cargo from the \
        network.\nExits 1 if it does not build, or no hub would run what was built.")]
    Build(BuildArgs),
    /// Test a plugin: its own tests, then the component over each tests/NAME.in, which must give tests/NAME.out
    #[command(after_help = "Examples:\n  curb plugin test\n  curb plugin test quiet-nights --bless\n\n\
        tests/NAME.in and NAME.out are what `curb plugin run` takes and gives; tests/NAME.json, if it is there, has the settings.\n\
        Exits 1 if a test fails.")]
    Test(TestArgs),
    /// Show what a component is, what it asks for, and what a hub would refuse; runs nothing of it
    #[command(after_help = "Examples:\n  curb plugin inspect quiet-nights.wasm\n  \
        curb plugin inspect quiet-nights.wasm --json | jq .sizes\n\nExits 1 if a hub would refuse it.")]
    Inspect(InspectArgs),
    /// Run one plugin over readings from standard input, as a hub would; what passes goes to standard output
    #[command(after_help = "Examples:\n  echo 20.5 | curb plugin run mine.wasm\n  \
        curb plugin run guard.wasm --settings '{\"points\":{\"meter/power\":{\"max\":5000}}}' < readings.jsonl\n  \
        curb plugin run a.wasm < in | curb plugin run b.wasm\n\n\
        A line is a reading as `curb tap --json` prints it, or [point] value [quality] [@seconds], as\n  \
        meter/power 230.5\n  meter/power 230.5 uncertain:range @12.5\n  meter/power - bad:timeout\n\
        What comes out is in the form of the first line. It begins when the input ends.\n\
        Time is that of the readings: the same input gives the same output, always.\n\
        The plugin's log, its trouble and its metrics go to standard error. Its seed is zeros.\n\
        Exits 1 if the plugin could not handle something, 2 if it refuses its settings or a line cannot be read.")]
    Run(RunArgs),
    /// Do once more what a plugin could not handle on a hub, or run it over a capture
    #[command(after_help = "Examples:\n  curb plugin replay 000000081234567-tally.jsonl\n  \
        curb plugin replay 000000081234567-tally.jsonl --component target/tally.wasm\n  \
        curb tap --capture readings.jsonl -W 1m && curb plugin replay readings.jsonl --component mine.wasm\n\n\
        `curb status` says where the hub has put the file of what a plugin could not handle. It has no seed: noise is made from \
        zeros.\nExits 1 if the plugin fails again, with the words that the hub had.")]
    Replay(ReplayArgs),
    /// Measure what a plugin takes for a reading: time, and fuel, which is the same on every machine
    #[command(
        after_help = "Examples:\n  curb plugin bench mine.wasm\n  curb plugin bench mine.wasm < readings.jsonl\n  \
        curb plugin bench mine.wasm --fuel-limit 1000 --json\n\n\
        Without readings on standard input it makes some of its own.\nExits 1 if a reading takes more than --fuel-limit at \
        100 rows, or the plugin cannot handle them."
    )]
    Bench(BenchArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NewArgs {
    /// The folder, which must not be there yet; its last part is the plugin's name
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// It remembers over restarts
    #[arg(long)]
    pub(crate) stateful: bool,
    /// Where the author's crate is, for those who change it: plugins/sdk of a checkout
    #[arg(long, value_name = "PATH")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TestArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Write what comes out to tests/NAME.out, in place of what should
    #[arg(long)]
    pub(crate) bless: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InspectArgs {
    /// The component's file
    pub(crate) component: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// The plugin's file
    pub(crate) component: PathBuf,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Print JSON, one object a reading, whatever the form of the input
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// A bundle of a hub, or a capture
    pub(crate) file: PathBuf,
    /// The plugin's file; of a bundle the one that the hub had, if it is here [default: the bundle's]
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Print JSON: of a bundle one document, of a capture one object a reading
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// The plugin's file
    pub(crate) component: PathBuf,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Exit 1 if a reading takes more fuel than this at 100 rows
    #[arg(long, value_name = "N")]
    pub(crate) fuel_limit: Option<u64>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the plugin is run; for what is not given, as a hub does. A bundle says it itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct HowArgs {
    /// Its settings: JSON, or a file of JSON or TOML
    #[arg(long, value_name = "FILE|JSON")]
    pub(crate) settings: Option<String>,
    /// The points that it sees; may be given more than once [default: all]
    #[arg(long, value_name = "GLOB")]
    pub(crate) points: Vec<String>,
    /// Its name, which its own points have [default: that of its file]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What runs its code
    #[arg(long, value_enum, default_value = "cranelift")]
    pub(crate) engine: EngineArg,
    /// What becomes of readings that it cannot handle
    #[arg(long, value_enum, default_value = "pass")]
    pub(crate) on_failure: OnFailureArg,
    /// Memory that it may use [default: 8 MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// How long one call may take [default: 250ms]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) call_time: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArg {
    /// Compiled to the machine's own code
    Cranelift,
    /// Interpreted
    Pulley,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailureArg {
    /// They pass as they are
    Pass,
    /// They are dropped
    Drop,
}
