//! The commands that look: `check` reads the settings, `status`, `tap` and `reload` ask the running daemon.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use curb_model::{Access, Name};
use curb_source::DeviceConfig;
use serde::Serialize;

use crate::cli::{CANNOT, ConfigArgs, FINE, FOUND, USAGE, complain, exit, fail};
use crate::config::{Problem, Settings};
use crate::control::{self, Call, Op, TapPoint};
use crate::fill;
use crate::fit::{self, Unfit};
use crate::reload::Reloaded;
use crate::status::{Exposition, Report};
use crate::tap::{Line, SentLine};

/// A daemon answers in milliseconds or is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `curb tap` is to do.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) points: Vec<String>,
    pub(crate) count: Option<u64>,
    pub(crate) wait: Option<Duration>,
    pub(crate) at: TapPoint,
    pub(crate) verbose: bool,
    /// Where to keep what is shown, as JSON lines.
    pub(crate) capture: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Who reads a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A person.
    Text,
    /// A program: one JSON document.
    Json,
    /// Prometheus, through a collector of text files.
    Prometheus,
}

/// `curb check`.
pub(crate) fn check(args: &ConfigArgs, hub: Option<&str>, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document<'a> {
        v: u32,
        ok: bool,
        problems: Vec<Entry<'a>>,
        warnings: Vec<Entry<'a>>,
        /// Components that a hub would not run.
        unfit: &'a [String],
        buses: fill::Buses,
        /// Points that are never read, and so take no time of their bus.
        only_written: Vec<String>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        file: Option<&'a str>,
        line: Option<u32>,
        column: Option<u32>,
        from: String,
        #[serde(flatten)]
        problem: &'a Problem,
    }
    fn entry(problem: &Problem) -> Entry<'_> {
        let (file, position) = problem.at.place();
        let (line, column) = position.unzip();
        Entry { file, line, column, from: problem.at.to_string(), problem }
    }
    if let Some(hub) = hub
        && let Err(error) = Name::new(hub)
    {
        return Ok(complain(&format!("--hub: {error}"), USAGE, json, out));
    }
    let loaded = crate::config::load(&crate::sources(args));
    let Unfit { settings: unfit_settings, components: unfit } = fit::of(&loaded);
    // A hub runs a bus that is too full all the same; whoever checks is there to mend it.
    let mut problems: Vec<_> = loaded.problems.iter().chain(&loaded.too_full).chain(&unfit_settings).collect();
    problems.sort();
    let ok = problems.is_empty() && unfit.is_empty();
    let buses = loaded.settings.as_ref().map(|settings| fill::of(&settings.source)).unwrap_or_default();
    let only_written = loaded.settings.as_ref().map(only_written).unwrap_or_default();
    if json {
        let problems = problems.into_iter().map(entry).collect();
        let warnings = loaded.warnings.iter().map(entry).collect();
        serde_json::to_writer_pretty(
            &mut *out,
            &Document { v: 1, ok, problems, warnings, unfit: &unfit, buses, only_written },
        )?;
        writeln!(out)?;
    } else {
        for problem in problems.iter().copied().chain(&loaded.warnings) {
            writeln!(out, "{problem}")?;
        }
        for component in &unfit {
            writeln!(out, "{component}")?;
        }
        let (errors, warnings) = (problems.len() + unfit.len(), loaded.warnings.len());
        // Also beside a bus that is too full: it tells which point is the tightest.
        fill::write(&buses, out)?;
        if !only_written.is_empty() {
            writeln!(out, "only written, never read: {}", only_written.join(", "))?;
        }
        match &loaded.settings {
            Some(settings) if ok => {
                let (buses, devices) = (&settings.source.buses, settings.source.buses.values());
                let devices: usize = devices.map(|bus| bus.devices.len()).sum();
                let plugins = settings.pipeline.plugins.len();
                let points = settings.points.len();
                writeln!(
                    out,
                    "fine: {} buses, {devices} devices, {points} points, {plugins} plugins; {warnings} warnings",
                    buses.len()
                )?;
            }
            Some(_) | None => {
                let s = if errors == 1 { "" } else { "s" };
                writeln!(out, "{errors} problem{s}, {warnings} warnings")?;
            }
        }
    }
    Ok(exit(if ok { FINE } else { USAGE }))
}

/// Points that their config says cannot be read.
fn only_written(settings: &Settings) -> Vec<String> {
    let devices = settings.source.buses.values().flat_map(|bus| bus.devices.values());
    let points = devices.flat_map(|device| match device {
        DeviceConfig::Modbus(device) => device.points.as_slice(),
        DeviceConfig::Talker(_) => &[],
    });
    points.filter(|point| point.access == Access::Write).map(|point| point.point.name.to_string()).collect()
}

/// `curb status`.
pub(crate) async fn status(run_dir: &Path, shown: Shown, out: &mut impl Write) -> io::Result<ExitCode> {
    let report: Report = match answer(run_dir, Op::Status).await {
        Ok(report) => report,
        Err(error) => return Ok(fail(&error, error.exit_code(), shown == Shown::Json, out)),
    };
    match shown {
        Shown::Text => writeln!(out, "{report}")?,
        Shown::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        Shown::Prometheus => write!(out, "{}", Exposition(&report))?,
    }
    Ok(exit(if report.faults.is_empty() { FINE } else { FOUND }))
}

/// `curb reload`.
pub(crate) async fn reload(run_dir: &Path, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let reloaded: Reloaded = match answer(run_dir, Op::Reload).await {
        Ok(reloaded) => reloaded,
        Err(error) => return Ok(fail(&error, error.exit_code(), json, out)),
    };
    if json {
        serde_json::to_writer_pretty(&mut *out, &reloaded)?;
        writeln!(out)?;
    } else {
        let list = |words: &[String]| {
            if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
        };
        for problem in &reloaded.problems {
            writeln!(out, "{problem}")?;
        }
        if reloaded.accepted {
            writeln!(out, "changed: {}", list(&reloaded.changed))?;
        } else if reloaded.changed.is_empty() {
            writeln!(out, "refused: nothing has changed")?;
        } else {
            writeln!(out, "stopped half way; changed: {}", list(&reloaded.changed))?;
        }
        if !reloaded.needs_restart.is_empty() {
            writeln!(out, "takes effect at the next start: {}", list(&reloaded.needs_restart))?;
        }
    }
    Ok(exit(if reloaded.accepted { FINE } else { USAGE }))
}

/// `curb tap`.
pub(crate) async fn tap(run_dir: &Path, tap: Tap, out: &mut impl Write) -> io::Result<ExitCode> {
    let Tap { points, count, wait, at, verbose, capture, json } = tap;
    if let Some(why) = misuse(at, &points, capture.is_some()) {
        return Ok(complain(why, USAGE, json, out));
    }
    let mut file = match capture.map(|path| (File::create_new(&path), path)) {
        None => None,
        Some((Ok(mut file), _)) => {
            writeln!(file, "{}", serde_json::json!({ "v": 1, "capture": at }))?;
            Some(file)
        }
        Some((Err(error), path)) => {
            let text = format!("failed to make {}: {error}", path.display());
            return Ok(complain(&text, CANNOT, json, out));
        }
    };
    let mut call = match control::ask(run_dir, Op::Tap { at, points }).await {
        Ok(call) => call,
        Err(error) => return Ok(fail(&error, error.exit_code(), json, out)),
    };
    let mut shown = 0;
    let showing = async {
        while count.is_none_or(|count| shown < count) {
            let Some(line) = call.next().await? else {
                break;
            };
            let (text, missed) = in_words(at, line.get(), verbose).map_err(control::Error::Answer)?;
            let text = if json { line.get() } else { &text };
            let noticed = if missed > 0 {
                writeln!(io::stderr(), "at least {missed} were not shown: this caller is too slow")
            } else {
                Ok(())
            };
            let captured = file.as_mut().map_or(Ok(()), |file| writeln!(file, "{line}"));
            let written = writeln!(out, "{text}").and_then(|()| out.flush());
            if noticed.and(captured).and(written).is_err() {
                // Whoever read our output has gone: `curb tap | head`.
                break;
            }
            shown += 1;
        }
        Ok::<(), control::Error>(())
    };
    let ended = match wait {
        Some(wait) => tokio::time::timeout(wait, showing).await.unwrap_or(Ok(())),
        None => showing.await,
    };
    match ended {
        Ok(()) => Ok(exit(if count.is_some_and(|count| shown < count) { FOUND } else { FINE })),
        Err(error) => Ok(fail(&error, error.exit_code(), json, out)),
    }
}

/// What cannot be asked for.
fn misuse(at: TapPoint, points: &[String], capture: bool) -> Option<&'static str> {
    match at {
        TapPoint::Source if capture => Some(
            "refused: what is read has not passed the plugins yet, and need not leave the hub; capture at pipeline or uplink",
        ),
        TapPoint::Uplink if !points.is_empty() => Some("messages have no point names: leave -t away at uplink"),
        TapPoint::Source | TapPoint::Pipeline | TapPoint::Uplink => None,
    }
}

/// A line for people, and how many were missed before it.
fn in_words(at: TapPoint, line: &str, verbose: bool) -> Result<(String, u64), serde_json::Error> {
    if at == TapPoint::Uplink {
        let sent: SentLine = serde_json::from_str(line)?;
        return Ok((sent.text(verbose), sent.missed));
    }
    let reading: Line = serde_json::from_str(line)?;
    Ok((reading.text(verbose), reading.missed))
}

async fn answer<T: serde::de::DeserializeOwned>(run_dir: &Path, op: Op) -> Result<T, control::Error> {
    let asking = async {
        let mut call: Call = control::ask(run_dir, op).await?;
        let gone = || control::Error::Talk(io::ErrorKind::UnexpectedEof.into());
        let line = call.next().await?.ok_or_else(gone)?;
        serde_json::from_str(line.get()).map_err(control::Error::Answer)
    };
    let late = |_| Err(control::Error::Talk(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late)
}
