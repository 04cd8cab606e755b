//! The command line of `curb`, what its exit codes mean, and how a command ends that did not do what it was asked for.

use std::error::Error;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::control::TapPoint;
use crate::plugin::args::PluginCommand;
use crate::tools::args::{DumpArgs, PingArgs, PlayArgs, ReadArgs, ScanArgs, WriteArgs};

/// Exit codes, the same in every command: fine.
pub(crate) const FINE: u8 = 0;
/// Looked, and found something wrong.
pub(crate) const FOUND: u8 = 1;
/// Wrong usage or config.
pub(crate) const USAGE: u8 = 2;
/// Cannot run.
pub(crate) const CANNOT: u8 = 3;
/// Not permitted.
pub(crate) const DENIED: u8 = 4;

/// An exit code as main returns it.
pub(crate) fn exit(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// The end of a command that did not do what it was asked for: with `--json` a document on standard output, else a line on
/// standard error, for what is on standard output may be wanted in a file.
pub(crate) fn complain(text: &str, code: u8, json: bool, out: &mut impl Write) -> ExitCode {
    let told = if json {
        writeln!(out, "{}", serde_json::json!({ "v": 1, "error": text }))
    } else {
        writeln!(stderr(), "{text}")
    };
    // Whoever read our output may have gone: the exit code tells it all the same.
    told.ok();
    exit(code)
}

/// The same, where an error tells why.
pub(crate) fn fail(error: &dyn Error, code: u8, json: bool, out: &mut impl Write) -> ExitCode {
    complain(&format!("failed to {}", crate::chain(error)), code, json, out)
}

/// Where the settings are if nobody says otherwise.
pub(crate) const CONFIG: &str = "/etc/curb/curb.toml";

/// The edge gateway for street furniture.
#[derive(Debug, Parser)]
#[command(name = "curb", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 looked and found something wrong, 2 wrong usage or config, \
    3 cannot run, 4 not permitted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the devices, run the plugins, forward to the core; until SIGTERM
    #[command(after_help = "Examples:\n  curb run\n  curb run --config ./curb.toml --run-dir /tmp/curb\n  \
        curb run --set core.ack=core\n\nSIGHUP reloads the config. A second SIGTERM ends at once.")]
    Run {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        run_dir: RunDir,
    },
    /// Check the config and report all its problems, each with file, line and what would be right
    #[command(after_help = "Examples:\n  curb check\n  curb check --config ./curb.toml --json | jq .problems")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// The hub's name, where there is no certificate yet to take it from
        #[arg(long, value_name = "NAME")]
        hub: Option<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// The settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the JSON Schema of a config file, for editors
    #[command(
        after_help = "Examples:\n  curb schema > curb.schema.json\n\nEditors that know Taplo take it by a first line in the \
        file:\n  #:schema ./curb.schema.json\n\n`curb check` tells more: notations, ranges, what is missing."
    )]
    Schema,
    /// List the kinds of device that are known, or show what one of them has
    #[command(after_help = "Examples:\n  curb profiles\n  curb profiles eastron-sdm120\n  \
        curb profiles --json | jq -r '.profiles[].name'")]
    Profiles {
        /// The profile to show
        name: Option<String>,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show what the running daemon does and what stands wrong; exits 1 if anything does
    #[command(after_help = "Examples:\n  curb status\n  curb status --json | jq '.faults[].word'\n  \
        curb status --prometheus > /var/lib/prometheus/node-exporter/curb.prom\n\n\
        --prometheus prints nothing on standard output if the daemon does not answer.")]
    Status {
        #[command(flatten)]
        run_dir: RunDir,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Print Prometheus' text format
        #[arg(long, conflicts_with = "json")]
        prometheus: bool,
    },
    /// Print readings of the running daemon as they pass
    #[command(
        after_help = "Examples:\n  curb tap\n  curb tap -t 'meter/*' -C 10 -W 5s\n  curb tap --at source --json\n  \
        curb tap --at uplink -v\n  curb tap --capture readings.jsonl -W 1m\n\nReadings go to standard output, notices to \
        standard error."
    )]
    Tap {
        #[command(flatten)]
        run_dir: RunDir,
        /// Only points that match; may be given more than once
        #[arg(short = 't', long = "topic", value_name = "GLOB")]
        points: Vec<String>,
        /// End after this many readings
        #[arg(short = 'C', long, value_name = "N")]
        count: Option<u64>,
        /// End after this long, with exit code 1 if fewer than --count readings came
        #[arg(short = 'W', long, value_name = "TIME", value_parser = humantime::parse_duration)]
        wait: Option<Duration>,
        /// Where to listen
        #[arg(long, value_enum, default_value = "pipeline")]
        at: TapPoint,
        /// Show time, quality, stream and hub time of each reading; at uplink the payload
        #[arg(short = 'v', long)]
        verbose: bool,
        /// Keep what is shown in a new file, as JSON lines; at pipeline or uplink only
        #[arg(long, value_name = "FILE")]
        capture: Option<PathBuf>,
        /// Print one JSON object a reading
        #[arg(long)]
        json: bool,
    },
    /// Have the running daemon read its config again; it changes only what differs, and nothing if the config is wrong
    Reload {
        #[command(flatten)]
        run_dir: RunDir,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Read registers of a unit, or points of a device, now
    #[command(after_help = "Examples:\n  curb read cabinet -a 3 -r holding:100 -c 2 -t f32 -B CDAB\n  \
        curb read /dev/ttyUSB0 -b 9600 -P none -a 1-5 -r input:0\n  curb read meter/voltage -l 1s\n  \
        curb read --guess 200.6 cabinet -a 3 -r holding:100\n\nExits 1 if a value did not come or is not good.")]
    Read(ReadArgs),
    /// Write to a point that the config grants; read back
    #[command(after_help = "Examples:\n  curb write lamp/dim-level 50\n  \
        curb write tracer --setting battery-type gel\n  \
        curb write /dev/ttyUSB0 -a 3 -r holding:5 7 --raw\n\nExits 1 if the device did not confirm it, 2 if the point \
        cannot take the value, 4 if it is not granted.\n--raw passes all grants: it \
        needs the daemon stopped, as --setting does.")]
    Write(WriteArgs),
    /// Ask a device again and again: how fast it answers, and how often not
    #[command(after_help = "Examples:\n  curb ping meter\n  curb ping cabinet -a 3 -c 100 -i 200ms\n\n\
        Ctrl-C prints the sum. Exits 1 if an answer was lost.")]
    Ping(PingArgs),
    /// Find the units on a bus and their settings, or say why nothing answers
    #[command(after_help = "Examples:\n  curb scan cabinet\n  curb scan /dev/ttyUSB0 --budget 2m\n  \
        curb scan /dev/ttyUSB0 -b 9600 -a 1-20 --propose > found.toml\n\n-b and -P narrow the search. Waits 300 ms \
        for units that are configured or factory settings (1 2 3 10 100) at the likeliest rates, \
        else 150 ms, 500 ms over TCP; -o changes all. Beside the daemon \
        its polls go on.\n--json prints one document when all is done; --propose a file for conf.d, beside a config that has a \
        core and a site.\nExits 0 if units were found and nothing is wrong, 1 if not, 3 if the port cannot be used.")]
    Scan(ScanArgs),
    /// The frames on a bus
    #[command(subcommand)]
    Bus(BusCommand),
    /// What the queue holds, and what the core refused and is set aside
    #[command(subcommand)]
    Store(StoreCommand),
    /// What an author does with a plugin: begin it, build it, test it, look into it, run it over readings, measure it
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The plugins' process; started by `curb run`, never by hand
    #[command(hide = true)]
    PluginHost {
        /// Read debug information and tell all of a trap: for the tools of authors, never on a hub
        #[arg(long)]
        explain: bool,
    },
    /// The compiler of plugins; started by `curb run`, never by hand
    #[command(hide = true)]
    PluginCompile {
        /// As for the plugins' process
        #[arg(long)]
        explain: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting and where it comes from: file and line, profile, environment, --set, or the default
    #[command(after_help = "Examples:\n  curb config show\n  curb config show core\n  \
        curb config show device.meter --json | jq '.settings[] | {key, from}'\n\nWithout the comments it is a config file of its \
        own. Exits 1 if nothing is set at KEY, 2 if the settings cannot be used.")]
    Show {
        /// Only this setting, or those of this table
        #[arg(value_name = "KEY")]
        below: Option<String>,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BusCommand {
    /// Print frames as they pass, with time, direction, check sum and gap; alone it only listens
    #[command(after_help = "Examples:\n  curb bus dump cabinet\n  curb bus dump /dev/ttyUSB0 -b 19200 > line.dump\n\n\
        (12.345678) cabinet > 03 03 0000 0002 C5E9 ok gap 2.100ms\n\
        hub time of the first byte, bus, > from the hub or < to it, bytes, check sum (ok, bad; tcp; none of a talker), silence before it")]
    Dump(DumpArgs),
    /// Decode what `curb bus dump` printed; exits 1 if anything in it is wrong
    #[command(after_help = "Examples:\n  curb bus play line.dump\n  curb bus dump cabinet -C 20 | curb bus play -")]
    Play(PlayArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show what is set aside and why, and what waits, by stream; exits 1 if anything is set aside
    #[command(after_help = "Examples:\n  curb store show\n  curb store show --json | jq '.aside[].row'")]
    Show {
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Copy messages to a new file that only you can read, or to standard output, as JSON lines
    #[command(
        after_help = "Examples:\n  curb store export messages.jsonl\n  curb store export --aside refused.jsonl\n  \
        curb store export - | jq .stream\n\n\
        Nothing is taken out of the queue. What the policy denies now is left out; then the exit code is 1."
    )]
    Export {
        /// Only what is set aside
        #[arg(long)]
        aside: bool,
        /// The file; it must not be there yet. - is standard output
        file: PathBuf,
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Put messages that are set aside back into the queue, to be sent again as they are
    #[command(after_help = "Examples:\n  curb store release 17 18\n  curb store release --all\n\n\
        Exits 1 if one is not there, or the policy denies what is in it now.")]
    Release {
        #[command(flatten)]
        rows: StoreRows,
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Delete messages that are set aside. The core has been told that they will not come
    #[command(after_help = "Examples:\n  curb store drop 17\n  curb store drop --all\n\nExits 1 if one is not there.")]
    Drop {
        #[command(flatten)]
        rows: StoreRows,
        #[command(flatten)]
        at: StoreArgs,
    },
}

/// Which queue: the running daemon's, or, while none runs, that in the config's state folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) run_dir: RunDir,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which messages that are set aside.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct StoreRows {
    /// As `curb store show` lists them
    #[arg(value_name = "ROW", num_args = 1..=256)]
    pub(crate) rows: Vec<i64>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}

/// Where the settings come from. Later layers win: built-in defaults, the file, conf.d by name, CURB__SECTION__KEY from
/// the environment, --set.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(crate) config: PathBuf,
    /// The folder of drop-in files [default: conf.d beside the config file]
    #[arg(long, value_name = "DIR")]
    pub(crate) conf_d: Option<PathBuf>,
    /// One setting; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

impl ConfigArgs {
    /// The folder of drop-in files.
    pub(crate) fn conf_d(&self) -> PathBuf {
        self.conf_d.clone().unwrap_or_else(|| self.config.with_file_name("conf.d"))
    }
}

/// Where the control socket is.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunDir {
    /// The folder of the control socket [default: paths.run for the daemon, /run/curb for those who ask it]
    #[arg(long, value_name = "DIR", env = "CURB_RUN_DIR")]
    pub(crate) run_dir: Option<PathBuf>,
}

impl RunDir {
    /// The folder for a command that asks the daemon, which does not read the settings.
    pub(crate) fn path(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| PathBuf::from("/run/curb"))
    }
}
