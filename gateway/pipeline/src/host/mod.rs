//! The plugin host: a child process that holds no key and no network, runs plugins, and is expected to die.
//!
//! It reads questions from its standard input and writes answers to its standard output ([`crate::link`]). Each plugin
//! has a thread, an engine and an instance of its own, so that one which spins delays nobody else. It decides nothing:
//! what an answer means, and what to do when there is none, is the parent's.
//!
//! Two more things that only run in processes of their own are here: the compiler ([`compile`]), and what both give up before
//! they read their first byte ([`confine`]). Deliberately absent: WASI in any form, threads that outlive their plugin, and files.

mod alone;
mod bindings;
mod compile;
mod confine;
mod contract;
mod convert;
mod deserialize;
mod engine;
mod guest;
mod plugin;
mod ticker;
mod why;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Error;
pub use crate::host::alone::{Alone, Instance, Rows};
pub use crate::host::compile::plugin_compile;
pub(crate) use crate::host::compile::{CODE, Order, REFUSED};
pub use crate::host::confine::confine;
pub(crate) use crate::host::engine::fingerprint;
pub(crate) use crate::host::guest::OWN_POINTS;
use crate::host::plugin::Question;
pub(crate) use crate::host::plugin::TICK_LEAST_MS;
pub use crate::host::plugin::measure::{Measured, measure};
use crate::host::ticker::Ticker;
pub use crate::host::why::explain_traps;
pub(crate) use crate::host::why::explains;
use crate::link::{FromHost, LinkError, Load, Message, Refusal, Slot, ToHost, read_frame};
use crate::manifest::{self, Manifest};

/// Questions that may wait for one plugin. The parent asks one at a time; a second place lets it unload a busy one.
const QUESTIONS: usize = 2;

/// Stack of a plugin's thread: 256 KiB of it are the guest's.
const STACK: usize = 4 << 20;

/// The body of `curb plugin-host`: serves until the end of standard input, or until the first who connects hangs up if standard
/// input is a socket that listens. Not for people; refuses a terminal.
#[must_use]
pub fn plugin_host() -> ExitCode {
    let input = io::stdin();
    if input.is_terminal() {
        return ExitCode::from(2);
    }
    match serve_parent() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the parent's; the host has no log of its own.
            let said = writeln!(io::stderr(), "plugin host failed to {error}: {:?}", std::error::Error::source(&error));
            drop(said);
            ExitCode::FAILURE
        }
    }
}

fn serve_parent() -> Result<(), LinkError> {
    let input = io::stdin();
    if !rustix::net::sockopt::socket_acceptconn(&input).unwrap_or(false) {
        confine()?;
        return serve(BufReader::new(input.lock()), io::stdout());
    }
    confine::give_up_the_rest()?;
    // Started by a service manager for whoever connects first. The next one gets another process.
    // As a file: of the calls that sockets have, none is left.
    let link = File::from(rustix::net::accept(&input).map_err(io::Error::from)?);
    let input = link.try_clone()?;
    confine::filter()?;
    serve(BufReader::new(input), link)
}

/// Serves one parent, until it ends the input.
///
/// # Errors
/// The parent's bytes make no sense, or cannot be read.
pub(crate) fn serve(mut input: impl Read, output: impl Write + Send + 'static) -> Result<(), LinkError> {
    let ticker = Ticker::start()?;
    let outlet = Outlet(Arc::new(Mutex::new(Box::new(output))));
    let mut plugins: HashMap<Slot, (SyncSender<Question>, JoinHandle<()>)> = HashMap::new();
    // Threads of unloaded plugins: each ends with its questions; a call in progress ends by its own limit.
    let mut leaving: Vec<JoinHandle<()>> = Vec::new();
    let result = loop {
        let message = match read_frame(&mut input) {
            Ok(Some(message)) => message,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let (slot, question) = match message {
            ToHost::Load(load) => {
                let slot = load.slot;
                if let Some(plugin) = start(*load, &ticker, &outlet)? {
                    plugins.insert(slot, plugin);
                }
                continue;
            }
            ToHost::Unload { slot } => {
                leaving.retain(|thread| !thread.is_finished());
                leaving.extend(plugins.remove(&slot).map(|(_, thread)| thread));
                continue;
            }
            ToHost::Reset { slot, state } => (slot, Question::Reset(state)),
            ToHost::Snapshot { slot } => (slot, Question::Snapshot),
            ToHost::Tick { slot, now } => (slot, Question::Tick(now)),
            ToHost::Finish { slot, now } => (slot, Question::Finish(now)),
            ToHost::Process { slot, now, columns } => (slot, Question::Process { now, columns }),
        };
        if let Some((questions, _)) = plugins.get(&slot)
            && questions.send(question).is_err()
        {
            // Its thread panicked: nothing here can be relied on. The parent starts another host.
            break Err(io::Error::other("a plugin's thread is gone").into());
        }
    };
    leaving.extend(plugins.into_values().map(|(_, thread)| thread));
    for thread in leaving {
        drop(thread.join());
    }
    ticker.stop();
    result
}

fn start(load: Load, ticker: &Ticker, outlet: &Outlet) -> io::Result<Option<(SyncSender<Question>, JoinHandle<()>)>> {
    let slot = load.slot;
    let engine = match engine::engine(load.engine, load.memory) {
        Ok(engine) => engine,
        Err(error) => {
            outlet.send(&FromHost::Refused { slot, refusal: Refusal::Component, text: format!("{error:#}") });
            return Ok(None);
        }
    };
    ticker.watch(&engine);
    let (questions, queue) = sync_channel(QUESTIONS);
    let name = format!("plugin {}", load.name);
    let (clock, outlet) = (ticker.clock(), outlet.clone());
    let thread = thread::Builder::new()
        .name(name)
        .stack_size(STACK)
        .spawn(move || plugin::run(load, &engine, &clock, &outlet, &queue))?;
    Ok(Some((questions, thread)))
}

/// The way to the parent, shared by all plugins' threads: one frame at a time.
#[derive(Clone)]
struct Outlet(Arc<Mutex<Box<dyn Write + Send>>>);

impl Outlet {
    /// When the parent is gone nobody is left to tell; the end of input then ends the host.
    fn send(&self, message: &FromHost) {
        let frame = message.to_frame();
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(output.write_all(&frame).and_then(|()| output.flush()));
    }
}

/// What a component is, as far as it shows without running it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// What it says of itself, if anything.
    pub manifest: Option<Manifest>,
    /// Whether it has state that outlives it.
    pub stateful: bool,
}

/// Whether the file is a component that a hub would run: not too large, of the right world, and it compiles. Runs
/// nothing of it.
///
/// # Errors
/// It is not, and why.
pub fn inspect(component: &Path) -> Result<Inspected, Error> {
    inspect_within(component, crate::Limits::default().component)
}

/// The same, of a component that may have so many bytes.
///
/// # Errors
/// It is none that a hub would run, and why.
pub fn inspect_within(component: &Path, limit: u64) -> Result<Inspected, Error> {
    let path = || PathBuf::from(component);
    let bytes = crate::component::read(component, limit)?;
    let engine = engine::engine(crate::Engine::default(), crate::Limits::default().memory)
        .map_err(|error| Error::Engine(error.into()))?;
    let compiled = wasmtime::component::Component::new(&engine, &bytes)
        .map_err(|source| Error::CompileComponent { path: path(), source: source.into() })?;
    let linked =
        plugin::link(&engine, &compiled).map_err(|source| Error::WrongWorld { path: path(), source: source.into() })?;
    let manifest = manifest::read(&bytes).map_err(|source| Error::Manifest { path: path(), source })?;
    Ok(Inspected { manifest, stateful: linked.is_stateful() })
}
