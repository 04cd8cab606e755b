//! A configuration that was found right: what the daemon is assembled from.
//!
//! One part per room, each comparable, so that a reload changes only the rooms whose part differs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use curb_model::{Name, PointSet};
use curb_source::ModbusPoint;
use curb_uplink::{Address, Budget, Proxy};
use curb_wire::senml::Form;

/// Everything that is configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Where the hub stands.
    pub(crate) hub: HubSettings,
    /// The city's broker.
    pub(crate) core: CoreSettings,
    /// `core.encoding` and `core.compress`: how the store writes readings.
    pub(crate) form: Form,
    /// `core.linger`: how long readings may wait for others of their stream, in any case.
    pub(crate) linger: Duration,
    /// Key, certificate and roots.
    pub(crate) identity: IdentitySettings,
    /// Folders.
    pub(crate) paths: PathSettings,
    /// When wall time is believed.
    pub(crate) clock: ClockSettings,
    /// What is logged.
    pub(crate) log: LogSettings,
    /// The queue.
    pub(crate) store: StoreSettings,
    /// Buses and devices.
    pub(crate) source: curb_source::Config,
    /// Plugins.
    pub(crate) pipeline: curb_pipeline::Config,
    /// What devices are told by hand only.
    pub(crate) by_hand: Vec<ByHand>,
    /// How long the readings of a device are worth sending, where that has an end.
    pub(crate) expire: BTreeMap<Name, Duration>,
    /// Every point of every device, for the retained `points` table and for the plugins' globs.
    pub(crate) points: PointSet,
}

/// A setting that wears its device with each write, so that it is written by hand only. The config grants this one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ByHand {
    /// Where and how it lies; named by device and setting.
    pub(crate) lies: ModbusPoint,
    /// What stands in the config, as registers; 0 or 1 for a coil.
    pub(crate) registers: Vec<u16>,
}

/// `[hub]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubSettings {
    /// Must equal the organisation in the hub's certificate. The hub's own name comes from there, too.
    pub(crate) site: Name,
}

/// `[core]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoreSettings {
    /// Where the broker is; its certificate must carry the host.
    pub(crate) address: Address,
    /// Where it, or another one of the same core, is as well. `None`: nowhere.
    pub(crate) fallback: Option<Address>,
    /// What connections to either go through. `None`: nothing.
    pub(crate) proxy: Option<Proxy>,
    /// Whose word deletes a row.
    pub(crate) ack: Ack,
    /// How long until a message that nobody subscribes to is tried again.
    pub(crate) retry: Duration,
    /// Reconnects are spread over this long at first.
    pub(crate) reconnect_spread: Duration,
    /// MQTT keep-alive; whole seconds.
    pub(crate) keep_alive: Duration,
    /// How long a clean stop may take to send what waits.
    pub(crate) grace: Duration,
    /// `core.bytes_per_day` and `core.bytes_per_minute`: beyond them, data waits.
    pub(crate) budget: Budget,
}

/// `core.ack`: whose word deletes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    /// The broker's PUBACK.
    Broker,
    /// The ingester's receipt, the only end-to-end promise.
    Core,
}

/// `[identity]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentitySettings {
    /// PEM file of the private key.
    pub(crate) key: PathBuf,
    /// PEM file of the certificate chain.
    pub(crate) certificate: PathBuf,
    /// PEM file of the roots that the core's certificate must come from.
    pub(crate) roots: PathBuf,
}

/// `[paths]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathSettings {
    /// What must survive a reboot: the queue, the last good configuration.
    pub(crate) state: PathBuf,
    /// The control socket.
    pub(crate) run: PathBuf,
    /// What can be made again: compiled plugins.
    pub(crate) cache: PathBuf,
    /// Profiles that are added to those in the binary; need not exist.
    pub(crate) profiles: PathBuf,
}

/// `[clock]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClockSettings {
    /// What makes wall time believed.
    pub(crate) trust: ClockTrust,
    /// How long readings wait for a believed clock before they go out undated.
    pub(crate) wait: Duration,
}

/// `clock.trust`: what makes wall time believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockTrust {
    /// The statement of timesyncd or chrony that it is synchronised.
    Ntp,
    /// Always: for hubs with a battery clock, demos and tests.
    System,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// The least severe level that is logged.
    pub(crate) level: tracing::Level,
    /// How a line looks.
    pub(crate) format: LogFormat,
}

/// `log.format`: how a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    /// Bytes of queue on disk at most.
    pub(crate) limit: ByteSize,
    /// What gives way at the limit.
    pub(crate) when_full: WhenFull,
    /// How long data may be in memory only.
    pub(crate) commit_every: Duration,
    /// Bytes of data in memory only, at most.
    pub(crate) commit_bytes: ByteSize,
}

/// `store.when_full`: what gives way at the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The oldest data rows; a gap record tells the core.
    DropOldest,
}
