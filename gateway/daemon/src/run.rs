//! `curb run`: from settings to running rooms, and the loop that reacts until it is told to stop.
//!
//! The loop waits in one `select` and changes state in plain functions. It decides when something happens; the rooms know
//! how. Nothing here touches a reading.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curb_identity::Identity;
use curb_model::{Fault, HubClock, Name, PointSet, Room};
use curb_store::Store;
use curb_uplink::{Command, Uplink};
use curb_wire::record::ClockEvent;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::assemble::{self, Documents, Heritage, Rooms};
use crate::cli::{CANNOT, ConfigArgs, DENIED, FINE, USAGE, exit};
use crate::clock::{self, Verdict};
use crate::config::{Loaded, Problem, Settings, load_last_good, save_last_good};
use crate::control::{self, REQUEST_QUEUE, Request};
use crate::log::{self, FaultLog};
use crate::pace::Pace;
use crate::private;
use crate::renewal::{self, Watch};
use crate::secret::Secret;
use crate::signals::{Signals, Told, notify};
use crate::turn::{self, Turn};
use crate::usage::Keeper;
use crate::who;

/// The loop looks around this often: faults, the status document, the watchdog.
const TICK: Duration = Duration::from_secs(1);

/// A hub without a usable identity reads the files again this often although they are the same: the clock may say more now.
const IDENTITY_AGAIN: Duration = Duration::from_secs(60);

mod answer;
mod renew;
mod tell;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("use the settings: {0} problems, and this hub has no last good ones to fall back on")]
    Settings(usize),
    #[error("know the hub's name: {}", .0.detail)]
    Nameless(Fault),
    #[error("assemble the daemon")]
    Assemble(#[from] assemble::Error),
    #[error("draw the hub's secret")]
    Secret(#[from] getrandom::Error),
    #[error("open the control socket")]
    Control(#[from] control::Error),
}

impl Error {
    fn exit_code(&self) -> u8 {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
            if error.downcast_ref::<std::io::Error>().is_some_and(denied) {
                return DENIED;
            }
            cause = error.source();
        }
        match self {
            Self::Settings(_) => USAGE,
            Self::Nameless(_) | Self::Assemble(_) | Self::Secret(_) | Self::Control(_) => CANNOT,
        }
    }
}

/// Runs until SIGTERM.
pub(crate) async fn run(args: ConfigArgs, run_dir: Option<std::path::PathBuf>) -> ExitCode {
    let files = crate::sources(&args);
    let loaded = crate::config::load(&files);
    log::start(loaded.log.level, loaded.log.format);
    match Daemon::start(args, run_dir, loaded).await {
        Ok(daemon) => daemon.turn().await,
        Err(error) => {
            tracing::error!("failed to {}", crate::chain(&error));
            exit(error.exit_code())
        }
    }
}

/// The daemon at work.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) args: ConfigArgs,
    hub: Name,
    /// Tells tools that we run.
    _turn: Option<Turn>,
    pub(crate) settings: Settings,
    /// Why the files are not what runs, if so.
    pub(crate) refused: Option<Fault>,
    pub(crate) clock: HubClock,
    /// What the wall clock was worth at the last look.
    pub(crate) verdict: Verdict,
    /// When undated readings go out all the same.
    wait_until: Option<Instant>,
    pub(crate) identity: Result<Identity, Fault>,
    /// Of the files that the identity was made of.
    pub(crate) fingerprint: u64,
    /// Tells when those files have changed.
    pub(crate) watch: Watch,
    /// Why the files are not what runs, if so.
    pub(crate) unfit: Option<Fault>,
    pub(crate) rooms: Rooms,
    requests: mpsc::Receiver<Request>,
    /// The control socket's server.
    callers: JoinSet<()>,
    /// The taps that it serves, and those who watch a bus.
    taps: JoinSet<()>,
    /// Requests to buses and to the queue that wait for their answer; each has a caller, so that there are never more than callers.
    asking: JoinSet<()>,
    fault_log: FaultLog,
    started: Instant,
    pub(crate) looked_at_clock: Instant,
    looked_at_identity: Instant,
    published: Instant,
    pace: Pace,
    pub(crate) usage: Keeper,
}

/// What the loop reacts to.
enum Event {
    Told(Told),
    Request(Request),
    Command(Command),
    Tick,
}

impl Daemon {
    async fn start(args: ConfigArgs, run_dir: Option<std::path::PathBuf>, loaded: Loaded) -> Result<Self, Error> {
        let (loaded, refused) = usable(loaded)?;
        let mut settings = loaded.settings.clone().expect("usable settings have no problem");
        if let Some(run_dir) = run_dir {
            settings.paths.run = run_dir;
        }
        let first_look = clock::look(settings.clock.trust, &HubClock::starting_at(curb_model::HubTime::ZERO)).await;
        let watch = Watch::new(renewal::stamp(&who::files(&settings)));
        let identity = load_identity(&settings, first_look);
        let hub = who::name(&settings, &identity).map_err(Error::Nameless)?;
        let mut opened = assemble::open_store(&settings, &hub)?;
        let states = std::mem::take(&mut opened.states);
        let heritage = Heritage { states, secret: Secret::open(&settings.paths.state)? };
        private::take(&settings.paths.state);
        let clock = HubClock::starting_at(opened.hub_time);
        let verdict = clock::look(settings.clock.trust, &clock).await;
        let turn = turn::take(&settings.paths.state).await;
        let turn = turn.inspect_err(|error| tracing::warn!("failed to tell tools that a daemon runs: {error}")).ok();
        // Behind the store's lock: a second daemon on this state folder leaves no socket behind.
        let listener = control::listen(&settings.paths.run)?;
        let store = opened.begin(clock.clone()).map_err(assemble::Error::from)?;
        // Before anything is read: what the first polls bring has its time.
        let dated = take_clock(&store, &clock, &settings, verdict).await;
        let documents = Documents {
            status: watch::Sender::new(Arc::new(tell::document(&hub, &store.run().to_string()))),
            points: watch::Sender::new(Arc::new(tell::points(&hub, &settings, PointSet::default()))),
        };
        let rooms = assemble::start(&settings, &hub, store, heritage, &clock, documents)?;
        let (requests_in, requests) = mpsc::channel(REQUEST_QUEUE);
        let mut callers = JoinSet::new();
        callers.spawn(control::serve(listener, requests_in));
        let now = Instant::now();
        let mut daemon = Self {
            args,
            hub,
            _turn: turn,
            refused,
            clock,
            verdict,
            wait_until: (dated != Some(ClockEvent::Trusted)).then(|| now + settings.clock.wait),
            fingerprint: who::fingerprint(&settings),
            watch,
            unfit: None,
            identity,
            rooms,
            requests,
            callers,
            taps: JoinSet::new(),
            asking: JoinSet::new(),
            fault_log: FaultLog::default(),
            started: now,
            looked_at_clock: now,
            looked_at_identity: now,
            published: now,
            pace: Pace::new(settings.linger, now),
            usage: Keeper::open(&settings.paths.state, now),
            settings,
        };
        daemon.connect()?;
        if daemon.refused.is_none()
            && let Err(error) = save_last_good(&daemon.settings.paths.state, &loaded.merged)
        {
            tracing::warn!("failed to keep these settings as the last good ones: {}", crate::chain(&error));
        }
        tracing::info!(hub = %daemon.hub, site = %daemon.settings.hub.site, run = %daemon.rooms.store.run(), "runs");
        Ok(daemon)
    }

    /// Reacts until it is told to stop, then stops the rooms.
    async fn turn(mut self) -> ExitCode {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!("failed to listen for signals: {error}");
                return exit(CANNOT);
            }
        };
        self.tick().await;
        notify(&[sd_notify::NotifyState::Ready]);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                told = signals.next() => Event::Told(told),
                Some(request) = self.requests.recv() => Event::Request(request),
                Some(command) = self.rooms.commands.next() => Event::Command(command),
                _ = ticks.tick() => Event::Tick,
            };
            match event {
                Event::Told(Told::Stop) => break,
                Event::Told(Told::Reload) => {
                    let reloaded = self.reload().await;
                    for problem in &reloaded.problems {
                        tracing::warn!("{problem}");
                    }
                }
                Event::Request(request) => self.answer(request).await,
                Event::Command(command) => self.rooms.command(command),
                Event::Tick => self.tick().await,
            }
            while self.taps.try_join_next().is_some() || self.asking.try_join_next().is_some() {}
            if self.callers.try_join_next().is_some() {
                tracing::error!("the control socket is served no more: its server has ended");
            }
        }
        self.stop(signals).await
    }

    async fn stop(mut self, mut signals: Signals) -> ExitCode {
        // Now, for a kill while it stops, and with what the stop costs behind it.
        self.usage.keep();
        let (line, uplink) = (self.rooms.line_bytes(), self.rooms.uplink.as_ref().map(Uplink::watch));
        tracing::info!("stops: sends what waits, at most {:?}", self.settings.core.grace);
        notify(&[sd_notify::NotifyState::Stopping]);
        let stopping = self.rooms.stop(self.settings.core.grace);
        let code = tokio::select! {
            () = stopping => {
                tracing::info!("stopped");
                FINE
            }
            () = signals.stop_again() => {
                tracing::warn!("stopped at once by a second signal");
                CANNOT
            }
        };
        let line = uplink.map_or(line, |uplink| uplink.borrow().line_bytes);
        let utc = self.clock.offset().map(|offset| self.clock.now().utc_millis(offset) / 1_000);
        self.usage.look(line, utc, Instant::now());
        self.usage.keep();
        let socket = self.settings.paths.run.join(control::SOCKET);
        if let Err(error) = std::fs::remove_file(&socket) {
            tracing::debug!(%error, "the control socket was gone already");
        }
        exit(code)
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.looked_at_clock + clock::period(self.settings.clock.trust) {
            self.looked_at_clock = now;
            let verdict = clock::look(self.settings.clock.trust, &self.clock).await;
            self.take_clock(verdict).await;
        }
        if self.wait_until.is_some_and(|until| now >= until) {
            self.wait_until = None;
            tracing::warn!("the clock is still not trusted: readings go out undated");
            self.rooms.store.release_undated().await.ok();
        }
        let changed = self.watch.look(renewal::stamp(&who::files(&self.settings)));
        if changed || (self.identity.is_err() && now >= self.looked_at_identity + IDENTITY_AGAIN) {
            self.looked_at_identity = now;
            if let Err(error) = self.renew().await {
                tracing::error!("failed to {}", crate::chain(&error));
            }
        }
        self.look_at_the_line(now);
        let faults = self.faults();
        self.fault_log.update(&faults);
        self.publish(now, &faults);
        let sentence = self.report(&faults).sentence();
        notify(&[sd_notify::NotifyState::Watchdog, sd_notify::NotifyState::Status(&sentence)]);
    }

    /// Tells what changed about the wall clock to the clock, the store and the core.
    pub(crate) async fn take_clock(&mut self, verdict: Verdict) {
        self.verdict = verdict;
        if take_clock(&self.rooms.store, &self.clock, &self.settings, verdict).await == Some(ClockEvent::Trusted) {
            self.wait_until = None;
        }
    }

    /// Starts the uplink, if the hub has an identity and no uplink runs.
    pub(crate) fn connect(&mut self) -> Result<(), assemble::Error> {
        let (Ok(identity), None) = (&self.identity, &self.rooms.uplink) else {
            return Ok(());
        };
        if identity.hub != self.hub {
            // The queue is numbered and frozen under the old name.
            let detail = format!("the certificate names {}, the queue is {}'s: restart curb", identity.hub, self.hub);
            self.identity = Err(fault(Room::Identity, "certificate", "hub-renamed", detail));
            return Ok(());
        }
        who::remember(&self.settings, &self.hub);
        self.rooms.start_uplink(&self.settings.core, identity, hub_up())
    }
}

/// Tells what changed about the wall clock to the clock, the store and the core; what that was.
async fn take_clock(store: &Store, clock: &HubClock, settings: &Settings, verdict: Verdict) -> Option<ClockEvent> {
    let before = clock.offset();
    let offset = match verdict {
        Verdict::Trusted(offset) => Some(offset),
        Verdict::Unsynchronised | Verdict::BeforeFloor => None,
    };
    clock.set_offset(offset);
    let event = clock::change(before, verdict)?;
    let word = clock::trust_word(settings.clock.trust);
    if store.clock_record(event, clock.now(), offset, word).await.is_err() {
        return None;
    }
    match event {
        ClockEvent::Trusted => {
            tracing::info!(trust = word, "the clock is trusted: {}", clock::wall_text());
            store.release_undated().await.ok();
        }
        ClockEvent::Stepped => tracing::warn!("the wall clock jumped to {}", clock::wall_text()),
        ClockEvent::Lost => tracing::warn!("the clock is no longer trusted"),
    }
    Some(event)
}

/// The settings of the files, or the last good ones with the fault that says so.
fn usable(loaded: Loaded) -> Result<(Loaded, Option<Fault>), Error> {
    for warning in loaded.warnings.iter().cloned().chain(loaded.too_full.iter().map(Problem::as_warning)) {
        tracing::warn!("{warning}");
    }
    if loaded.settings.is_some() {
        return Ok((loaded, None));
    }
    for problem in &loaded.problems {
        tracing::error!("{problem}");
    }
    let count = loaded.problems.len();
    let good = match load_last_good(&loaded.paths.state) {
        Ok(good) => good.filter(|good| good.settings.is_some()),
        Err(error) => {
            tracing::error!("failed to {}", crate::chain(&error));
            None
        }
    };
    let good = good.ok_or(Error::Settings(count))?;
    let detail = format!("{count} problems in the files: the last good settings run. `curb check` shows them");
    Ok((good, Some(fault(Room::Config, "settings", "config-refused", detail))))
}

pub(crate) fn load_identity(settings: &Settings, verdict: Verdict) -> Result<Identity, Fault> {
    let now: Option<SystemTime> = match verdict {
        Verdict::Trusted(_) => Some(UNIX_EPOCH + clock::wall()),
        Verdict::Unsynchronised | Verdict::BeforeFloor => None,
    };
    curb_identity::load(&who::files(settings), now).map_err(|error| error.fault())
}

pub(crate) fn fault(room: Room, subject: &str, word: &'static str, detail: String) -> Fault {
    Fault { room, subject: subject.to_owned(), word, detail }
}

/// How long the hub has been up, sleep included. From the system's clock: /proc/uptime is hidden by the unit's confinement.
fn hub_up() -> Duration {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(up).unwrap_or_default()
}
