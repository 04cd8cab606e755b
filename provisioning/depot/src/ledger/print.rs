//! The ledger for people (tables) and for programs (one JSON object, described in `provisioning/depot/LEDGER.md`).

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use time::{Date, Duration};

use super::balance::{Ended, Sums, count};
use super::read::{HubBook, Ledger, RunBook};
use super::side::{Side, Standing};
use crate::intervals::Interval;

const HEAD: [&str; 8] = ["read", "delivered", "filtered", "refused", "gap", "cut off", "waiting", "unaccounted"];

/// Writes tables: per hub its streams, its total, its days, and whether it closes.
pub(super) fn table(ledger: &Ledger, out: &mut dyn Write) -> io::Result<()> {
    for hub in &ledger.hubs {
        writeln!(out, "{}/{}", hub.site, hub.hub)?;
        write!(out, "  {:<42}", "run, stream")?;
        writeln!(out, "{}", HEAD.iter().fold(String::new(), |line, name| line + &format!("{name:>12}")))?;
        for run in &hub.runs {
            writeln!(out, "  {} ({})", run.run, run.ended.as_str())?;
            for stream in &run.streams {
                // Curb's own streams carry records, not readings: shown only where one is missing.
                if stream.stream.starts_with('_') && stream.line.closes() {
                    continue;
                }
                writeln!(out, "    {:<40}{}", stream.stream, columns(&stream.line.sums))?;
            }
        }
        writeln!(out, "  {:<42}{}", "total", columns(&hub.total))?;
        for (day, sums) in &hub.days {
            writeln!(out, "    {:<40}{}", date(*day), columns(sums))?;
        }
        let gaps = hub.total.gaps.iter().map(|(reason, count)| format!(" {reason} {count}")).collect::<String>();
        if !gaps.is_empty() {
            writeln!(out, "  gaps:{gaps}")?;
        }
        writeln!(out, "  duplicates removed: {}", hub.duplicates)?;
        for complaint in complaints(hub) {
            writeln!(out, "  ! {complaint}")?;
        }
        for line in notes(hub) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "  {}\n", verdict(hub))?;
    }
    if ledger.refused_messages > 0 {
        let count = ledger.refused_messages;
        writeln!(out, "{count} message(s) could not be read; see `SELECT topic, reason, times FROM refused`")?;
    }
    if ledger.hubs.is_empty() {
        writeln!(out, "no hub has sent anything")?;
    }
    Ok(())
}

fn word(hub: &HubBook, side: Option<Side>) -> &'static str {
    match side {
        Some(side) => side.as_str(),
        None if hub.closes() => "closes",
        None => "unknown",
    }
}

fn verdict(hub: &HubBook) -> &'static str {
    match hub.side() {
        Some(Side::Core) => "the ledger does NOT close: the core is wrong",
        Some(Side::Hub) => "the ledger does NOT close: the hub is wrong, or the way from it",
        Some(Side::Waits) => "the ledger does NOT close yet: what is missing waits on the hub, or may",
        None if hub.closes() => "the ledger closes",
        None => "the ledger does NOT close: a hub's store was lost",
    }
}

/// What is no mistake and worth knowing.
fn notes(hub: &HubBook) -> Vec<String> {
    let mut all = Vec::new();
    for run in &hub.runs {
        for stream in run.streams.iter().filter(|stream| !stream.line.cut_off.is_empty()) {
            let (messages, readings) = (count(&stream.line.cut_off), stream.line.sums.cut_off);
            all.push(format!(
                "cut off: {} {}: {messages} message(s) with {readings} reading(s) were in the hub's memory and never arrived",
                run.run, stream.stream
            ));
        }
    }
    all
}

fn columns(sums: &Sums) -> String {
    let mut line = String::new();
    for count in [sums.read, sums.delivered, sums.filtered, sums.refused, sums.gap_total(), sums.cut_off, sums.waiting]
    {
        // Writing to a String cannot fail.
        let _ = write!(line, "{count:>12}");
    }
    let _ = write!(line, "{:>12}", sums.unaccounted);
    line
}

fn date(day: i64) -> String {
    let epoch = Date::from_ordinal_date(1970, 1).expect("1970 has a first day");
    epoch.checked_add(Duration::days(day)).map_or_else(|| format!("day {day}"), |date| date.to_string())
}

fn complaints(hub: &HubBook) -> Vec<String> {
    let mut all = Vec::new();
    for run in &hub.runs {
        if run.ended == Ended::Unknown {
            all.push(format!(
                "{}: the hub's store was lost with its last counters; it may have read more than was told",
                run.run
            ));
        }
        for stream in &run.streams {
            all.extend(stream.finding.iter().map(|f| format!("{} {}: {}", run.run, stream.stream, f.text)));
        }
    }
    all
}

/// Writes one object.
pub(super) fn json(ledger: &Ledger, out: &mut dyn Write) -> io::Result<()> {
    let hubs: Vec<Value> = ledger.hubs.iter().map(hub_json).collect();
    let object = json!({
        "v": 1, "closes": ledger.closes(), "refused_messages": ledger.refused_messages, "hubs": hubs,
    });
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

fn hub_json(hub: &HubBook) -> Value {
    let runs: Vec<Value> = hub.runs.iter().map(run_json).collect();
    let days: Map<String, Value> = hub.days.iter().map(|(day, sums)| (date(*day), sums_json(sums))).collect();
    with(
        sums_json(&hub.total),
        json!({
            "site": hub.site, "hub": hub.hub, "closes": hub.closes(), "verdict": word(hub, hub.side()),
            "duplicates": hub.duplicates, "status": hub.standing.map(standing_json), "complaints": complaints(hub), "runs": runs, "days": days,
        }),
    )
}

fn standing_json(standing: Standing) -> Value {
    let queue = standing.queue.map(|queue| json!({ "rows": queue.messages, "readings": queue.readings }));
    json!({ "received_ms": standing.received_ms, "online": standing.online, "queue": queue })
}

fn run_json(run: &RunBook) -> Value {
    let holes = |holes: &[Interval]| -> Vec<Value> {
        holes.iter().map(|hole| json!({ "from": hole.first, "to": hole.last })).collect()
    };
    let stream = |stream: &super::read::StreamBook| {
        let (line, finding) = (&stream.line, &stream.finding);
        with(
            sums_json(&line.sums),
            json!({
                "stream": stream.stream, "closes": line.closes(), "side": finding.as_ref().map(|f| f.side.as_str()),
                "duplicates": stream.duplicates, "missing": holes(&line.missing),
                "cut_off_messages": holes(&line.cut_off),
            }),
        )
    };
    json!({
        "run": run.run, "ended": run.ended.as_str(), "closes": run.closes(),
        "streams": run.streams.iter().map(stream).collect::<Vec<_>>(),
    })
}

fn sums_json(sums: &Sums) -> Value {
    let gaps: Map<String, Value> = sums.gaps.iter().map(|(reason, n)| (reason.as_str().to_owned(), json!(n))).collect();
    json!({
        "read": sums.read, "delivered": sums.delivered, "filtered": sums.filtered, "refused": sums.refused,
        "gaps": gaps, "cut_off": sums.cut_off, "waiting": sums.waiting,
        "unaccounted": i64::try_from(sums.unaccounted).unwrap_or(i64::MAX),
    })
}

/// The members of both objects.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
