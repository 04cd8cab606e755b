//! The sections with fixed keys. Each gives `None` when something in it is wrong or missing.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use curb_uplink::Budget;
use curb_wire::senml::{Compress, Encoding, Form};

use super::Part;
use crate::config::layers;
use crate::config::node::{Kind, Node};
use crate::config::notation;
use crate::config::problem::{Misfit, Origin};
use crate::config::proxy;
use crate::config::report::Report;
use crate::config::schema;
use crate::config::settings::{
    Ack, ClockSettings, ClockTrust, CoreSettings, HubSettings, IdentitySettings, LogFormat, LogSettings, PathSettings,
    StoreSettings, WhenFull,
};
use crate::config::typed::Table;
use curb_pipeline::Engine;

/// How long until an unheard message is tried again: shorter would be a loop, longer would outlast a work day's outage
/// unnoticed.
const RETRY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// At its least a street of hubs still spreads over several handshakes; at its most it is the ceiling that it grows to.
const RECONNECT_SPREAD: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// MQTT counts it in seconds, up to 18 hours; a dead link should be noticed within the hour.
const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3_600);
/// With what the daemon takes to drain (10 s) this stays below TimeoutStopSec in curb.service (100 s).
const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(80);
/// A power cut costs what lingers: no more than a minute of it.
const LINGER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
/// A budget that is none.
const ANY: &str = "any";
/// Pings and the status, which pass in any case, take some 1.5 MB a day.
const BYTES_PER_DAY: RangeInclusive<ByteSize> = ByteSize::mib(2)..=ByteSize::tib(1);
/// Less than a handshake would hold data up for minutes after each.
const BYTES_PER_MINUTE: RangeInclusive<ByteSize> = ByteSize::kib(8)..=ByteSize::gib(1);
/// Readings that wait for a clock wait in the queue, so a day is bounded by its limit anyway.
const CLOCK_WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
/// Below, SQLite's own files would fill it.
const STORE_LIMIT: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::tib(1);
/// Longer, and a power cut would cost more than a minute.
const COMMIT_EVERY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
/// Less, and each message of a busy hub would be a commit; more is memory that a small hub does not have.
const COMMIT_BYTES: RangeInclusive<ByteSize> = ByteSize::kib(16)..=ByteSize::mib(16);

/// Less, and the card is written without need; more, and a power cut costs a plugin what nobody would call recent.
const STATE_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

/// Stands in for a section that no layer has.
static NO_TABLE: Node = Node { origin: Origin::BuiltIn, kind: Kind::EMPTY };

pub(super) fn hub(root: &Node, report: &mut Report) -> Option<HubSettings> {
    let part: Part<'_, schema::Hub> = section(root, "hub", report)?;
    let expected = "the site's name, as in the hub's certificate: site = \"port-credit\"";
    part.missing(&["site"], Misfit::expected(expected), report);
    let site = part.notation(&["site"], part.raw.site.as_deref(), notation::name, report)?;
    Some(HubSettings { site })
}

/// `[core]`, and of it apart how the store writes readings, and how long they linger before.
pub(super) fn core(root: &Node, report: &mut Report) -> Option<(CoreSettings, Form, Duration)> {
    let part: Part<'_, schema::Core> = section(root, "core", report)?;
    let raw = &part.raw;
    part.missing(&["url"], Misfit::expected("the broker's address: url = \"mqtts://core.city.example:8883\""), report);
    let address = part.notation(&["url"], raw.url.as_deref(), notation::core_url, report);
    let fallback = part.notation(&["fallback"], raw.fallback.as_deref(), notation::core_url, report);
    let proxy = part.notation(&["proxy"], raw.proxy.as_deref(), proxy::proxy, report);
    let retry = part.duration("retry", raw.retry.as_ref(), &RETRY, report);
    let reconnect_spread = part.duration("reconnect_spread", raw.reconnect_spread.as_ref(), &RECONNECT_SPREAD, report);
    let keep_alive = part.duration("keep_alive", raw.keep_alive.as_ref(), &KEEP_ALIVE, report);
    let grace = part.duration("grace", raw.grace.as_ref(), &GRACE, report);
    let linger = part.duration("linger", raw.linger.as_ref(), &LINGER, report);
    let mut size = |field, text: Option<&schema::Quantity>, bounds| {
        let size = |text: &str| if text == ANY { Ok(None) } else { notation::size(text, bounds).map(Some) };
        part.notation(&[field], text.map(|text| text.0.as_str()), size, report)
    };
    let per_day = size("bytes_per_day", raw.bytes_per_day.as_ref(), &BYTES_PER_DAY);
    let per_minute = size("bytes_per_minute", raw.bytes_per_minute.as_ref(), &BYTES_PER_MINUTE);
    let form = Form {
        encoding: match raw.encoding? {
            schema::Encoding::SenmlJson => Encoding::Json,
            schema::Encoding::SenmlCbor => Encoding::Cbor,
        },
        compress: match raw.compress? {
            schema::Compress::None => Compress::None,
            schema::Compress::Deflate => Compress::Deflate,
        },
    };
    let core = CoreSettings {
        address: address?,
        fallback: written(raw.fallback.as_ref(), fallback)?,
        proxy: written(raw.proxy.as_ref(), proxy)?,
        ack: match raw.ack? {
            schema::Ack::Broker => Ack::Broker,
            schema::Ack::Core => Ack::Core,
        },
        retry: retry?,
        reconnect_spread: reconnect_spread?,
        keep_alive: keep_alive?,
        grace: grace?,
        budget: Budget {
            per_day: per_day?.map(|size| size.as_u64()),
            per_minute: per_minute?.map(|size| size.as_u64()),
        },
    };
    Some((core, form, linger?))
}

pub(super) fn identity(root: &Node, report: &mut Report) -> Option<IdentitySettings> {
    let part: Part<'_, schema::Identity> = section(root, "identity", report)?;
    let key = part.path("key", part.raw.key.as_deref(), report);
    let certificate = part.path("certificate", part.raw.certificate.as_deref(), report);
    let roots = part.path("roots", part.raw.roots.as_deref(), report);
    Some(IdentitySettings { key: key?, certificate: certificate?, roots: roots? })
}

pub(super) fn paths(root: &Node, report: &mut Report) -> Option<PathSettings> {
    let part: Part<'_, schema::Paths> = section(root, "paths", report)?;
    let state = part.path("state", part.raw.state.as_deref(), report);
    let run = part.path("run", part.raw.run.as_deref(), report);
    let cache = part.path("cache", part.raw.cache.as_deref(), report);
    let profiles = part.path("profiles", part.raw.profiles.as_deref(), report);
    Some(PathSettings { state: state?, run: run?, cache: cache?, profiles: profiles? })
}

/// A setting that need not be there: what was read of it, unless it is there and wrong.
fn written<T>(raw: Option<&String>, read: Option<T>) -> Option<Option<T>> {
    if raw.is_some() { read.map(Some) } else { Some(None) }
}

pub(super) fn clock(root: &Node, report: &mut Report) -> Option<ClockSettings> {
    let part: Part<'_, schema::Clock> = section(root, "clock", report)?;
    let wait = part.duration("wait", part.raw.wait.as_ref(), &CLOCK_WAIT, report)?;
    let trust = match part.raw.trust? {
        schema::Trust::Ntp => ClockTrust::Ntp,
        schema::Trust::System => ClockTrust::System,
    };
    Some(ClockSettings { trust, wait })
}

pub(super) fn log(root: &Node, report: &mut Report) -> Option<LogSettings> {
    let part: Part<'_, schema::Log> = section(root, "log", report)?;
    let level = match part.raw.level? {
        schema::Level::Error => tracing::Level::ERROR,
        schema::Level::Warn => tracing::Level::WARN,
        schema::Level::Info => tracing::Level::INFO,
        schema::Level::Debug => tracing::Level::DEBUG,
        schema::Level::Trace => tracing::Level::TRACE,
    };
    let format = match part.raw.format? {
        schema::Format::Text => LogFormat::Text,
        schema::Format::Json => LogFormat::Json,
    };
    Some(LogSettings { level, format })
}

pub(super) fn store(root: &Node, report: &mut Report) -> Option<StoreSettings> {
    let part: Part<'_, schema::Store> = section(root, "store", report)?;
    let limit = part.raw.limit.as_ref().map(|limit| limit.0.as_str());
    let limit = part.notation(&["limit"], limit, |text| notation::size(text, &STORE_LIMIT), report);
    let when_full = match part.raw.when_full? {
        schema::WhenFull::DropOldest => WhenFull::DropOldest,
    };
    let commit_every = part.duration("commit_every", part.raw.commit_every.as_ref(), &COMMIT_EVERY, report);
    let commit_bytes = part.raw.commit_bytes.as_ref().map(|bytes| bytes.0.as_str());
    let commit_bytes =
        part.notation(&["commit_bytes"], commit_bytes, |text| notation::size(text, &COMMIT_BYTES), report);
    Some(StoreSettings { limit: limit?, when_full, commit_every: commit_every?, commit_bytes: commit_bytes? })
}

/// `[plugins]`: what holds for all of them.
#[derive(Debug, Default)]
pub(super) struct AllPlugins {
    /// Where components without a path of their own lie.
    pub(super) dir: Option<PathBuf>,
    /// How often state is written.
    pub(super) state_every: Option<Duration>,
    /// What runs their code.
    pub(super) engine: Engine,
    /// Where a plugin host waits that the service manager starts.
    pub(super) socket: Option<PathBuf>,
}

pub(super) fn plugins(root: &Node, report: &mut Report) -> AllPlugins {
    let Some(part): Option<Part<'_, schema::Plugins>> = section(root, "plugins", report) else {
        return AllPlugins::default();
    };
    AllPlugins {
        dir: part.path("dir", part.raw.dir.as_deref(), report),
        state_every: part.duration("state_every", part.raw.state_every.as_ref(), &STATE_EVERY, report),
        engine: part.raw.engine.map_or_else(Engine::default, |engine| match engine {
            schema::Engine::Cranelift => Engine::Cranelift,
            schema::Engine::Pulley => Engine::Pulley,
        }),
        socket: part.path("socket", part.raw.socket.as_deref(), report),
    }
}

/// `[paths]` when the configuration is wrong about them.
pub(super) fn default_paths() -> PathSettings {
    let root = layers::over_defaults([], &mut Report::default());
    paths(&root, &mut Report::default()).expect("the built-in defaults fit their own schema")
}

/// `[log]` when the configuration is wrong about it.
pub(super) fn default_log() -> LogSettings {
    let root = layers::over_defaults([], &mut Report::default());
    log(&root, &mut Report::default()).expect("the built-in defaults fit their own schema")
}

/// The table of a fixed section.
pub(super) fn section<'a, T: Table>(root: &'a Node, name: &str, report: &mut Report) -> Option<Part<'a, T>> {
    Part::read(root.at([name]).unwrap_or(&NO_TABLE), vec![name.to_owned()], report)
}
