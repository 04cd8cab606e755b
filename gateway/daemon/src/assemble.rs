//! The only wiring: starts the rooms, joins them by bounded channels, and stops them in the order of the data.
//!
//! ```text
//! source ─► tee ─► pipeline ─► tee ─► store ◄── Outbox ── uplink
//!    ▲                                  ▲                    │
//!    └── write ── commands ── audit ────┘    ◄── Command ────┘
//! ```
//!
//! Nothing is decided here: `run` says when, the rooms know how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_identity::Identity;
use curb_model::{Batch, Class, Fault, HubClock, Name, Page, PointName, RowId, RunId, Stream, Value};
use curb_pipeline::{Bundle, Leaving, Pipeline};
use curb_source::{Source, WriteError, Written};
use curb_store::{Opened, Store};
use curb_uplink::{Before, Closed, Command, Outbox, Uplink};
use curb_wire::status::{Points, Status};
use curb_wire::topic::Topics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::command::Commands;
use crate::config::{Ack, CoreSettings, Settings, StoreSettings, WhenFull};
use crate::control::TapPoint;
use crate::plugin::bundle;
use crate::secret::Secret;
use crate::tap::{Taps, tee};

/// Batches between two rooms. A batch is one poll round of one device: this is a second of a busy hub, and small enough
/// that a power cut finds little in it. When it is full the room before waits; see ARCHITECTURE.md, "Queues".
const BATCHES: usize = 64;

/// What was read must reach the disk, the run's last record behind it; a card that takes longer is not waited for. Shorter
/// than what systemd waits (TimeoutStopSec in curb.service) by more than the greatest `core.grace`.
const DRAIN: Duration = Duration::from_secs(10);

/// Counters that moved without a message are told this often at most.
const COUNTS_EVERY: Duration = Duration::from_secs(60);

/// Why the rooms cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("open the queue")]
    Store(#[from] curb_store::Error),
    #[error("start the buses")]
    Source(#[from] curb_source::Error),
    #[error("start the plugins")]
    Pipeline(#[from] curb_pipeline::Error),
    #[error("start a thread for commands")]
    Commands(#[source] std::io::Error),
    #[error("start the uplink")]
    Uplink(#[from] curb_uplink::Error),
}

/// What the uplink tells the core about the hub.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) points: watch::Sender<Arc<Points>>,
}

/// The running rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) source: Source,
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Store,
    /// None while the hub has no usable identity.
    pub(crate) uplink: Option<Uplink>,
    pub(crate) documents: Documents,
    pub(crate) taps: Taps,
    pub(crate) commands: Commands,
    pub(crate) secret: Secret,
    /// What the uplinks that have ended have counted.
    before: Before,
    passing: JoinSet<()>,
}

/// Opens the queue. The clock starts where it says.
///
/// # Errors
/// The folder or database cannot be used at all.
pub(crate) fn open_store(settings: &Settings, hub: &Name) -> Result<Opened, Error> {
    let StoreSettings { limit, when_full, commit_every, commit_bytes } = &settings.store;
    let config = curb_store::Config {
        form: settings.form,
        limit_bytes: limit.as_u64(),
        when_full: match when_full {
            WhenFull::DropOldest => curb_store::WhenFull::DropOldest,
        },
        commit_every: *commit_every,
        commit_bytes: usize::try_from(commit_bytes.as_u64()).unwrap_or(usize::MAX),
        counts_every: COUNTS_EVERY,
        expire: expiry(settings),
        ..curb_store::Config::new(settings.paths.state.join("queue"), hub.clone())
    };
    Ok(Store::open(config)?)
}

/// Which streams are not worth sending for ever.
pub(crate) fn expiry(settings: &Settings) -> BTreeMap<Stream, Duration> {
    settings.expire.iter().map(|(device, after)| (Stream::device(device), *after)).collect()
}

/// What plugins begin with.
#[derive(Debug)]
pub(crate) struct Heritage {
    /// What they must not forget, as an earlier run has kept it.
    pub(crate) states: BTreeMap<Name, Arc<[u8]>>,
    pub(crate) secret: Secret,
}

/// Starts everything but the uplink, last room first, so that nothing waits for its reader.
///
/// # Errors
/// A room cannot be started.
pub(crate) fn start(
    settings: &Settings,
    hub: &Name,
    store: Store,
    heritage: Heritage,
    clock: &HubClock,
    documents: Documents,
) -> Result<Rooms, Error> {
    let taps = Taps::new();
    let mut passing = JoinSet::new();
    let (read, to_tee) = mpsc::channel::<Batch>(BATCHES);
    let (from_tee, to_pipeline) = mpsc::channel::<Batch>(BATCHES);
    let (from_pipeline, to_store) = mpsc::channel::<Leaving>(BATCHES);
    passing.spawn(keep(to_store, store.clone(), taps.clone(), settings.pipeline.bundles.clone()));
    let Heritage { states, secret } = heritage;
    let config = secret.seeded(settings.pipeline.clone());
    let points = settings.points.clone();
    let pipeline = Pipeline::start(config, points, clock.clone(), states, to_pipeline, from_pipeline)?;
    pipeline.linger(settings.linger);
    passing.spawn(tee(to_tee, from_tee, taps.clone(), TapPoint::Source));
    let source = Source::start(settings.source.clone(), clock.clone(), read)?;
    let commands = Commands::start(&settings.paths.state, hub, clock, &store).map_err(Error::Commands)?;
    let before = Before::default();
    Ok(Rooms { source, pipeline, store, uplink: None, documents, taps, commands, secret, before, passing })
}

/// Keeps what leaves the pipeline. Ends when it ends.
async fn keep(mut leaving: mpsc::Receiver<Leaving>, store: Store, taps: Taps, bundles: Option<PathBuf>) {
    while let Some(leaving) = leaving.recv().await {
        let kept = match leaving {
            Leaving::Batch(batch) => {
                taps.show(TapPoint::Pipeline, &batch);
                store.append(batch).await
            }
            Leaving::State { plugin, bytes } => store.keep_state(plugin, bytes).await,
            Leaving::Forget { plugin } => store.forget_state(plugin).await,
            Leaving::Bundle(bundle) => {
                if let Some(folder) = bundles.clone() {
                    keep_bundle(folder, *bundle).await;
                }
                Ok(())
            }
        };
        if kept.is_err() {
            tracing::error!("the store ended before the pipeline; readings are lost");
            return;
        }
    }
}

/// Puts what a plugin could not handle into its file, on a thread that may wait for the card. Meanwhile nothing leaves the pipeline.
async fn keep_bundle(folder: PathBuf, made: Bundle) {
    let plugin = made.plugin.name.clone();
    let kept = tokio::task::spawn_blocking(move || bundle::keep(&folder, &made)).await;
    // A panic in there is told by the runtime's own hook.
    if let Ok(Err(error)) = kept {
        tracing::error!(%plugin, "failed to write the file that reproduces what the plugin cannot handle: {error}");
    }
}

impl Rooms {
    /// Connects to the core as `identity`.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) fn start_uplink(
        &mut self,
        core: &CoreSettings,
        identity: &Identity,
        hub_up: Duration,
    ) -> Result<(), Error> {
        let config = curb_uplink::Config {
            ack: match core.ack {
                Ack::Broker => curb_uplink::Ack::Broker,
                Ack::Core => curb_uplink::Ack::Core,
            },
            retry: core.retry,
            reconnect_spread: core.reconnect_spread,
            budget: core.budget,
            before: self.before,
            uptime: hub_up,
            fallback: core.fallback.clone(),
            proxy: core.proxy.clone(),
            ..curb_uplink::Config::new(core.address.clone()).with_keep_alive(core.keep_alive)
        };
        let topics = Topics::new(&identity.site, &identity.hub);
        let outbox = StoreOutbox { store: self.store.clone(), taps: self.taps.clone(), topics };
        let (status, points) = (self.documents.status.subscribe(), self.documents.points.subscribe());
        let commands = self.commands.hand_over();
        self.uplink = Some(Uplink::start(config, identity, outbox, status, points, commands)?);
        Ok(())
    }

    /// Ends the uplink, if one runs. What is in flight is sent again by the next one; there is nothing to wait for.
    pub(crate) async fn stop_uplink(&mut self) {
        if let Some(uplink) = self.uplink.take() {
            let last = uplink.watch();
            uplink.stop(Duration::ZERO).await;
            let health = last.borrow();
            self.before = Before { connections: health.connection, line_bytes: health.line_bytes };
        }
    }

    /// Bytes on the line in this run.
    pub(crate) fn line_bytes(&self) -> u64 {
        self.uplink.as_ref().map_or(self.before.line_bytes, |uplink| uplink.health().line_bytes)
    }

    /// Carries a command of the core out, on a task of its own.
    pub(crate) fn command(&mut self, command: Command) {
        let source = &self.source;
        self.commands.begin(command, |point, value| source.permitted(point, value));
    }

    /// Writes for somebody on the hub, as the core's commands are written, on a task of its own. The result comes when its
    /// audit record is kept.
    pub(crate) fn write(
        &mut self,
        point: PointName,
        value: Value,
        deadline: Instant,
    ) -> oneshot::Receiver<Result<Written, WriteError>> {
        let way = self.source.permitted(&point, &value);
        self.commands.write_here(way, point, value, deadline)
    }

    /// What stands wrong in any room.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let uplink = self.uplink.as_ref().map(|uplink| uplink.health().faults).unwrap_or_default();
        let secret = self.secret.fault.iter().cloned().collect();
        [self.source.health().faults, self.pipeline.health().faults, secret, self.store.health().faults, uplink]
            .concat()
    }

    /// Stops the rooms in the order of the data: what was read is kept, what is kept is sent as long as `grace` lasts.
    pub(crate) async fn stop(self, grace: Duration) {
        let Self { source, pipeline, store, uplink, documents, taps, commands, mut passing, .. } = self;
        let drained = timeout(DRAIN, async {
            source.stop().await;
            commands.finish().await;
            pipeline.join().await;
            while passing.join_next().await.is_some() {}
            store.end_run().await
        });
        match drained.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("failed to end the run: {error}"),
            Err(_) => tracing::error!(
                "the disk did not take within {DRAIN:?} what was read: it is lost, and the next run tells the core from \
                 which message on"
            ),
        }
        if let Some(uplink) = uplink {
            uplink.stop(grace).await;
        }
        store.close().await;
        drop((documents, taps));
    }
}

/// The store, as the uplink wants to see it.
#[derive(Debug)]
struct StoreOutbox {
    store: Store,
    taps: Taps,
    topics: Topics,
}

impl Outbox for StoreOutbox {
    async fn next(&self, class: Class, after: Option<RowId>, rows: usize, bytes: usize) -> Result<Page, Closed> {
        let page = self.store.next(class, after, rows, bytes).await.map_err(|curb_store::Closed| Closed)?;
        self.taps.show_sent(&self.topics, &page.messages);
        Ok(page)
    }

    // A store that is closed keeps its rows: they are sent once more by the next run. Nothing to report.
    async fn delivered(&self, rows: Vec<RowId>) {
        self.store.delivered(rows).await.ok();
    }

    async fn receipt(&self, run: RunId, stream: Stream, seq: u64) {
        self.store.receipt(run, stream, seq).await.ok();
    }

    async fn set_aside(&self, row: RowId, code: u8) {
        self.store.set_aside(row, code).await.ok();
    }

    async fn payload_max(&self, bytes: Option<usize>) {
        self.store.payload_max(bytes).await.ok();
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.store.changed()
    }
}
