//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{Names, Setting, Settings, join};

use crate::part::Statistic;
use crate::rule::{Empty, Plan};
use crate::state;

/// From the end of a window to the end of the next. A shorter one would hold less than what a hub reads in one round; a longer
/// one than a day is no window over readings but a bill.
const EVERY: (i64, i64) = (SECOND, 24 * HOUR);

/// How long a window is at most.
const OVER_MOST: i64 = 7 * 24 * HOUR;

/// How long a window stays open behind its end: at most, and if nothing is said. What a hub reads is here within a second;
/// twice that, so that a tick at the end of a window does not shut out the last round.
const LATENESS: (i64, i64) = (HOUR, 2 * SECOND);

/// What the windows of all points may take of the 256 KiB that a hub keeps.
const STATE_MOST: usize = 192 << 10;

const STATS: &str = "stats: expected one or more of min, mean, max, p95, count and sum, each once";

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// What becomes of the readings themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// They pass.
    Keep,
    /// They stay here.
    Drop,
}

/// What windows are aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Hub time as it was at the first start; from there on they are even.
    Hub,
    /// UTC, as soon as the hub knows it.
    Utc,
}

/// All settings.
#[derive(Debug)]
pub struct Wishes {
    /// The rule's part.
    pub plan: Plan,
    /// What a window tells.
    pub statistics: Vec<Statistic>,
    /// What windows are aligned to.
    pub align: Align,
    /// What becomes of the readings themselves.
    pub raw: Raw,
    /// The stream of the results.
    pub output: String,
    /// What the results are called.
    pub names: Names,
}

/// Reads `[plugin.NAME] settings = { .. }` of a plugin that sees so many points.
///
/// # Errors
/// A setting is missing, is none, or is out of its range, or what they ask for together is more than a hub keeps.
pub fn wishes(mut settings: Settings, points: usize) -> Result<Wishes, String> {
    let every =
        duration(&mut settings, "every", None, EVERY, "1s to 24h: how long a window is, as in every = \"60s\"")?;
    let over = duration(&mut settings, "over", Some(every), (every, OVER_MOST), "every to 168h")?;
    let parts = u32::try_from(over / every).ok().filter(|_| over % every == 0);
    let parts = parts.ok_or("over: expected a multiple of every: a window is made of parts of that length")?;
    let lateness = duration(&mut settings, "lateness", Some(LATENESS.1), (0, LATENESS.0), "0s to 1h")?;
    let statistics = statistics(settings.list("stats")?)?;
    let with_tail = statistics.contains(&Statistic::P95);
    let empty = if is(&mut settings, "empty", "bad", "silent")? { Empty::Bad } else { Empty::Silent };
    let align = if is(&mut settings, "align", "utc", "hub")? { Align::Utc } else { Align::Hub };
    let raw = if is(&mut settings, "raw", "keep", "drop")? { Raw::Keep } else { Raw::Drop };
    let output = settings.text("output")?.unwrap_or_else(|| "window".to_owned());
    let names = Names::take(&mut settings)?;
    settings.finish()?;

    // One that is being filled, those that wait for late readings, and one more while windows move with the UTC offset.
    let waiting = usize::try_from((lateness + every - 1) / every).unwrap_or(usize::MAX);
    let needed = waiting.saturating_add(parts as usize).saturating_add(1);
    // Each point has its share, which is more where windows come faster than they can be told.
    let share = (STATE_MOST / points.max(1)).saturating_sub(state::POINT_BYTES);
    let most_parts = share / state::part_bytes(with_tail);
    if needed > most_parts {
        return Err(join(&[
            "over: more parts than a hub keeps, of ",
            &points.to_string(),
            " points; expected fewer of them, a longer every, a shorter over or lateness, or no p95",
        ]));
    }
    let plan = Plan { every, parts, lateness, with_tail, empty, most_parts };
    Ok(Wishes { plan, statistics, align, raw, output, names })
}

/// A duration in nanoseconds.
fn duration(
    settings: &mut Settings,
    name: &str,
    default: Option<i64>,
    (least, most): (i64, i64),
    expected: &str,
) -> Result<i64, String> {
    let value = settings.duration(name)?.or(default).filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| join(&[name, ": expected ", expected]))
}

/// Whether a setting is there and is `word`, not `default`.
fn is(settings: &mut Settings, name: &str, word: &str, default: &str) -> Result<bool, String> {
    match settings.text(name)? {
        Some(text) if text == word => Ok(true),
        Some(text) if text != default => {
            Err(join(&[name, ": found \"", &text, "\", expected ", default, " or ", word]))
        }
        Some(_) | None => Ok(false),
    }
}

fn statistics(list: Option<Vec<Setting>>) -> Result<Vec<Statistic>, String> {
    let Some(list) = list else { return Ok(vec![Statistic::Mean]) };
    let mut statistics = Vec::new();
    for setting in list {
        let is_meant = |statistic: &Statistic| matches!(&setting, Setting::Text(text) if text == statistic.word());
        match Statistic::ALL.into_iter().find(is_meant) {
            Some(statistic) if !statistics.contains(&statistic) => statistics.push(statistic),
            Some(_) | None => return Err(STATS.to_owned()),
        }
    }
    if statistics.is_empty() { Err(STATS.to_owned()) } else { Ok(statistics) }
}
