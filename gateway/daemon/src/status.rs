//! `curb status`: one report, for people and for programs, and the short form that the core gets.

mod prometheus;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use curb_model::{HubTime, Name};
use curb_source::DeviceState;
use curb_wire::status::{FaultEntry, Queue};
use serde::{Deserialize, Serialize};

use crate::assemble::Rooms;
use crate::usage::UsageReport;

pub(crate) use prometheus::Exposition;

/// What `curb status --json` prints. Members are only ever added.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// 1.
    pub(crate) v: u32,
    pub(crate) hub: String,
    pub(crate) site: String,
    pub(crate) version: String,
    /// This life of the daemon.
    pub(crate) run: String,
    pub(crate) uptime_s: u64,
    /// Which settings run: `files`, or `last-good` because the files are wrong.
    pub(crate) config: String,
    pub(crate) clock: ClockReport,
    pub(crate) core: CoreReport,
    pub(crate) queue: QueueReport,
    /// What the line and the card cost.
    #[serde(default)]
    pub(crate) usage: Option<UsageReport>,
    pub(crate) buses: BTreeMap<String, BusReport>,
    pub(crate) devices: BTreeMap<String, DeviceReport>,
    /// Readings that the policy kept from leaving, in this run.
    #[serde(default)]
    pub(crate) refused: u64,
    pub(crate) plugin_host: HostReport,
    pub(crate) plugins: BTreeMap<String, PluginReport>,
    /// What stands wrong; empty is well.
    pub(crate) faults: Vec<FaultEntry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockReport {
    pub(crate) trusted: bool,
    /// Who may vouch: `ntp` or `system`.
    pub(crate) trust: String,
    /// UTC in milliseconds since 1970; null while it is not trusted.
    pub(crate) time_ms: Option<i64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoreReport {
    /// `waiting`, `connecting`, `connected`, `holding`; `off` without an identity.
    pub(crate) state: String,
    /// Where the connection goes, or went last: `host:port`. Null before the first.
    #[serde(default)]
    pub(crate) address: Option<String>,
    /// Whether that is `core.fallback`.
    #[serde(default)]
    pub(crate) on_fallback: bool,
    /// Connections of this run.
    pub(crate) connection: u64,
    /// Messages sent, repeats included.
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) receipted: u64,
    pub(crate) set_aside: u64,
    pub(crate) in_flight: usize,
    /// Commands of the core that were taken on, carried out or refused.
    #[serde(default)]
    pub(crate) commands: u64,
    /// Commands that could not be taken on: `full` and `stopped`.
    #[serde(default)]
    pub(crate) commands_refused: u64,
    /// Payload bytes sent, repeats included.
    pub(crate) bytes: u64,
    /// From sending to acknowledgement, smoothed.
    pub(crate) delay_ms: Option<f64>,
    /// How long readings wait for others of their stream: `core.linger`, or longer to keep the budget of bytes.
    #[serde(default)]
    pub(crate) linger_s: f64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueReport {
    /// Messages that wait, records among them.
    pub(crate) rows: u64,
    /// Readings in them.
    pub(crate) readings: u64,
    pub(crate) bytes: u64,
    pub(crate) limit_bytes: u64,
    /// Age of the oldest reading that waits, in seconds. Of one that an earlier life of the daemon read it is only known
    /// that it is older than this life: hub time leaps at a start.
    pub(crate) oldest_s: Option<f64>,
    #[serde(default)]
    pub(crate) oldest_is_from_before: bool,
    /// Messages that the core refused for what they are, kept for a person to look at.
    pub(crate) aside: u64,
    pub(crate) commits: u64,
    pub(crate) payload_bytes: u64,
    /// Times that the file was checked after trouble with the disk, and nothing was wrong.
    #[serde(default)]
    pub(crate) checks: u64,
    /// Readings lost in this run, by reason.
    pub(crate) gaps: BTreeMap<String, u64>,
}

impl BusReport {
    /// What has no column of its own, and has been counted.
    fn others(&self) -> Vec<String> {
        let counts = [
            (self.exceptions, "exceptions"),
            (self.echo, "echoes of ours"),
            (self.foreign, "foreign frames"),
            (self.foreign_requests, "of them requests of another master"),
            (self.wrong_unit, "answers of a wrong unit"),
            (self.short, "short answers"),
            (self.headless, "answers without their head"),
            (self.split, "split answers"),
            (self.babble, "times babble"),
            (self.noise_bytes, "bytes of noise"),
            (self.crashes, "crashes"),
        ];
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BusReport {
    pub(crate) open: bool,
    pub(crate) requests: u64,
    pub(crate) answers: u64,
    pub(crate) exceptions: u64,
    pub(crate) timeouts: u64,
    pub(crate) crc: u64,
    pub(crate) framing: u64,
    pub(crate) late: u64,
    pub(crate) echo: u64,
    pub(crate) foreign: u64,
    pub(crate) noise_bytes: u64,
    pub(crate) reopened: u64,
    pub(crate) crashes: u64,
    /// Requests of another master.
    #[serde(default)]
    pub(crate) foreign_requests: u64,
    /// Right answers from another unit than was asked.
    #[serde(default)]
    pub(crate) wrong_unit: u64,
    /// Answers without their end.
    #[serde(default)]
    pub(crate) short: u64,
    /// Answers without their first bytes.
    #[serde(default)]
    pub(crate) headless: u64,
    /// Right answers with a pause inside.
    #[serde(default)]
    pub(crate) split: u64,
    /// How often the line was not silent for long enough to ask.
    #[serde(default)]
    pub(crate) babble: u64,
    /// How long the adapter may hold bytes back.
    #[serde(default)]
    pub(crate) latency_ms: f64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceReport {
    /// `new`, `answering`, `failing: <reason>`, `silent: <reason>`.
    pub(crate) state: String,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// Polls left out because the line was busy.
    pub(crate) skipped: u64,
    /// Age of the last good reading.
    pub(crate) last_good_s: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostReport {
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PluginReport {
    pub(crate) state: String,
    pub(crate) kept: u64,
    pub(crate) filtered: u64,
    pub(crate) added: u64,
    pub(crate) rejected: u64,
    /// Readings that it cannot handle although it handles those beside them.
    pub(crate) poison: u64,
    pub(crate) bypassed: u64,
    pub(crate) dropped: u64,
    pub(crate) traps: u64,
    /// Bytes of what it remembers; 0 without state.
    pub(crate) state_bytes: u64,
    /// How often that was sent to the disk.
    pub(crate) states_written: u64,
    /// How often it had to start without what it remembered.
    pub(crate) states_lost: u64,
    /// The file that reproduces what it could not handle last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bundle: Option<String>,
    /// The plugin's own counters and gauges.
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// Who speaks: the part of a report that the rooms do not know.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) hub: &'a Name,
    pub(crate) site: &'a Name,
    pub(crate) uptime_s: u64,
    pub(crate) config: &'static str,
    pub(crate) clock: ClockReport,
    pub(crate) now: HubTime,
    pub(crate) usage: UsageReport,
    pub(crate) linger: Duration,
    pub(crate) faults: Vec<FaultEntry>,
}

/// Asks every room how it is.
pub(crate) fn report(about: About<'_>, rooms: &Rooms) -> Report {
    let About { hub, site, uptime_s, config, clock, now, usage, linger, faults } = about;
    let source = rooms.source.health();
    let pipeline = rooms.pipeline.health();
    let age = |at: HubTime| now.since(at).as_secs_f64();
    Report {
        v: 1,
        hub: hub.to_string(),
        site: site.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: rooms.store.run().to_string(),
        uptime_s,
        config: config.to_owned(),
        clock,
        core: CoreReport { linger_s: linger.as_secs_f64(), ..core(rooms) },
        queue: queue(rooms, (uptime_s + 1) as f64, &age),
        usage: Some(usage),
        buses: source.buses.iter().map(|(name, bus)| (name.to_string(), bus_report(bus))).collect(),
        devices: source.devices.iter().map(|(name, device)| (name.to_string(), device_report(device, &age))).collect(),
        refused: pipeline.refused,
        plugin_host: HostReport { pid: pipeline.host_pid, restarts: pipeline.restarts },
        plugins: pipeline.plugins.into_iter().map(|(name, plugin)| (name.to_string(), plugin_report(plugin))).collect(),
        faults,
    }
}

fn core(rooms: &Rooms) -> CoreReport {
    let Some(uplink) = &rooms.uplink else {
        return CoreReport {
            state: "off".to_owned(),
            address: None,
            on_fallback: false,
            connection: 0,
            sent: 0,
            acked: 0,
            receipted: 0,
            set_aside: 0,
            in_flight: 0,
            commands: 0,
            commands_refused: 0,
            bytes: 0,
            delay_ms: None,
            linger_s: 0.0,
        };
    };
    let health = uplink.health();
    CoreReport {
        state: health.state.as_str().to_owned(),
        address: health.address.map(|address| address.to_string()),
        on_fallback: health.on_fallback,
        connection: health.connection,
        sent: health.sent,
        acked: health.acked,
        receipted: health.receipted,
        set_aside: health.set_aside,
        in_flight: health.in_flight,
        commands: health.commands,
        commands_refused: health.commands_refused,
        bytes: health.bytes,
        delay_ms: health.delay.map(|delay| delay.as_secs_f64() * 1_000.0),
        linger_s: 0.0,
    }
}

/// `life_s`: what is older than this was read before this start.
fn queue(rooms: &Rooms, life_s: f64, age: &impl Fn(HubTime) -> f64) -> QueueReport {
    let health = rooms.store.health();
    QueueReport {
        rows: health.rows,
        readings: health.readings_waiting,
        bytes: health.bytes,
        limit_bytes: health.limit_bytes,
        oldest_s: health.oldest.map(|oldest| age(oldest).min(life_s)),
        oldest_is_from_before: health.oldest.is_some_and(|oldest| age(oldest) > life_s),
        aside: health.aside,
        commits: health.commits,
        payload_bytes: health.payload_bytes,
        checks: health.checks,
        gaps: health.gaps.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
    }
}

fn bus_report(bus: &curb_source::BusHealth) -> BusReport {
    let counters = &bus.counters;
    BusReport {
        open: bus.open,
        requests: counters.requests,
        answers: counters.answers,
        exceptions: counters.exceptions,
        timeouts: counters.timeouts,
        crc: counters.crc,
        framing: counters.framing,
        late: counters.late,
        echo: counters.echo,
        foreign: counters.foreign,
        noise_bytes: counters.noise_bytes,
        reopened: counters.reopened,
        crashes: bus.crashes,
        foreign_requests: counters.foreign_requests,
        wrong_unit: counters.wrong_unit,
        short: counters.short,
        headless: counters.headless,
        split: counters.split,
        babble: counters.babble,
        latency_ms: bus.latency.as_secs_f64() * 1_000.0,
    }
}

fn device_report(device: &curb_source::DeviceHealth, age: &impl Fn(HubTime) -> f64) -> DeviceReport {
    let state = match device.state {
        DeviceState::New => "new".to_owned(),
        DeviceState::Answering => "answering".to_owned(),
        DeviceState::Failing(reason) => format!("failing: {reason}"),
        DeviceState::Silent(reason) => format!("silent: {reason}"),
    };
    let last_good_s = device.last_good.map(age);
    DeviceReport { state, good: device.good, bad: device.bad, skipped: device.skipped, last_good_s }
}

fn plugin_report(plugin: curb_pipeline::PluginHealth) -> PluginReport {
    PluginReport {
        state: plugin.state.as_str().to_owned(),
        kept: plugin.kept,
        filtered: plugin.filtered,
        added: plugin.added,
        rejected: plugin.rejected,
        poison: plugin.poison,
        bypassed: plugin.bypassed,
        dropped: plugin.dropped,
        traps: plugin.traps,
        state_bytes: plugin.state_bytes,
        states_written: plugin.states_written,
        states_lost: plugin.states_lost,
        bundle: plugin.bundle.map(|file| file.display().to_string()),
        metrics: plugin.metrics.into_iter().map(|(name, value)| (name.into(), value)).collect(),
    }
}

/// What waits, for the core.
pub(crate) fn waiting(rooms: &Rooms) -> Queue {
    let health = rooms.store.health();
    Queue { rows: health.rows, readings: health.readings_waiting, bytes: health.bytes }
}

impl Report {
    /// One sentence, for `systemctl status`.
    pub(crate) fn sentence(&self) -> String {
        let answering = self.devices.values().filter(|device| device.state == "answering").count();
        let mut text = format!("core {}, {answering} of {} devices answer", self.core.state, self.devices.len());
        if self.queue.readings > 0 {
            let _infallible = write!(text, ", {} readings wait", self.queue.readings);
        }
        match self.faults.as_slice() {
            [] => {}
            [one] => {
                let _infallible = write!(text, "; {} {}", one.subject, one.word);
            }
            [first, ..] => {
                let _infallible = write!(text, "; {} {} and {} more", first.subject, first.word, self.faults.len() - 1);
            }
        }
        text
    }
}

/// The report for people: what stands wrong first, then the way of a reading from left to right.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |age: Option<f64>| age.map_or_else(|| "never".to_owned(), |age| format!("{age:.1} s ago"));
        writeln!(f, "{} at {}, curb {}, up {} s, run {}", self.hub, self.site, self.version, self.uptime_s, self.run)?;
        if self.config == "last-good" {
            writeln!(f, "runs its last good settings: the files are wrong")?;
        }
        match self.faults.as_slice() {
            [] => writeln!(f, "nothing stands wrong")?,
            faults => {
                for fault in faults {
                    writeln!(f, "✗ {}: {} ({}): {}", fault.room, fault.subject, fault.word, fault.detail)?;
                }
            }
        }
        writeln!(f, "\nBUS              OPEN   REQUESTS   ANSWERS  TIMEOUTS   CRC  FRAMING  LATE  REOPENED")?;
        for (name, bus) in &self.buses {
            let BusReport { requests, answers, timeouts, crc, framing, late, reopened, .. } = bus;
            let open = if bus.open { "yes" } else { "no" };
            writeln!(
                f,
                "{name:16} {open:5} {requests:>9} {answers:>9} {timeouts:>9} {crc:>5} {framing:>8} {late:>5} {reopened:>9}"
            )?;
            let others = bus.others();
            if !others.is_empty() {
                writeln!(f, "{:16} {}", "", others.join(", "))?;
            }
        }
        writeln!(f, "\nDEVICE           STATE                   GOOD       BAD   SKIPPED  LAST GOOD")?;
        for (name, device) in &self.devices {
            let DeviceReport { state, good, bad, skipped, last_good_s } = device;
            writeln!(f, "{name:16} {state:20} {good:>8} {bad:>9} {skipped:>9}  {}", seconds(*last_good_s))?;
        }
        if !self.plugins.is_empty() {
            writeln!(f, "\nPLUGIN           STATE           KEPT  FILTERED     ADDED   DROPPED  TRAPS")?;
            for (name, plugin) in &self.plugins {
                let PluginReport { state, kept, filtered, added, dropped, traps, .. } = plugin;
                writeln!(f, "{name:16} {state:10} {kept:>9} {filtered:>9} {added:>9} {dropped:>9} {traps:>6}")?;
                if let Some(bundle) = &plugin.bundle {
                    writeln!(f, "{:16} could not handle all: curb plugin replay {bundle}", "")?;
                }
            }
        }
        let QueueReport { rows, readings, bytes, limit_bytes, oldest_s, oldest_is_from_before, aside, gaps, .. } =
            &self.queue;
        let percent = bytes.saturating_mul(100) / (*limit_bytes).max(1);
        writeln!(
            f,
            "\nqueue  {rows} messages with {readings} readings, {bytes} bytes ({percent} % of the limit), oldest {}",
            if *oldest_is_from_before { "from before this start".to_owned() } else { seconds(*oldest_s) }
        )?;
        if *aside > 0 {
            writeln!(f, "       {aside} messages set aside")?;
        }
        for (reason, count) in gaps {
            writeln!(f, "       {count} readings lost: {reason}")?;
        }
        if self.refused > 0 {
            writeln!(f, "       {} readings refused by the policy", self.refused)?;
        }
        let CoreReport { state, address, on_fallback, connection, sent, acked, in_flight, delay_ms, .. } = &self.core;
        let place = address.as_ref().map_or_else(String::new, |address| {
            format!(" {address}{}", if *on_fallback { ", the fallback" } else { "" })
        });
        let delay = delay_ms.map_or_else(String::new, |delay| format!(", {delay:.1} ms to acknowledge"));
        writeln!(
            f,
            "core   {state}{place}, connection {connection}: {sent} sent, {acked} acknowledged, {in_flight} in flight{delay}"
        )?;
        if self.core.linger_s > 0.0 {
            writeln!(f, "       readings of a stream are gathered for {} s", self.core.linger_s)?;
        }
        if let Some(usage) = &self.usage {
            write!(f, "{usage}")?;
        }
        let clock = if self.clock.trusted { "trusted" } else { "not trusted" };
        write!(f, "clock  {clock} ({})", self.clock.trust)
    }
}
