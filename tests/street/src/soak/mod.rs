//! The soak: the demo's street, and SIGKILL for the daemon, its plugin host and the broker at random moments.
//!
//! Everything is real: `curb run`, its plugin host, `depot ingest`, and a broker that we did not write, which remembers
//! nothing. When the killing is over and all that waited is at the core, the ledger must close and the judge must know
//! each reading that is missing: read within the window before a SIGKILL of the daemon, or while it was down.
//!
//! Deliberately absent: kills of the ingester (the depot's own tests have them) and power cuts (the store's).

mod broker;
mod dice;
mod probe;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use self::broker::Broker;
pub use self::broker::{Kind, ParseKindError};
use self::dice::{Dice, Victim};
use self::probe::Probe;
pub use self::report::Report;
use crate::daemon::Daemon;
use crate::demo::{Interrupt, Scene, WINDOW, certificates, read_ledger};
use crate::ingester::{Ingester, QUIET};
use crate::judge::{Case, judge};
use crate::{Error, Process, clock};

/// How long `curb` stays dead: what would start it again is not instant either.
const DEAD: Duration = Duration::from_millis(100);
/// How long the hub may take with its back-log when the killing is over: reconnects of hub and ingester included.
const DRAIN: Duration = Duration::from_secs(120);
/// Readings that always wait: those of the last half second, whose receipt is on its way.
const WAITING: u64 = 60;
/// How long a tool may take.
const TOOL: Duration = Duration::from_secs(20);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(60);

/// The hub's settings of its core: it need not be considerate of others, and is not patient.
const CORE: &str = "reconnect_spread = \"100ms\"\nretry = \"1s\"\nkeep_alive = \"5s\"";

/// How the soak is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long there is killing.
    pub length: Span,
    /// What makes the moments.
    pub seed: u64,
    /// Which broker.
    pub broker: Kind,
    /// The daemon.
    pub curb: PathBuf,
    /// The depot's tool.
    pub depot: PathBuf,
    /// The deadband plugin, a component.
    pub plugin: PathBuf,
}

/// A time as people write it: `90`, `90s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of seconds, or one with s, m or h behind it")]
pub struct ParseSpanError;

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], 1),
            Some((at, 'm')) => (&text[..at], 60),
            Some((at, 'h')) => (&text[..at], 3600),
            _ => (text, 1),
        };
        let seconds = number.parse::<u64>().ok().filter(|count| *count > 0).and_then(|count| count.checked_mul(unit));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(ParseSpanError)
    }
}

/// Runs the soak. Ctrl-C ends the killing early, and the judge speaks all the same.
///
/// # Errors
/// A part cannot be started, or ends when nobody killed it.
///
/// # Cancel safety
/// Dropping the future kills the processes and ends the simulators.
pub async fn run(options: Options) -> Result<Report, Error> {
    let folder = tempfile::Builder::new().prefix("curb-soak-").tempdir().map_err(Error::file("curb-soak"))?;
    match play(options, folder.path()).await {
        Ok(report) if report.verdict.is_fine() => Ok(report),
        Ok(report) => Ok(Report { folder: Some(folder.keep()), ..report }),
        Err(error) => {
            tracing::error!(folder = %folder.keep().display(), "the soak's folder is kept");
            Err(error)
        }
    }
}

async fn play(options: Options, folder: &Path) -> Result<Report, Error> {
    let Options { length, seed, broker: kind, curb, depot, plugin } = options;
    say(&format!("soak: {} s of SIGKILL, seed {seed}, broker {kind}, in {}", length.0.as_secs(), folder.display()))?;
    let ca = certificates(&depot, folder).await?;
    let broker = Broker::start(kind, &ca, folder)?;
    let url = format!("mqtts://localhost:{}", broker.port);
    let ingester = Ingester::start(&depot, &url, &ca, folder)?;
    let scene = Scene::put_up(folder)?;
    let probe = Probe::start(folder)?;
    let config = folder.join("curb.toml");
    let settings = scene.settings().to_toml(&url, CORE, &ca, folder, &plugin);
    std::fs::write(&config, settings).map_err(Error::file(&config))?;
    let mut soak = Soak {
        curb: Daemon::start(&curb, &config, folder)?,
        ingester,
        broker,
        forgot_ms: Vec::new(),
        kills: Victim::ALL.map(|victim| (victim, 0)).into(),
        depot: &depot,
        folder,
    };
    let mut interrupt = Interrupt::new()?;
    let begin = Instant::now();
    soak.kill_for(length.0, Dice::new(seed), &mut interrupt).await?;
    let lasted = begin.elapsed();
    say("the killing is over: the back-log, then a clean stop of curb")?;
    let drained = tokio::select! {
        ended = soak.end() => ended?,
        () = interrupt.wait() => return Err(Error::Interrupted),
    };
    let ledger = read_ledger(&depot, folder).await?;
    let Soak { curb, ingester, forgot_ms, kills, broker, .. } = soak;
    let halts = probe.halts();
    let case = Case {
        points: scene.points(),
        served: &scene.log().served(),
        accepted: ingester.accepted(),
        ledger: Some(&ledger),
        lives: curb.lives(),
        forgot_ms: &forgot_ms,
        window: WINDOW,
        halts: &halts,
    };
    let verdict = judge(&case);
    let longest_halt_ms = halts.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    let (broker, fell, window, folder) = (kind, broker.fell, WINDOW, None);
    Ok(Report { seed, broker, lasted, kills, fell, drained, window, longest_halt_ms, verdict, folder })
}

/// What runs while there is killing.
#[derive(Debug)]
struct Soak<'a> {
    curb: Daemon,
    ingester: Ingester,
    broker: Broker,
    /// When the plugin host was killed.
    forgot_ms: Vec<i64>,
    kills: BTreeMap<Victim, u32>,
    depot: &'a Path,
    folder: &'a Path,
}

impl Soak<'_> {
    async fn kill_for(&mut self, length: Duration, mut dice: Dice, interrupt: &mut Interrupt) -> Result<(), Error> {
        let begin = Instant::now();
        let mut line = begin + LINE;
        loop {
            let (wait, victim) = dice.throw();
            if begin.elapsed() + wait >= length {
                return Ok(());
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = interrupt.wait() => return Ok(()),
            }
            if self.kill(victim).await? {
                *self.kills.entry(victim).or_default() += 1;
            }
            self.look()?;
            if Instant::now() >= line {
                line += LINE;
                self.tell(begin.elapsed())?;
            }
        }
    }

    /// Kills; whether there was anybody.
    async fn kill(&mut self, victim: Victim) -> Result<bool, Error> {
        match victim {
            Victim::Broker => self.broker.kill().await?,
            Victim::Host => {
                let host = self.curb.process().and_then(|curb| child(curb.id()?));
                let Some(host) = host else { return Ok(false) };
                // It may have ended meanwhile.
                if kill_process(host, Signal::KILL).is_err() {
                    return Ok(false);
                }
                self.forgot_ms.push(clock::now_ms());
            }
            Victim::Daemon => self.curb.kill(DEAD).await?,
        }
        Ok(true)
    }

    /// Takes in what has arrived, and sees to it that everybody is there.
    fn look(&mut self) -> Result<(), Error> {
        self.ingester.look()?;
        self.broker.look()?;
        self.curb.look()
    }

    fn tell(&self, elapsed: Duration) -> Result<(), Error> {
        let kills: Vec<String> =
            self.kills.iter().map(|(victim, count)| format!("{} {count}", victim.as_str())).collect();
        let fresh = self.ingester.accepted().iter().filter(|message| !message.duplicate);
        let readings: usize = fresh.map(|message| message.readings.len()).sum();
        say(&format!("{:>4} min · killed {} · {readings} readings arrived", elapsed.as_secs() / 60, kills.join(", ")))
    }

    /// Waits until nothing waits on the hub, asks it to end, and takes in the last messages. How long the first took.
    async fn end(&mut self) -> Result<Duration, Error> {
        let begin = Instant::now();
        let drained = timeout(DRAIN, async {
            while !self.is_drained().await? {
                sleep(QUIET / 3).await;
                self.look()?;
            }
            Ok::<_, Error>(())
        });
        match drained.await {
            Ok(drained) => drained?,
            Err(_) => {
                let others = [self.ingester.process(), self.broker.process()];
                let logs = self.curb.process().into_iter().chain(others).map(Process::tail).collect();
                return Err(Error::NotSeen { what: "an empty queue on the hub".to_owned(), deadline: DRAIN, logs });
            }
        }
        let drained = begin.elapsed();
        self.curb.stop().await?;
        self.ingester.finish(|_| self.broker.look()).await?;
        Ok(drained)
    }

    /// Whether the hub has nothing to say against its core, next to nothing waits there, and the core's ledger has no hole.
    async fn is_drained(&self) -> Result<bool, Error> {
        let run_dir = self.folder.join("run").to_string_lossy().into_owned();
        let arguments = ["status", "--json", "--run-dir", &run_dir];
        let (_, printed) = Process::run("status", self.curb.binary(), arguments, self.folder, TOOL).await?;
        // It prints none while the daemon is still starting.
        let status = serde_json::from_slice(&printed).ok();
        let at_rest = status.is_some_and(|Status { core, queue, faults }| {
            core.state == "connected" && queue.readings < WAITING && faults.iter().all(|fault| fault.subject != "core")
        });
        Ok(at_rest && read_ledger(self.depot, self.folder).await?.closes)
    }
}

/// What `curb status --json` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Status {
    core: CoreState,
    queue: Queue,
    faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    subject: String,
}

#[derive(Debug, Deserialize)]
struct CoreState {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Queue {
    readings: u64,
}

/// The first child of a process, if it has one.
fn child(parent: u32) -> Option<Pid> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: state, parent (proc(5)).
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.into_iter().find(|pid| is_child(pid) == Some(parent)).and_then(Pid::from_raw)
}

fn say(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    writeln!(out, "· {text}").and_then(|()| out.flush()).map_err(Error::Terminal)
}
