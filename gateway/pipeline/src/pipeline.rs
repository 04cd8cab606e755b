//! The front of the room, and the task behind it: waits for whatever happens next and hands it to [`Flow`].

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, HubClock, Name, PointSet};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cache::Cache;
use crate::compile::{Compiled, Job, Workshop};
use crate::config::{HostCommand, OnFailure, PluginConfig};
use crate::flow::{Flow, HostVerdict, Part};
use crate::gather::Gather;
use crate::health::{Board, Trouble};
use crate::policy::{Gate, Policy};
use crate::process::{Heard, Process};
use crate::stage::recipe;
use crate::{Config, Error, Health, Leaving, component, manifest};

/// Batches that wait for the next room. When so many do, no more are taken in, and the source feels it.
const OUTBOX: usize = 64;

/// The pause before a dead host is started again; it doubles with each death in a row, up to the longest.
const RESTART: Duration = Duration::from_millis(100);
const RESTART_LONGEST: Duration = Duration::from_secs(30);

/// A host that has lived this long is healthy: the next death starts counting anew.
const SETTLED: Duration = Duration::from_secs(60);

/// The running pipeline. Dropping it without [`Pipeline::join`] ends it with whatever is in it.
#[derive(Debug)]
pub struct Pipeline {
    tasks: JoinSet<()>,
    setup: watch::Sender<Arc<Setup>>,
    linger: watch::Sender<Duration>,
    board: Board,
}

/// A configuration, as the task takes it.
#[derive(Debug)]
struct Setup {
    parts: Vec<Part>,
    points: PointSet,
    host: HostCommand,
    cache: Cache,
    policy: Policy,
    state_every: Duration,
    bundles: Option<PathBuf>,
}

impl Pipeline {
    /// Starts it, and reads the component files. A plugin whose component cannot be read, does not compile or refuses its
    /// settings is a fault in [`Pipeline::health`] and falls under its `on_failure`; it does not keep the hub from
    /// starting.
    ///
    /// `points` are those of all devices: a plugin sees the ones that its globs name. `states` is what earlier runs gave out as
    /// [`Leaving::State`]. Must be called within a runtime.
    ///
    /// # Errors
    /// Two plugins have one name.
    pub fn start(
        config: Config,
        points: PointSet,
        clock: HubClock,
        states: BTreeMap<Name, Arc<[u8]>>,
        input: mpsc::Receiver<Batch>,
        output: mpsc::Sender<Leaving>,
    ) -> Result<Self, Error> {
        let (setup, changes) = watch::channel(Arc::new(Setup::new(config, points)?));
        let board = Board::default();
        let flow = Flow::new(clock, board.clone(), states);
        let linger = watch::Sender::new(Duration::ZERO);
        let ends = Ends { changes, linger: linger.subscribe(), input, output };
        let mut tasks = JoinSet::new();
        tasks.spawn(run(flow, board.clone(), ends));
        Ok(Self { tasks, setup, linger, board })
    }

    /// Changes to `config` and `points`, and reads the component files again. Plugins that are the same in both go on
    /// undisturbed; a changed `host` counts from the next start of the host. Takes effect when what is new is compiled, so that
    /// no reading waits for that.
    ///
    /// # Errors
    /// Two plugins have one name; nothing changes.
    pub fn apply(&self, config: Config, points: PointSet) -> Result<(), Error> {
        let setup = Setup::new(config, points)?;
        drop(self.setup.send_replace(Arc::new(setup)));
        Ok(())
    }

    /// From here on readings wait for this long, in memory only, so that those of a stream leave in one message. Zero at
    /// first. Alarms never wait.
    pub fn linger(&self, linger: Duration) {
        self.linger.send_if_modified(|now| std::mem::replace(now, linger) != linger);
    }

    /// The points that plugins have declared so far, for the table of points.
    #[must_use]
    pub fn points(&self) -> PointSet {
        self.board.points()
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.board.health(Instant::now())
    }

    /// Ends after the input has ended and everything was passed on, or `on_failure` has decided about it: within some
    /// seconds if plugins do not answer.
    ///
    /// # Panics
    /// If the task has: a broken promise of this room.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future ends the pipeline with whatever is in it.
    pub async fn join(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

impl Setup {
    fn new(config: Config, points: PointSet) -> Result<Self, Error> {
        let mut names = HashSet::new();
        if let Some(twice) = config.plugins.iter().find(|plugin| !names.insert(&plugin.name)) {
            return Err(Error::DuplicatePlugin { name: twice.name.clone() });
        }
        let parts = config.plugins.iter().cloned().map(part);
        let Config { host, cache, bundles, policy, state_every, plugins: _ } = config;
        let cache = Cache::at(cache);
        Ok(Self { parts: parts.collect(), points, host, cache, policy, state_every, bundles })
    }
}

/// The plugin, with its component's bytes or why there are none.
pub(crate) fn part(mut config: PluginConfig) -> Part {
    let component = component::read(&config.component, config.limits.component).map(Arc::from).map_err(|error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("cannot {error}{why}").into()
    });
    withhold(&mut config, &component);
    Part { config, component }
}

/// A plugin that withholds what it sees does so when it fails, too, whatever the operator has written. What cannot be read says
/// nothing: what must never leave the hub is the policy's affair.
fn withhold(config: &mut PluginConfig, component: &Result<Arc<[u8]>, Box<str>>) {
    let manifest = component.as_ref().ok().and_then(|bytes| manifest::read(bytes).ok().flatten());
    if config.on_failure == OnFailure::Pass && manifest.is_some_and(|manifest| manifest.withholds) {
        tracing::warn!(plugin = %config.name, "what the plugin sees must not leave the hub; on_failure is \"drop\"");
        config.on_failure = OnFailure::Drop;
    }
}

/// The host, or when to try for one.
#[derive(Debug)]
enum Host {
    None { not_before: Instant },
    Up { process: Box<Process>, since: Instant },
}

/// The task's ends of what joins it to the others.
struct Ends {
    changes: watch::Receiver<Arc<Setup>>,
    linger: watch::Receiver<Duration>,
    input: mpsc::Receiver<Batch>,
    output: mpsc::Sender<Leaving>,
}

/// What the task waits for.
enum Event {
    Batch(Option<Batch>),
    Setup(Option<Arc<Setup>>),
    Linger(Duration),
    Host(Heard),
    Compiled(Job, Compiled),
    /// The next room took something; `false`: it takes no more.
    Sent(bool),
    Time,
}

async fn run(flow: Flow, board: Board, ends: Ends) {
    let Ends { mut changes, mut linger, mut input, output } = ends;
    let setup = Arc::clone(&changes.borrow_and_update());
    let now = Instant::now();
    let mut task = Task {
        flow,
        board,
        setup,
        next: None,
        workshop: Workshop::default(),
        host: Host::None { not_before: now },
        ever_started: false,
    };
    let mut gate = Gate::default();
    gate.set(&task.setup.policy);
    let mut gather = Gather::default();
    task.configure(now);
    let (mut open, mut changeable) = (true, true);
    while !task.flow.is_drained() || !gather.is_empty() {
        task.tend_host().await;
        let wake = task.wake().into_iter().chain(gather.due()).min();
        let Task { flow, host, workshop, setup, .. } = &mut task;
        let event = tokio::select! {
            biased;
            // First, so that no flood of readings can put off a deadline.
            () = sleep_until_some(wake) => Event::Time,
            permit = output.reserve(), if gather.has_ready() => {
                let leaving = gather.next().expect("one is ready");
                Event::Sent(permit.map(|permit| permit.send(leaving)).is_ok())
            }
            heard = wait_host(host, &flow.to_host) => Event::Host(heard),
            (job, compiled) = workshop.done(&setup.host.exe, &setup.cache) => Event::Compiled(job, compiled),
            changed = changes.changed(), if changeable => {
                Event::Setup(changed.ok().map(|()| Arc::clone(&changes.borrow_and_update())))
            }
            Ok(()) = linger.changed(), if open => Event::Linger(*linger.borrow_and_update()),
            batch = input.recv(), if open && flow.outbox.len() < OUTBOX => Event::Batch(batch),
        };
        let now = Instant::now();
        match event {
            Event::Sent(true) => {}
            Event::Sent(false) => {
                tracing::error!("the room behind the pipeline is gone; what is in the pipeline is lost");
                break;
            }
            Event::Batch(Some(batch)) => task.flow.take_in(batch, now),
            Event::Batch(None) => {
                open = false;
                gather.set(Duration::ZERO, now);
                task.flow.close(now);
            }
            Event::Setup(None) => changeable = false,
            Event::Setup(Some(setup)) => {
                // What may leave the hub waits for nothing.
                gate.set(&setup.policy);
                task.prepare(setup);
            }
            Event::Compiled(Job { slot: Some(slot), .. }, compiled) => {
                task.flow.compiled(slot, compiled, now);
                task.end_idle_host(now).await;
            }
            // If there is no code, it says so when the plugin is to start.
            Event::Compiled(Job { slot: None, .. }, _) => {}
            Event::Linger(linger) => gather.set(linger, now),
            Event::Host(heard) => {
                task.host(heard, now).await;
                // The last plugin may have had its last word.
                task.end_idle_host(now).await;
            }
            Event::Time => {
                gather.tick(now);
                task.time(now).await;
            }
        }
        task.change(now).await;
        // What is ready goes first: so no more waits behind the gate than one batch can bring.
        while !gather.has_ready()
            && let Some(leaving) = task.flow.outbox.pop_front()
        {
            match leaving {
                Leaving::Batch(mut batch) => {
                    gate.pass(&mut batch);
                    gather.take(batch, now);
                    task.board.lock().refused = gate.refused;
                }
                Leaving::Bundle(mut bundle) => {
                    bundle.leave_out(gate.policy());
                    gather.pass(Leaving::Bundle(bundle));
                }
                Leaving::State { .. } | Leaving::Forget { .. } => gather.pass(leaving),
            }
        }
    }
    if let Host::Up { process, .. } = task.host {
        process.end().await;
    }
    task.board.lock().host_pid = None;
}

/// Everything that the task owns beside its channels.
struct Task {
    flow: Flow,
    board: Board,
    setup: Arc<Setup>,
    /// What to change to, when all that is new in it is compiled.
    next: Option<Arc<Setup>>,
    workshop: Workshop,
    host: Host,
    ever_started: bool,
}

impl Task {
    /// Has compiled what is new in `setup`; then [`Task::change`] changes to it.
    fn prepare(&mut self, setup: Arc<Setup>) {
        self.workshop.leave_ahead();
        let recipes = |setup: &Setup| {
            let recipe = |part: &Part| part.component.as_ref().ok().map(|component| recipe(&part.config, component));
            setup.parts.iter().filter_map(recipe).collect::<Vec<_>>()
        };
        let known = recipes(&self.setup);
        for recipe in recipes(&setup).into_iter().filter(|recipe| !known.contains(recipe)) {
            self.workshop.want(Job { recipe, slot: None });
        }
        self.next = Some(setup);
    }

    async fn change(&mut self, now: Instant) {
        if !self.workshop.is_ahead()
            && let Some(setup) = self.next.take()
        {
            self.setup = setup;
            self.configure(now);
            self.end_idle_host(now).await;
        }
        for (slot, recipe) in self.flow.to_compile.drain(..) {
            self.workshop.want(Job { recipe, slot: Some(slot) });
        }
    }

    fn configure(&mut self, now: Instant) {
        self.flow.state_every = self.setup.state_every;
        self.flow.bundles.clone_from(&self.setup.bundles);
        self.flow.configure(self.setup.parts.clone(), &self.setup.points, now);
    }

    /// Starts a host if one is wanted and it is time.
    async fn tend_host(&mut self) {
        let now = Instant::now();
        let Host::None { not_before } = self.host else {
            return;
        };
        if not_before > now || !self.flow.wants_host() {
            return;
        }
        match Process::start(&self.setup.host).await {
            Ok(process) => {
                self.tell_started(process.pid(), now);
                self.ever_started = true;
                self.host = Host::Up { process: Box::new(process), since: now };
                self.flow.host_started(now);
                self.change(now).await;
            }
            Err(error) => self.host_is_gone(format!("cannot be started: {error}"), now),
        }
    }

    fn tell_started(&self, pid: Option<u32>, now: Instant) {
        let mut sheet = self.board.lock();
        sheet.host_pid = pid;
        if let Some(trouble) = &mut sheet.host_trouble {
            (trouble.word, trouble.over) = ("host-restarted", Some(now));
            tracing::info!(word = "host-restarted", "the plugin host runs again");
        }
        if self.ever_started {
            sheet.restarts += 1;
        }
    }

    /// Ends the host if the last plugin is gone.
    async fn end_idle_host(&mut self, now: Instant) {
        if self.flow.wants_host() {
            return;
        }
        if let Host::Up { process, .. } = std::mem::replace(&mut self.host, Host::None { not_before: now }) {
            self.flow.host_ended(now);
            process.end().await;
            self.board.lock().host_pid = None;
        }
    }

    fn wake(&self) -> Option<Instant> {
        let host = match &self.host {
            Host::None { not_before } => self.flow.wants_host().then_some(*not_before),
            Host::Up { since, .. } => (self.flow.host_deaths() > 0).then(|| *since + SETTLED),
        };
        self.flow.wake().into_iter().chain(host).min()
    }

    async fn host(&mut self, heard: Heard, now: Instant) {
        let Host::Up { process, .. } = &mut self.host else {
            return;
        };
        let gone = match heard {
            Heard::Took(n) => {
                self.flow.to_host.drain(..n);
                return;
            }
            Heard::Gone => "died".to_owned(),
            Heard::Something => loop {
                match process.next_message() {
                    Ok(Some(message)) => self.flow.heard(message, now),
                    Ok(None) => return,
                    Err(error) => break format!("was killed: failed to {error}"),
                }
            },
        };
        self.kill(gone, now).await;
    }

    async fn time(&mut self, now: Instant) {
        if let Host::Up { since, .. } = &self.host
            && *since + SETTLED <= now
        {
            self.flow.host_settled();
        }
        if self.flow.time(now) == HostVerdict::Kill {
            self.kill("gave no answer, and was killed".to_owned(), now).await;
        }
    }

    async fn kill(&mut self, why: String, now: Instant) {
        if let Host::Up { process, .. } = std::mem::replace(&mut self.host, Host::None { not_before: now }) {
            process.kill().await;
            self.host_is_gone(why, now);
        }
    }

    fn host_is_gone(&mut self, why: String, now: Instant) {
        tracing::error!(word = "host-down", reason = why, "the plugin host is gone");
        self.flow.host_died(now);
        let doublings = self.flow.host_deaths().saturating_sub(1);
        let pause = RESTART.saturating_mul(2u32.saturating_pow(doublings)).min(RESTART_LONGEST);
        self.host = Host::None { not_before: now + pause };
        let mut sheet = self.board.lock();
        sheet.host_pid = None;
        sheet.host_trouble = Some(Trouble { word: "host-down", detail: why, over: None });
    }
}

async fn wait_host(host: &mut Host, to_host: &[u8]) -> Heard {
    match host {
        Host::Up { process, .. } => process.wait(to_host).await,
        Host::None { .. } => std::future::pending().await,
    }
}

async fn sleep_until_some(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
