//! `curb`: the edge gateway for street furniture.
//!
//! This file decides nothing: it reads the command line, starts the runtime, and hands over. `run` is the daemon,
//! `assemble` its only wiring, `config` its settings; `command` carries out what the core asks for; `ask`, `show` and `profiles`
//! have the commands that look, `stored` those about what the queue holds, `tools` those of the installer, `plugin` those of authors of plugins.

mod ask;
mod assemble;
mod cli;
mod clock;
mod command;
mod config;
mod control;
mod field;
mod fill;
mod fit;
mod log;
mod pace;
mod plugin;
mod private;
mod profiles;
mod reload;
mod renewal;
mod run;
mod secret;
mod show;
mod signals;
mod spool;
mod status;
mod stored;
mod tap;
mod tools;
mod turn;
mod usage;
mod who;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::ask::Shown;
use crate::cli::{BusCommand, CANNOT, Cli, Command, ConfigArgs, ConfigCommand, FINE, exit};
use crate::config::Sources;

/// What still blocks at the end is left behind after this: a name that is looked up cannot be called off, and name servers
/// that do not answer are asked for half a minute.
const LEFT_BEHIND: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let command = Cli::parse().command;
    // What an author makes is for whoever the author shares a machine with, and for the hub that it is copied to.
    if !matches!(command, Command::Plugin(_)) {
        private::begin();
    }
    if let Command::PluginHost { explain } | Command::PluginCompile { explain } = command
        && explain
    {
        curb_pipeline::explain_traps();
    }
    if matches!(command, Command::PluginHost { .. }) {
        return curb_pipeline::plugin_host();
    }
    if matches!(command, Command::PluginCompile { .. }) {
        return curb_pipeline::plugin_compile();
    }
    // One thread: the buses and the store have threads of their own, and a hub has few cores and little memory.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(act(command)).unwrap_or_else(|_output_is_gone| exit(FINE));
            runtime.shutdown_timeout(LEFT_BEHIND);
            code
        }
        Err(_) => exit(CANNOT),
    }
}

/// Does what the command line says. An error means that nobody reads our output any more.
async fn act(command: Command) -> io::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Run { config, run_dir } => Ok(run::run(config, run_dir.run_dir).await),
        Command::Check { config, hub, json } => ask::check(&config, hub.as_deref(), json, out),
        Command::Profiles { name, config, json } => profiles::profiles(&config, name.as_deref(), json, out),
        Command::Config(ConfigCommand::Show { below, config, json }) => {
            show::settings(&config, below.as_deref(), json, out)
        }
        Command::Schema => show::schema(out),
        Command::Status { run_dir, json, prometheus } => {
            let shown = match (json, prometheus) {
                (true, _) => Shown::Json,
                (false, true) => Shown::Prometheus,
                (false, false) => Shown::Text,
            };
            ask::status(&run_dir.path(), shown, out).await
        }
        Command::Reload { run_dir, json } => ask::reload(&run_dir.path(), json, out).await,
        Command::Tap { run_dir, points, count, wait, at, verbose, capture, json } => {
            let tap = ask::Tap { points, count, wait, at, verbose, capture, json };
            ask::tap(&run_dir.path(), tap, out).await
        }
        Command::Store(command) => stored::run(command, out).await,
        Command::Plugin(command) => plugin::run(command, out).await,
        Command::Read(args) => tools::finish(tools::read::run(&args, out).await, args.line.json, out),
        Command::Write(args) => tools::finish(tools::write::run(&args, out).await, args.line.json, out),
        Command::Ping(args) => tools::finish(tools::ping::run(&args, out).await, args.line.json, out),
        Command::Scan(args) => tools::finish(tools::scan::run(&args, out).await, args.line.json, out),
        Command::Bus(BusCommand::Dump(args)) => tools::finish(tools::dump::run(&args, out).await, args.line.json, out),
        Command::Bus(BusCommand::Play(args)) => tools::finish(tools::play::run(&args, out), args.json, out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "curb", out);
            Ok(exit(FINE))
        }
        Command::PluginHost { .. } | Command::PluginCompile { .. } => unreachable!("main has taken it"),
    }
}

/// Where these arguments say that the settings are.
fn sources(args: &ConfigArgs) -> Sources {
    Sources::new(&args.config).conf_d(args.conf_d()).environment(std::env::vars_os()).sets(args.sets.clone())
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
