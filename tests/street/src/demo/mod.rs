//! The demo: a street, the real binaries, a bad day, and the judge.
//!
//! `depot` makes the certificates, `curb` runs as a process of its own between the simulated devices and the core, and
//! `depot ingest` takes in what arrives. After 20 s the core goes away for 10 s; later `curb` is killed and started again.
//! At the end the judge holds what arrived against what the simulators served.

mod guest;
mod scene;
mod script;
mod settings;
mod table;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::daemon::Daemon;
pub(crate) use crate::demo::scene::Scene;
use crate::demo::scene::{HUB, SITE};
use crate::demo::script::{Script, Step};
use crate::demo::table::Table;
use crate::ingester::Ingester;
use crate::judge::{Accepted, Case, Ledger, Verdict, judge};
use crate::process::{Process, eventually};
use crate::{Core, CoreFiles, Error, clock};

pub use guest::Guest;
pub use script::{Length, ParseLengthError};

/// What a SIGKILL may cost: what is in the store's memory (`commit_every`, 1 s), and what is in the channels, in the plugins'
/// process and in one commit. The promise of gateway/ARCHITECTURE.md.
pub const WINDOW: Duration = Duration::from_secs(2);

/// How long `depot` may take for a certificate or a ledger.
const DEPOT: Duration = Duration::from_secs(20);
/// How long the ingester may take to subscribe.
const SUBSCRIBE: Duration = Duration::from_secs(20);
/// The core's clients: the hub and the ingester.
const BOTH: usize = 2;
/// How long hub and ingester may take to find the core after an outage of ten seconds.
const RECONNECT: Duration = Duration::from_secs(60);
/// The hub's settings of its core.
const CORE: &str = "reconnect_spread = \"1s\"";
/// How long `curb` stays dead: what would start it again is not instant either.
const DEAD: Duration = Duration::from_millis(300);

/// How the demo is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long.
    pub length: Length,
    /// The daemon.
    pub curb: PathBuf,
    /// The depot's tool.
    pub depot: PathBuf,
    /// The deadband plugin, a component.
    pub plugin: PathBuf,
    /// A plugin beside it that somebody has brought.
    pub guest: Option<Guest>,
}

/// What the demo came to.
#[derive(Debug)]
pub struct Outcome {
    /// The judge's word.
    pub verdict: Verdict,
    /// Where the logs are; they are kept if the verdict is not fine.
    pub folder: Option<PathBuf>,
}

/// Runs the demo on this terminal, or to the end of its script if it is none.
///
/// # Errors
/// A part cannot be started, or one of the binaries ends when it should not.
///
/// # Cancel safety
/// Dropping the future kills the processes and ends the simulators.
pub async fn run(options: Options) -> Result<Outcome, Error> {
    let folder = tempfile::Builder::new().prefix("curb-demo-").tempdir().map_err(Error::file("curb-demo"))?;
    let ended = play(options, folder.path()).await;
    match ended {
        Ok(verdict) if verdict.is_fine() => Ok(Outcome { verdict, folder: None }),
        Ok(verdict) => Ok(Outcome { verdict, folder: Some(folder.keep()) }),
        Err(error) => {
            tracing::error!(folder = %folder.keep().display(), "the demo's folder is kept");
            Err(error)
        }
    }
}

async fn play(options: Options, folder: &Path) -> Result<Verdict, Error> {
    let Options { length, curb, depot, plugin, guest } = options;
    let guest = guest.map(Guest::found).transpose()?;
    let mut table = Table::new(folder);
    table.say("certificates by depot init and depot hub add")?;
    let ca = certificates(&depot, folder).await?;
    let core = Core::start(CoreFiles {
        certificate: ca.join("core/core.crt"),
        key: ca.join("core/core.key"),
        roots: ca.join("core/roots.pem"),
        sessions: Some(folder.join("broker")),
    })?;
    let url = format!("mqtts://localhost:{}", core.address().port());
    table.say(&format!("core: MQTT 5 broker on {url}, mutual TLS; reference ingester"))?;
    let ingester = Ingester::start(&depot, &url, &ca, folder)?;
    eventually(SUBSCRIBE, "the ingester subscribe", &[ingester.process()], || (core.subscribers() > 0).then_some(()))
        .await?;

    let scene = Scene::put_up(folder)?;
    table.say(&scene.describe())?;
    let config = folder.join("curb.toml");
    let mut settings = scene.settings().to_toml(&url, CORE, &ca, folder, &plugin);
    if let Some(guest) = &guest {
        guest.check(scene.points())?;
        settings += &guest.to_toml();
        table.say(&format!("{} sees {}: the judge leaves these to the ledger", guest.name(), guest.points))?;
    }
    std::fs::write(&config, settings).map_err(Error::file(&config))?;
    let mut show = Show { curb: Daemon::start(&curb, &config, folder)?, ingester, core, table };
    let mut interrupt = Interrupt::new()?;
    show.follow(Script::new(length), &mut interrupt).await?;
    tokio::select! {
        ended = show.end() => ended?,
        () = interrupt.wait() => return Err(Error::Interrupted),
    }
    let Show { curb, ingester, mut table, .. } = show;

    table.say(&scene.describe_line())?;
    table.say("the judge: what arrived against what was served")?;
    let ledger = read_ledger(&depot, folder).await?;
    let (points, accepted, ledger) = guest::without(guest.as_ref(), scene.points(), ingester.accepted(), ledger);
    Ok(judge(&Case {
        points: &points,
        served: &scene.log().served(),
        accepted: &accepted,
        ledger: Some(&ledger),
        lives: curb.lives(),
        forgot_ms: &[],
        window: WINDOW,
        halts: &[],
    }))
}

/// Makes a site with one hub; the folder of its certificates.
pub(crate) async fn certificates(depot: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let ca = folder.join("ca");
    let ca_text = ca.to_string_lossy().into_owned();
    run_depot(depot, "init", &["init", "--site", SITE, "--dir", &ca_text, "--core-host", "localhost"], folder).await?;
    run_depot(depot, "hub-add", &["hub", "add", HUB, "--dir", &ca_text], folder).await?;
    Ok(ca)
}

/// What the core's ledger says.
pub(crate) async fn read_ledger(depot: &Path, folder: &Path) -> Result<Ledger, Error> {
    let db = folder.join("core.db").to_string_lossy().into_owned();
    // It exits with 1 if the ledger does not close; the judge says so in its own words.
    let arguments = ["ledger", "--db", &db, "--json"];
    let (_, printed) = Process::run("ledger", depot, arguments, folder, DEPOT).await?;
    let path = folder.join("ledger.out");
    Ledger::parse(&printed).map_err(|source| Error::Output { path, line: 1, source })
}

async fn run_depot(depot: &Path, name: &str, arguments: &[&str], folder: &Path) -> Result<(), Error> {
    let (ended, _) = Process::run(name, depot, arguments, folder, DEPOT).await?;
    if ended.success() {
        return Ok(());
    }
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    Err(Error::Failed { name: format!("depot {}", arguments.join(" ")), ended, log })
}

/// What runs while the demo runs.
#[derive(Debug)]
struct Show {
    curb: Daemon,
    ingester: Ingester,
    core: Core,
    table: Table,
}

impl Show {
    /// Goes through the script, with the table on the terminal, until its end or until somebody asks for it.
    async fn follow(&mut self, mut script: Script, interrupt: &mut Interrupt) -> Result<(), Error> {
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let begin = tokio::time::Instant::now();
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = interrupt.wait() => {
                    self.table.say("asked to end; once more ends at once, without the judge")?;
                    return Ok(());
                }
            }
            self.look()?;
            self.table.show(begin.elapsed(), clock::now_ms(), self.core.is_there())?;
            while let Some(step) = script.due(begin.elapsed(), self.core.connected() >= BOTH) {
                if step == Step::End {
                    return Ok(());
                }
                self.table.say(step.describe())?;
                self.step(step).await?;
            }
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::CoreGoes => self.core.go_away(),
            Step::CoreReturns => self.core.come_back()?,
            Step::Kill => {
                // At no particular moment between two polls.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1000))).await;
                self.curb.kill(DEAD).await?;
            }
            Step::End => {}
        }
        Ok(())
    }

    /// Takes in what has arrived, and sees to it that everybody is still there.
    fn look(&mut self) -> Result<(), Error> {
        self.ingester.look()?.iter().for_each(|message| self.table.take(message));
        self.curb.look()
    }

    /// Asks `curb` to end, waits for the last messages, then ends the ingester.
    async fn end(&mut self) -> Result<(), Error> {
        if !self.core.is_there() {
            self.core.come_back()?;
        }
        // What waits on a hub that ends without its core is not lost, but it is not here to be judged either.
        self.table.say("a clean stop of curb (SIGTERM), once it has found the core")?;
        let logs: Vec<&Process> = self.curb.process().into_iter().chain([self.ingester.process()]).collect();
        let connected = || (self.core.connected() >= BOTH).then_some(());
        eventually(RECONNECT, "curb and the ingester connect to the core", &logs, connected).await?;
        self.curb.stop().await?;
        let take = |fresh: &[Accepted]| {
            fresh.iter().for_each(|message| self.table.take(message));
            Ok(())
        };
        self.ingester.finish(take).await
    }
}

/// Ctrl-C, SIGTERM from whoever started the demo, or the terminal closed: the processes must not outlive it.
#[derive(Debug)]
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Terminal)?,
            terminate: signal(SignalKind::terminate()).map_err(Error::Terminal)?,
            hangup: signal(SignalKind::hangup()).map_err(Error::Terminal)?,
        })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
