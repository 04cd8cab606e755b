//! The command line: words in, one call out.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::ca;
use crate::error::{Error, Outcome};
use crate::ingest;
use crate::ledger;

const AFTER_HELP: &str = "\
Examples:
  depot init --site port-credit --dir ca --core-host core.city.example
  depot hub add lamp-0042 --dir ca
  depot ingest --url mqtts://core.city.example --db core.db \\
      --cert ca/core/ingest.crt --key ca/core/ingest.key --roots ca/core/roots.pem
  depot ledger --db core.db

Exit codes: 0 fine, 1 looked and found something wrong, 2 wrong usage, 3 cannot run, 4 not permitted.";

/// Certificates for a site's hubs, the reference ingester at the core, and the ledger that proves nothing is missing.
#[derive(Debug, Parser)]
#[command(name = "depot", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(InitArgs),
    /// Add and list hubs.
    #[command(subcommand)]
    Hub(HubCommand),
    Ingest(Box<IngestArgs>),
    Ledger(LedgerArgs),
    /// Write a completion script for a shell.
    #[command(after_help = "Example:\n  depot completions bash > /etc/bash_completion.d/depot")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Make a site's certificate authority, and the certificates of its broker and ingester
///
/// What it makes in DIR:
///   site.toml               the site's name
///   root/root.key              secret, not encrypted yet: move it off this machine
///   root/root.crt              the root certificate, 10 years
///   issuing/issuing.{key,crt}  what `hub add` signs with, 2 years
///   core/core.{key,crt}        the broker's key and certificate chain, 1 year
///   core/ingest.{key,crt}      the ingester's key and certificate chain, 1 year
///   core/roots.pem             what broker and ingester check others against
///
/// Nothing is ever overwritten.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  depot init --site port-credit --dir ca --core-host core.city.example --core-host 192.0.2.7"
)]
struct InitArgs {
    /// The site: [a-z0-9-], 32 characters at most. It stands in every certificate (O) and topic.
    #[arg(long)]
    site: String,
    /// Folder to make.
    #[arg(long, value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// A name or address under which hubs reach the broker; may be given several times.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    core_host: Vec<String>,
    /// One JSON object instead of text: {"v":1,"site","dir","core":{"key","certificate","roots"},"ingest":{…}}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum HubCommand {
    /// Make key, certificate and roots of a hub, ready to be copied to it.
    #[command(
        after_help = "Examples:\n  depot hub add lamp-0042 --dir ca\n  depot hub add lamp-0042 --dir ca --csr lamp-0042.csr"
    )]
    Add {
        /// The hub's name: [a-z0-9-], 32 characters at most. It becomes CN and DNS name of the certificate.
        name: String,
        /// The folder of `depot init`.
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Sign this request (PKCS#10, PEM) instead of making a key: then the key never leaves the hub. Only its public
        /// key is taken from it.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        csr: Option<PathBuf>,
        /// How long the certificate is good for.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=730))]
        days: u16,
        /// One JSON object instead of text: {"v":1,"hub","site","key","certificate","roots","not_after"}.
        #[arg(long)]
        json: bool,
    },
    /// List the hubs that were added, and until when their certificates are good.
    #[command(after_help = "Example:\n  depot hub list --dir ca")]
    List {
        /// The folder of `depot init`.
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// One JSON object per line: {"v":1,"hub","site","certificate","not_after"}.
        #[arg(long)]
        json: bool,
    },
}

/// Take what the hubs send off the broker, once each, into a database
///
/// A message is acknowledged to the broker after it is committed here, and the hub gets a
/// receipt; one that comes twice is counted and not stored. What cannot be read goes to the
/// table `refused` with the reason. Ends at SIGTERM or Ctrl-C; killed at any moment it loses
/// nothing and doubles nothing, within what the broker queues (mosquitto: max_queued_messages).
///
/// With --json one line per accepted message on stdout, after its commit:
///   received_ms  when it was committed, UTC in milliseconds since 1970
///   site, hub, run, stream, seq   its identity
///   duplicate    true: it was held already, and counted
///   readings     a list; empty for run, gap and clock records. Each has
///     point      "device/point"
///     value      number, bool or text (bytes as "0x…"); null where the reading is bad
///     unit       null where the hub gave none
///     quality    "good", "uncertain:<reason>" or "bad:<reason>"
///     time_ms    when it was read; null while the hub's clock was not trusted
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  depot ingest --url mqtts://core.city.example --db core.db \\\n      --cert ca/core/ingest.crt --key ca/core/ingest.key --roots ca/core/roots.pem"
)]
struct IngestArgs {
    /// The broker: mqtts://HOST[:PORT], port 8883 if none is given.
    #[arg(long)]
    url: String,
    /// The database: a file (SQLite; made if it is not there), or postgres://USER[:PASSWORD]@HOST/DATABASE on this machine.
    #[arg(long, value_name = "FILE|URL", value_hint = ValueHint::FilePath)]
    db: String,
    /// The ingester's certificate chain, PEM.
    #[arg(long, value_hint = ValueHint::FilePath)]
    cert: PathBuf,
    /// Its private key, PEM.
    #[arg(long, value_hint = ValueHint::FilePath)]
    key: PathBuf,
    /// The roots that the broker's certificate must come from, PEM. No other root is trusted.
    #[arg(long, value_hint = ValueHint::FilePath)]
    roots: PathBuf,
    /// Only this site's hubs.
    #[arg(long)]
    site: Option<String>,
    /// Share the work with other ingesters of this group, which have the same database: each message goes to one of them.
    #[arg(long, value_name = "NAME", requires = "name")]
    group: Option<String>,
    /// This ingester's name in its group: its own, and the same after a restart.
    #[arg(long, requires = "group")]
    name: Option<String>,
    /// Delete readings that are older, a day at least: 90d, 2y. The ledger's sums stay. Kept for ever if not given.
    #[arg(long, value_name = "AGE", value_parser = age)]
    keep: Option<Duration>,
    /// One JSON line per accepted message on stdout (see above); the log goes to stderr either way.
    #[arg(long)]
    json: bool,
}

/// Balance what the hubs said they read against what is held here.
///
/// For each hub, run and stream: read = delivered + filtered + refused + gap (by reason) + cut off (in the hub's memory
/// at a power cut) + waiting (on the hub, by its newest status) + unaccounted. It closes if nothing waits, nothing is
/// unaccounted and no message number is missing; where it does not, it says which side is wrong. Exit code 1 if the ledger
/// does not close.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  depot ledger --db core.db\n  depot ledger --db core.db --hub lamp-0042 --json")]
struct LedgerArgs {
    /// The database of `depot ingest`, which may be running.
    #[arg(long, value_name = "FILE|URL", value_hint = ValueHint::FilePath)]
    db: String,
    /// Only this hub.
    #[arg(long)]
    hub: Option<String>,
    /// One JSON object instead of tables; its form is described in provisioning/depot/LEDGER.md.
    #[arg(long)]
    json: bool,
}

/// Reads `--keep`. Less than a day is taken for a slip: what it deletes is gone.
fn age(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(86_400);
    let age = humantime::parse_duration(text).map_err(|error| format!("{error}; write 90d or 2y"))?;
    if age < LEAST { Err("at least a day: 1d".to_owned()) } else { Ok(age) }
}

/// Does what the command line says.
///
/// # Errors
/// See [`Error`].
pub(crate) fn run(cli: Cli, out: &mut dyn Write) -> Result<Outcome, Error> {
    match cli.command {
        Command::Init(args) => ca::init(&args.site, &args.dir, &args.core_host, args.json, out),
        Command::Hub(HubCommand::Add { name, dir, csr, days, json }) => {
            ca::add_hub(&name, &dir, csr.as_deref(), days, json, out)
        }
        Command::Hub(HubCommand::List { dir, json }) => ca::list_hubs(&dir, json, out),
        Command::Ingest(args) => {
            let config = ingest::Config {
                url: args.url,
                db: args.db,
                certificate: args.cert,
                key: args.key,
                roots: args.roots,
                site: args.site,
                keep: args.keep,
                member: args.group.zip(args.name),
                json: args.json,
            };
            ingest::run(config)
        }
        Command::Ledger(args) => ledger::run(args.db, args.hub.as_deref(), args.json, out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "depot", &mut &mut *out);
            Ok(Outcome::Fine)
        }
    }
}
