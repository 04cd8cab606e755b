//! `curb status --prometheus`: the same report in Prometheus' text format 0.0.4, for node_exporter's textfile collector.
//!
//! Each name begins with `curb_`. Counters end in `_total` and begin anew with each run; times are seconds, sizes bytes.
//! Names and labels are only ever added. What a person reads of a fault is left out: a label value that changes would be
//! a new series each time.
//!
//! Deliberately absent: a port. Whoever collects runs the command.

use std::fmt::{self, Display};

use crate::usage::UsageReport;

use super::{BusReport, CoreReport, DeviceReport, PluginReport, QueueReport, Report};

/// What `core.state` can be.
const CORE_STATES: [&str; 5] = ["off", "waiting", "connecting", "connected", "holding"];

/// The report as it is exposed.
pub(crate) struct Exposition<'a>(pub(crate) &'a Report);

impl Display for Exposition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let mut out = Families { out: f, name: String::new() };
        let Report { v: _, hub, site, version, run, uptime_s, config, .. } = report;
        out.gauge("info", "The hub and what runs on it; always 1.")?;
        out.sample(&[("hub", hub), ("site", site), ("version", version), ("run", run), ("config", config)], 1)?;
        out.gauge("uptime_seconds", "How long the daemon has run.")?;
        out.sample(&[], uptime_s)?;
        out.gauge("clock_trusted", "Whether wall time is believed.")?;
        out.sample(&[("trust", &report.clock.trust)], u8::from(report.clock.trusted))?;
        out.gauge("clock_time_seconds", "UTC since 1970; absent while it is not believed.")?;
        out.maybe(&[], report.clock.time_ms.map(seconds_of_millis))?;
        out.core(&report.core)?;
        out.queue(&report.queue)?;
        report.usage.iter().try_for_each(|usage| out.usage(usage))?;
        out.buses(report)?;
        out.devices(report)?;
        out.plugins(report)?;
        let help = "Readings that the policy kept from leaving.";
        out.one(Kind::Counter, "policy_refused_readings_total", help, report.refused)?;
        out.gauge("fault", "What stands wrong; 1 while it does.")?;
        for fault in &report.faults {
            let labels = [("room", &*fault.room), ("subject", &fault.subject), ("word", &fault.word)];
            out.sample(&labels, 1)?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2⁵³ for 285,000 years")]
fn seconds_of_millis(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

/// Writes one family after another; a sample belongs to the family before it.
struct Families<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    name: String,
}

/// What a value does: only grow, or go where it likes.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

type Labels<'a> = [(&'a str, &'a str)];

impl Families<'_, '_> {
    fn queue(&mut self, queue: &QueueReport) -> fmt::Result {
        let QueueReport {
            rows,
            readings,
            bytes,
            limit_bytes,
            oldest_s,
            aside,
            commits,
            payload_bytes,
            checks,
            gaps,
            oldest_is_from_before,
        } = queue;
        self.one(Kind::Gauge, "queue_messages", "Messages that wait.", rows)?;
        self.one(Kind::Gauge, "queue_readings", "Readings in the messages that wait.", readings)?;
        self.one(Kind::Gauge, "queue_bytes", "Bytes of what waits.", bytes)?;
        self.one(Kind::Gauge, "queue_limit_bytes", "What the queue may take.", limit_bytes)?;
        self.gauge("queue_oldest_seconds", "Age of the oldest message; absent when none waits.")?;
        self.maybe(&[], *oldest_s)?;
        let help = "Whether the oldest message is of an earlier run.";
        self.one(Kind::Gauge, "queue_oldest_from_before", help, u8::from(*oldest_is_from_before))?;
        self.one(Kind::Gauge, "queue_set_aside_messages", "Messages that the core refused and that are kept.", aside)?;
        self.one(Kind::Counter, "queue_commits_total", "Commits to disk.", commits)?;
        self.one(Kind::Counter, "queue_payload_bytes_total", "Bytes of payload written to disk.", payload_bytes)?;
        let help = "Times that the queue's file was checked after trouble with the disk, and nothing was wrong.";
        self.one(Kind::Counter, "queue_checks_total", help, checks)?;
        self.counter("gap_readings_total", "Readings that were made and will not come, by reason.")?;
        for (reason, count) in gaps {
            self.sample(&[("reason", reason)], count)?;
        }
        Ok(())
    }

    fn core(&mut self, core: &CoreReport) -> fmt::Result {
        let CoreReport { state, connection, sent, acked, receipted, set_aside, in_flight, .. } = core;
        self.gauge("core_state", "The connection to the core: 1 for the state that it is in.")?;
        for known in CORE_STATES {
            self.sample(&[("state", known)], u8::from(known == state))?;
        }
        if !CORE_STATES.contains(&state.as_str()) {
            self.sample(&[("state", state)], 1)?;
        }
        let help = "Whether the address of the connection is the fallback.";
        self.one(Kind::Gauge, "core_on_fallback", help, u8::from(core.on_fallback))?;
        self.one(Kind::Counter, "core_connections_total", "Connections to the core.", connection)?;
        self.one(Kind::Counter, "core_messages_sent_total", "Messages sent, repeats included.", sent)?;
        self.one(Kind::Counter, "core_messages_acknowledged_total", "Messages that the broker acknowledged.", acked)?;
        self.one(Kind::Counter, "core_receipts_total", "Receipts of the core that were taken.", receipted)?;
        self.one(Kind::Counter, "core_messages_set_aside_total", "Messages that the broker refused.", set_aside)?;
        self.one(Kind::Gauge, "core_messages_in_flight", "Messages sent and not yet acknowledged.", in_flight)?;
        let help = "Commands of the core that were taken on, carried out or refused.";
        self.one(Kind::Counter, "core_commands_total", help, core.commands)?;
        let help = "Commands of the core that could not be taken on.";
        self.one(Kind::Counter, "core_commands_not_taken_total", help, core.commands_refused)?;
        self.one(Kind::Counter, "core_payload_bytes_total", "Bytes of payload sent, repeats included.", core.bytes)?;
        let help = "How long readings wait for others of their stream.";
        self.one(Kind::Gauge, "core_linger_seconds", help, core.linger_s)?;
        self.gauge("core_delay_seconds", "From sending to acknowledgement, smoothed; absent before the first.")?;
        self.maybe(&[], core.delay_ms.map(|delay| delay / 1_000.0))
    }

    fn usage(&mut self, usage: &UsageReport) -> fmt::Result {
        let UsageReport { line_today, line_month, line_month_forecast, flash_today, flash_month } = usage;
        let help = "Bytes on the line today (UTC), both ways, as reckoned.";
        self.one(Kind::Gauge, "line_bytes_today", help, line_today)?;
        self.one(Kind::Gauge, "line_bytes_month", "The same this month, as far as it was counted.", line_month)?;
        self.gauge("line_bytes_month_forecast", "The same of the whole month at this pace; absent at first.")?;
        line_month_forecast.map_or(Ok(()), |bytes| self.sample(&[], bytes))?;
        self.gauge("flash_bytes_today", "Bytes written to disk today (UTC); absent where the system does not tell.")?;
        flash_today.map_or(Ok(()), |bytes| self.sample(&[], bytes))?;
        self.gauge("flash_bytes_month", "The same this month, as far as it was counted.")?;
        flash_month.map_or(Ok(()), |bytes| self.sample(&[], bytes))
    }

    fn buses(&mut self, report: &Report) -> fmt::Result {
        type Counter = (&'static str, &'static str, fn(&BusReport) -> u64);
        const COUNTERS: [Counter; 18] = [
            ("requests", "Requests sent.", |bus| bus.requests),
            ("answers", "Answers that fit their request.", |bus| bus.answers),
            ("exceptions", "Answers that say no.", |bus| bus.exceptions),
            ("timeouts", "Requests without an answer.", |bus| bus.timeouts),
            ("crc_errors", "Frames with a wrong check sum.", |bus| bus.crc),
            ("framing_errors", "Bytes that are no frame.", |bus| bus.framing),
            ("late_answers", "Answers after their time-out.", |bus| bus.late),
            ("echoes", "Requests that the line gave back.", |bus| bus.echo),
            ("foreign_frames", "Frames that nobody here asked for.", |bus| bus.foreign),
            ("noise_bytes", "Bytes outside of any frame.", |bus| bus.noise_bytes),
            ("reopened", "How often the port was opened again.", |bus| bus.reopened),
            ("crashes", "How often the thread of the bus was started anew.", |bus| bus.crashes),
            ("foreign_requests", "Requests of another master.", |bus| bus.foreign_requests),
            ("wrong_unit_answers", "Right answers from another unit than was asked.", |bus| bus.wrong_unit),
            ("short_answers", "Answers without their end.", |bus| bus.short),
            ("headless_answers", "Answers without their first bytes.", |bus| bus.headless),
            ("split_answers", "Right answers with a pause inside.", |bus| bus.split),
            ("babble", "How often the line was not silent for long enough to ask.", |bus| bus.babble),
        ];
        self.gauge("bus_open", "Whether the port or connection is open.")?;
        for (name, bus) in &report.buses {
            self.sample(&[("bus", name)], u8::from(bus.open))?;
        }
        self.gauge("bus_latency_seconds", "How long the adapter may hold bytes back.")?;
        for (name, bus) in &report.buses {
            self.sample(&[("bus", name)], bus.latency_ms / 1_000.0)?;
        }
        for (counter, help, of) in COUNTERS {
            self.counter(format_args!("bus_{counter}_total"), help)?;
            for (name, bus) in &report.buses {
                self.sample(&[("bus", name)], of(bus))?;
            }
        }
        Ok(())
    }

    fn devices(&mut self, report: &Report) -> fmt::Result {
        self.gauge("device_state", "1, with the state that the device is in and why.")?;
        for (name, DeviceReport { state, .. }) in &report.devices {
            let (state, reason) = state.split_once(": ").unwrap_or((state, ""));
            self.sample(&[("device", name), ("state", state), ("reason", reason)], 1)?;
        }
        self.counter("device_readings_total", "Readings made, good (uncertain ones among them) and bad.")?;
        for (name, DeviceReport { good, bad, .. }) in &report.devices {
            self.sample(&[("device", name), ("quality", "good")], good)?;
            self.sample(&[("device", name), ("quality", "bad")], bad)?;
        }
        self.counter("device_polls_skipped_total", "Polls left out because the line was busy.")?;
        for (name, DeviceReport { skipped, .. }) in &report.devices {
            self.sample(&[("device", name)], skipped)?;
        }
        self.gauge("device_last_good_seconds", "Age of the last good reading; absent before the first.")?;
        for (name, DeviceReport { last_good_s, .. }) in &report.devices {
            self.maybe(&[("device", name)], *last_good_s)?;
        }
        Ok(())
    }

    fn plugins(&mut self, report: &Report) -> fmt::Result {
        let host = &report.plugin_host;
        self.one(
            Kind::Gauge,
            "plugin_host_running",
            "Whether the plugins' process runs.",
            u8::from(host.pid.is_some()),
        )?;
        let help = "How often the plugins' process was started again.";
        self.one(Kind::Counter, "plugin_host_restarts_total", help, host.restarts)?;
        self.gauge("plugin_state", "1, with the state that the plugin is in.")?;
        for (name, PluginReport { state, .. }) in &report.plugins {
            self.sample(&[("plugin", name), ("state", state)], 1)?;
        }
        self.counter("plugin_readings_total", "Readings by what became of them at the plugin.")?;
        for (name, plugin) in &report.plugins {
            let PluginReport { kept, filtered, added, rejected, bypassed, dropped, .. } = plugin;
            for (outcome, count) in [
                ("kept", kept),
                ("filtered", filtered),
                ("added", added),
                ("rejected", rejected),
                ("bypassed", bypassed),
                ("dropped", dropped),
            ] {
                self.sample(&[("plugin", name), ("outcome", outcome)], count)?;
            }
        }
        self.counter("plugin_traps_total", "How often the plugin failed.")?;
        for (name, PluginReport { traps, .. }) in &report.plugins {
            self.sample(&[("plugin", name)], traps)?;
        }
        self.counter(
            "plugin_poison_total",
            "Readings that the plugin cannot handle although it handles those beside them.",
        )?;
        for (name, PluginReport { poison, .. }) in &report.plugins {
            self.sample(&[("plugin", name)], poison)?;
        }
        self.gauge("plugin_state_bytes", "Bytes of what the plugin remembers.")?;
        for (name, PluginReport { state_bytes, .. }) in &report.plugins {
            self.sample(&[("plugin", name)], state_bytes)?;
        }
        self.counter("plugin_states_written_total", "How often what the plugin remembers was sent to the disk.")?;
        for (name, PluginReport { states_written, .. }) in &report.plugins {
            self.sample(&[("plugin", name)], states_written)?;
        }
        self.counter("plugin_states_lost_total", "How often the plugin had to start without what it remembered.")?;
        for (name, PluginReport { states_lost, .. }) in &report.plugins {
            self.sample(&[("plugin", name)], states_lost)?;
        }
        self.gauge("plugin_metric", "The plugin's own counters and gauges.")?;
        for (name, PluginReport { metrics, .. }) in &report.plugins {
            for (metric, value) in metrics {
                self.sample(&[("plugin", name), ("metric", metric)], value)?;
            }
        }
        Ok(())
    }

    fn counter(&mut self, name: impl Display, help: &str) -> fmt::Result {
        self.family(Kind::Counter, name, help)
    }

    fn gauge(&mut self, name: impl Display, help: &str) -> fmt::Result {
        self.family(Kind::Gauge, name, help)
    }

    /// A family of one sample without labels.
    fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) -> fmt::Result {
        self.family(kind, name, help)?;
        self.sample(&[], value)
    }

    fn family(&mut self, kind: Kind, name: impl Display, help: &str) -> fmt::Result {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.name = format!("curb_{name}");
        writeln!(self.out, "# HELP {} {help}\n# TYPE {} {kind}", self.name, self.name)
    }

    fn maybe(&mut self, labels: &Labels<'_>, value: Option<f64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.sample(labels, value))
    }

    fn sample(&mut self, labels: &Labels<'_>, value: impl Display) -> fmt::Result {
        self.out.write_str(&self.name)?;
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(self.out, "{before}{label}=\"{}\"", Escaped(text))?;
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.out, "{end} {value}")
    }
}

/// A label's value. A plugin names its metrics as it likes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests;
