//! The arguments that the field tools share. Letters are mbpoll's where mbpoll has them.

use std::time::Duration;

use clap::Args;
use curb_source::{Order, Parity};

use super::notation::{self, Kind, Units};
use crate::cli::{ConfigArgs, RunDir};

/// Which line, and how to get there.
#[derive(Debug, Clone, Args)]
pub(crate) struct LineArgs {
    /// Baud rate, where it is not the config's [default: 9600]
    #[arg(short = 'b', long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) baud: Option<u32>,
    /// Parity: none, even or odd, where it is not the config's [default: even]
    #[arg(short = 'P', long, value_name = "PARITY", value_parser = notation::parity)]
    pub(crate) parity: Option<Parity>,
    /// Stop bits: 1 or 2, where it is not the config's [default: 1]
    #[arg(short = 's', long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) stop: Option<u8>,
    /// Frames at a host:port that no config has: tcp, or rtu behind a serial server
    #[arg(short = 'm', long, value_name = "MODE", default_value = "tcp", value_parser = ["tcp", "rtu"])]
    pub(crate) mode: String,
    /// How long to wait for an answer: "300ms", or seconds; at most 60 s, beside the daemon 5 s [default: the config's]
    #[arg(short = 'o', long, value_name = "TIME", value_parser = notation::seconds)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) run_dir: RunDir,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

impl LineArgs {
    /// Whether the line is to have other settings than its own.
    pub(crate) const fn resets_line(&self) -> bool {
        self.baud.is_some() || self.parity.is_some() || self.stop.is_some()
    }
}

/// `curb read`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadArgs {
    /// A bus of the config, a port (/dev/ttyUSB0) or host:port; or DEVICE or DEVICE/POINT of the config
    pub(crate) target: String,
    /// Units: 3, 1-20 or 1,2,3
    #[arg(short = 'a', long = "unit", value_name = "UNITS", value_parser = notation::units)]
    pub(crate) units: Option<Units>,
    /// First register, as holding:100; a bare number is mbpoll's, from 1 in the table of -t (0, 1, 3 or 4)
    #[arg(short = 'r', long = "register", value_name = "REGISTER")]
    pub(crate) register: Option<String>,
    /// How many values
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub(crate) count: u16,
    /// Type: bool u8 i8 u16 i16 u24 i24 u32 i32 u64 i64 f32 f64 bcd16 bcd32 bcd64 text:N; or mbpoll's 0, 1, 3, 4, 4:int, 4:float
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = notation::kind)]
    pub(crate) kind: Option<Kind>,
    /// Order of bytes: ABCD, CDAB, BADC or DCBA
    #[arg(short = 'B', long, value_name = "ORDER", default_value = "ABCD", value_parser = notation::order)]
    pub(crate) order: Order,
    /// Bare numbers of -r count from 0
    #[arg(short = '0')]
    pub(crate) from_zero: bool,
    /// Read once, which is what happens without -l
    #[arg(short = '1', conflicts_with = "every")]
    pub(crate) once: bool,
    /// Read again and again, this often: "2s", or milliseconds
    #[arg(short = 'l', long = "every", value_name = "TIME", value_parser = notation::millis)]
    pub(crate) every: Option<Duration>,
    /// What a person reads on the device's display: lists the addresses, types and orders that give it
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["every", "kind", "count"], allow_negative_numbers = true)]
    pub(crate) guess: Option<super::guess::Shown>,
    #[command(flatten)]
    pub(crate) line: LineArgs,
}

/// `curb write`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WriteArgs {
    /// DEVICE/POINT that the config grants; with --setting a device, with --raw a bus, a port or host:port
    pub(crate) target: String,
    /// What to write: a number, true or false, a text or a name. With --raw several numbers
    #[arg(required = true, allow_negative_numbers = true)]
    pub(crate) values: Vec<String>,
    /// A setting that wears the device with each write, to the value that the config gives it; only with the daemon stopped
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    pub(crate) setting: Option<String>,
    /// Registers instead of a point: past all grants, so only with the daemon stopped
    #[arg(long, requires_all = ["unit", "register"])]
    pub(crate) raw: bool,
    /// The unit, with --raw
    #[arg(short = 'a', long, requires = "raw", value_parser = clap::value_parser!(u8))]
    pub(crate) unit: Option<u8>,
    /// holding:N or coil:N, with --raw
    #[arg(short = 'r', long, requires = "raw")]
    pub(crate) register: Option<String>,
    /// Type, with --raw
    #[arg(short = 't', long = "type", value_name = "TYPE", requires = "raw", value_parser = notation::kind)]
    pub(crate) kind: Option<Kind>,
    /// Write also where no record of it can be kept: this machine has no state folder of curb's, or it is not yours
    #[arg(long)]
    pub(crate) unrecorded: bool,
    /// Order of bytes, with --raw
    #[arg(short = 'B', long, value_name = "ORDER", default_value = "ABCD", value_parser = notation::order)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) line: LineArgs,
}

/// `curb ping`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PingArgs {
    /// A device of the config; with -a a bus, a port or host:port
    pub(crate) target: String,
    /// The unit, where the target is a bus
    #[arg(short = 'a', long, value_parser = clap::value_parser!(u8))]
    pub(crate) unit: Option<u8>,
    /// What to ask for [default: the device's first point, or holding:0]
    #[arg(short = 'r', long)]
    pub(crate) register: Option<String>,
    /// How many requests
    #[arg(short = 'c', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Time between two requests: "1s", or seconds
    #[arg(short = 'i', long, value_name = "TIME", default_value = "1", value_parser = notation::seconds)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) line: LineArgs,
}

/// `curb bus dump`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DumpArgs {
    /// A bus of the config, a port or host:port
    pub(crate) bus: String,
    /// End after this many frames
    #[arg(short = 'C', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// End after this long, with exit code 1 if fewer than --count frames came
    #[arg(short = 'W', long, value_name = "TIME", value_parser = notation::seconds)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) line: LineArgs,
}

/// `curb bus play`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlayArgs {
    /// What `curb bus dump` printed; - is standard input
    pub(crate) file: std::path::PathBuf,
    /// Show registers only, without the names and types of the config
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `curb scan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScanArgs {
    /// A bus of the config, a port (/dev/ttyUSB0) or host:port
    pub(crate) bus: String,
    /// Only these units
    #[arg(short = 'a', long = "unit", value_name = "UNITS", value_parser = notation::units)]
    pub(crate) units: Option<Units>,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = notation::seconds)]
    pub(crate) budget: Duration,
    /// Print what was found as a config, all else as comments
    #[arg(long, conflicts_with = "json")]
    pub(crate) propose: bool,
    #[command(flatten)]
    pub(crate) line: LineArgs,
}
