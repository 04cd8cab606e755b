//! Code of components for the host: from the cache, or compiled in a process of its own ([`crate::host`]'s compiler).
//!
//! One component after another: a hub has few cores and little memory. A component that is too much for the compiler is refused
//! like one that is none, and costs nobody else anything.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::cache::{CODE_MAX, Cache, Place};
use crate::config::{COMPILER, EXPLAIN, Engine};
use crate::host::{CODE, Order, REFUSED, explains};
use crate::link::{Message, Slot};

/// What the compiler says when it dies is one line; a longer text is cut.
const LAST_WORDS: usize = 400;

/// A component whose code is wanted, and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) component: Arc<[u8]>,
    pub(crate) engine: Engine,
    pub(crate) memory: u64,
    /// How long compiling may take.
    pub(crate) time: Duration,
    /// How much memory it may take, in bytes.
    pub(crate) bytes: u64,
}

/// A component to be compiled, and what for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) recipe: Recipe,
    /// The plugin that waits for it. `None`: it is compiled ahead, and kept.
    pub(crate) slot: Option<Slot>,
}

/// Code, or why there is none.
pub(crate) type Compiled = Result<Vec<u8>, String>;

/// Compiles what is asked for, in order.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    /// One for each plugin that starts, and one for each that is to come.
    waiting: VecDeque<Job>,
    /// One at a time.
    at_work: JoinSet<(Job, Compiled)>,
    /// Jobs ahead that are not done.
    ahead: usize,
}

impl Workshop {
    pub(crate) fn want(&mut self, job: Job) {
        self.ahead += usize::from(job.slot.is_none());
        self.waiting.push_back(job);
    }

    /// Nobody is to be compiled ahead any more. One that is at work is done all the same.
    pub(crate) fn leave_ahead(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|job| job.slot.is_some());
        self.ahead -= before - self.waiting.len();
    }

    /// Whether something is still to be compiled ahead.
    pub(crate) const fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// The next job that is done; never, if there is none.
    ///
    /// # Cancel safety
    /// Cancel safe: what is at work goes on.
    pub(crate) async fn done(&mut self, program: &Path, cache: &Cache) -> (Job, Compiled) {
        if self.at_work.is_empty()
            && let Some(job) = self.waiting.pop_front()
        {
            let (program, cache) = (program.to_owned(), cache.clone());
            self.at_work.spawn(async move {
                let compiled = code(&program, cache, &job.recipe).await;
                (job, compiled)
            });
        }
        match self.at_work.join_next().await {
            Some(Ok(done)) => {
                self.ahead -= usize::from(done.0.slot.is_none());
                done
            }
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        }
    }
}

/// The code of a component.
async fn code(program: &Path, cache: Cache, recipe: &Recipe) -> Compiled {
    let Recipe { component, engine, memory, .. } = recipe.clone();
    let look = move || {
        let place = cache.place(engine, memory, &component);
        let code = place.as_ref().and_then(Place::code);
        (place, code)
    };
    // Some hundred KB are read and hashed: milliseconds on a small computer.
    let (place, kept) = spawn_blocking(look).await.unwrap_or((None, None));
    if let Some(code) = kept {
        return Ok(code);
    }
    let Ok(compiled) = timeout(recipe.time, compile(program, recipe)).await else {
        return Err(too_long(recipe.time));
    };
    let code = compiled?;
    let Some(place) = place else { return Ok(code) };
    let keep = move || {
        place.keep(&code);
        code
    };
    spawn_blocking(keep).await.map_err(|error| format!("its code was lost: {error}"))
}

/// # Cancel safety
/// Dropping the future kills the compiler.
async fn compile(program: &Path, recipe: &Recipe) -> Compiled {
    let mut child = Command::new(program)
        .arg(COMPILER)
        .args(explains().then_some(EXPLAIN))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the compiler cannot be started: {error}"))?;
    let order = Order {
        engine: recipe.engine,
        memory: recipe.memory,
        seconds: recipe.time.as_secs().max(1),
        bytes: recipe.bytes,
        component: recipe.component.to_vec(),
    };
    let (mut input, output, error) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    if let Some(input) = &mut input {
        // One that dies before it has read it all has said why, or its death does.
        input.write_all(&order.to_frame()).await.ok();
    }
    drop((input, order));
    let (mut answer, mut words) = (Vec::new(), Vec::new());
    tokio::join!(read(output, CODE_MAX + 2, &mut answer), read(error, LAST_WORDS, &mut words));
    if answer.len() > CODE_MAX + 1 {
        return Err(format!("its code has more than {CODE_MAX} bytes"));
    }
    let status = child.wait().await.map_err(|error| format!("the compiler is lost: {error}"))?;
    match answer.split_first() {
        Some((&CODE, _)) if status.success() => {
            answer.remove(0);
            Ok(answer)
        }
        Some((&REFUSED, text)) if status.success() => {
            Err(String::from_utf8_lossy(&text[..text.len().min(LAST_WORDS)]).into_owned())
        }
        _ => Err(death(status, &words, recipe)),
    }
}

/// What cannot be read is not there: the end of the process tells why.
async fn read(from: Option<impl AsyncRead + Unpin>, most: usize, to: &mut Vec<u8>) {
    if let Some(from) = from {
        from.take(most as u64).read_to_end(to).await.ok();
    }
}

fn too_long(time: Duration) -> String {
    format!("compiling it took longer than {time:?} (compile_time)")
}

/// What the end of the compiler means.
fn death(status: ExitStatus, words: &[u8], recipe: &Recipe) -> String {
    if let Some(libc::SIGXCPU | libc::SIGKILL) = status.signal() {
        return too_long(recipe.time);
    }
    let words = String::from_utf8_lossy(words);
    format!("the compiler, which may have {} bytes (compile_memory), died: {status}: {}", recipe.bytes, words.trim())
}
