//! The table of what arrives at the core: in place on a terminal, a line every few seconds where there is none.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::judge::{Accepted, Arrived};

/// How often a line is printed where there is no terminal.
const LINE_EVERY_S: u64 = 5;

/// What arrived last of a point.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    value: String,
    unit: String,
    quality: String,
    time_ms: Option<i64>,
    delay_ms: Option<i64>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
    readings: u64,
    duplicates: u64,
    /// Lines on the terminal that the next table is written over.
    shown: usize,
    terminal: bool,
    folder: PathBuf,
}

impl Table {
    /// An empty table; the demo's files are in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        let terminal = stdout().is_terminal();
        Self { rows: BTreeMap::new(), readings: 0, duplicates: 0, shown: 0, terminal, folder: folder.to_owned() }
    }

    /// Takes in what arrived.
    pub(super) fn take(&mut self, message: &Accepted) {
        let count = message.readings.len() as u64;
        if message.duplicate {
            self.duplicates += count;
            return;
        }
        self.readings += count;
        for Arrived { point, value, unit, quality, time_ms } in &message.readings {
            let value = if value.is_null() { "–".to_owned() } else { value.to_string() };
            let row = Row {
                value,
                unit: unit.clone().unwrap_or_default(),
                quality: quality.clone(),
                time_ms: *time_ms,
                delay_ms: time_ms.map(|time_ms| message.received_ms - time_ms),
            };
            // What arrives late after an outage must not stand over what is newer.
            if self.rows.get(point).is_none_or(|shown| shown.time_ms <= row.time_ms) {
                self.rows.insert(point.clone(), row);
            }
        }
    }

    /// Prints a line that stays.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Error> {
        self.shown = 0;
        writeln!(stdout(), "· {text}").map_err(Error::Terminal)
    }

    /// Shows the table as it is `elapsed` into the demo.
    pub(super) fn show(&mut self, elapsed: Duration, now_ms: i64, core_is_there: bool) -> Result<(), Error> {
        let seconds = elapsed.as_secs();
        if !self.terminal && !seconds.is_multiple_of(LINE_EVERY_S) {
            return Ok(());
        }
        let core = if core_is_there { "there" } else { "AWAY" };
        let head = format!(
            "{seconds:>4} s · core {core} · {} readings arrived · {} copies removed · delay {}",
            self.readings,
            self.duplicates,
            self.delay().map_or_else(|| "–".to_owned(), |delay| format!("{delay} ms (median)")),
        );
        let text = if self.terminal { self.block(&head, now_ms) } else { format!("{head}\n") };
        let mut out = stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Terminal)
    }

    /// The whole table, over the one that was shown before.
    fn block(&mut self, head: &str, now_ms: i64) -> String {
        let mut lines = vec![
            head.to_owned(),
            format!("{:<24} {:>12} {:<6} {:<14} {:>6} {:>8}", "POINT", "VALUE", "UNIT", "QUALITY", "AGE", "DELAY"),
        ];
        for (point, Row { value, unit, quality, time_ms, delay_ms }) in &self.rows {
            let age = time_ms.map_or_else(String::new, |time_ms| format!("{} s", (now_ms - time_ms).max(0) / 1000));
            let delay = delay_ms.map_or_else(String::new, |delay_ms| format!("{delay_ms} ms"));
            lines.push(format!("{point:<24} {value:>12} {unit:<6} {quality:<14} {age:>6} {delay:>8}"));
        }
        lines.push(format!("logs and settings: {}", self.folder.display()));
        let back = if self.shown > 0 { format!("\x1b[{}A", self.shown) } else { String::new() };
        self.shown = lines.len();
        // Each line is cleared to its end, then what is left of a longer table below.
        back + &lines.iter().map(|line| format!("{line}\x1b[K\n")).collect::<String>() + "\x1b[J"
    }

    /// The median delay from hub to core of what arrived last of each point.
    fn delay(&self) -> Option<i64> {
        let mut delays: Vec<i64> = self.rows.values().filter_map(|row| row.delay_ms).collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }
}
