//! What the hub costs: bytes on the line and bytes to the card, today and this month. Days and months are those of UTC.
//!
//! Pure but for [`Keeper`], which keeps the sums over restarts in a small file, written each hour and at a clean stop: a
//! power cut costs the sums of an hour, not a reading. While the clock is not trusted nothing is added to a day; it is
//! added to the day on which the clock becomes trusted.
//!
//! Bytes to the card are what the system counts for this process (`write_bytes` of `/proc/self/io`, proc_pid_io(5)): what it
//! made dirty in files that are kept on a disk. What the card's own controller writes for that is more, and nobody can see it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use curb_durable::File;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::Instant;

/// The file in the state folder.
const FILE: &str = "usage";
/// Often enough to be of use after a power cut, and under 300 KB of a card in a day.
const KEEP_EVERY: Duration = Duration::from_secs(3_600);
/// A forecast from less than this would be the birth's bytes times a month.
const FORECAST_AFTER_S: u64 = 600;

/// Bytes in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// Both ways, headers included, as reckoned.
    pub(crate) line: u64,
    /// To the card.
    pub(crate) flash: u64,
}

impl Bytes {
    const fn add(&mut self, other: Self) {
        self.line += other.line;
        self.flash += other.flash;
    }
}

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Days since 1970; 0: none yet.
    day: i64,
    today: Bytes,
    /// Months since the year 0.
    month: i64,
    this_month: Bytes,
    /// Seconds of this month that are counted in it.
    counted_s: u64,
    /// What came while the clock was not trusted.
    undated: Bytes,
    undated_s: u64,
}

/// What `curb status` shows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsageReport {
    /// Bytes on the line today (UTC), both ways, with the headers of TLS, TCP and IP, as reckoned.
    pub(crate) line_today: u64,
    /// The same this month, as far as it was counted.
    pub(crate) line_month: u64,
    /// What the whole month will have cost at this pace; null in the first minutes, and while the clock is not trusted.
    pub(crate) line_month_forecast: Option<u64>,
    /// Bytes written to the card today (UTC); null where the system does not tell.
    pub(crate) flash_today: Option<u64>,
    pub(crate) flash_month: Option<u64>,
}

impl fmt::Display for UsageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line_today, line_month, line_month_forecast, flash_today, .. } = self;
        write!(f, "line   {} today, {} this month", size(*line_today), size(*line_month))?;
        if let Some(forecast) = line_month_forecast {
            write!(f, ", {} by its end at this pace", size(*forecast))?;
        }
        writeln!(f)?;
        match flash_today {
            Some(bytes) => writeln!(f, "card   {} written today", size(*bytes)),
            None => Ok(()),
        }
    }
}

fn size(bytes: u64) -> impl fmt::Display {
    ByteSize::b(bytes).display().si()
}

impl Usage {
    /// Adds what came in the last `seconds`. `now` is UTC in seconds since 1970, if it can be trusted.
    pub(crate) fn add(&mut self, bytes: Bytes, seconds: u64, now: Option<i64>) {
        self.undated.add(bytes);
        self.undated_s += seconds;
        let Some(now) = now.and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok()) else { return };
        let day = now.unix_timestamp().div_euclid(86_400);
        let month = i64::from(now.year()) * 12 + i64::from(u8::from(now.month()));
        if day != self.day {
            (self.day, self.today) = (day, Bytes::default());
        }
        if month != self.month {
            (self.month, self.this_month, self.counted_s) = (month, Bytes::default(), 0);
        }
        self.today.add(self.undated);
        self.this_month.add(self.undated);
        self.counted_s += self.undated_s;
        (self.undated, self.undated_s) = (Bytes::default(), 0);
    }

    /// How it stands at `now`.
    fn report(&self, now: Option<i64>) -> UsageReport {
        let forecast = now
            .and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok())
            .filter(|_| self.counted_s >= FORECAST_AFTER_S)
            .map(|now| {
                let month_s = u64::from(now.month().length(now.year())) * 86_400;
                let forecast = u128::from(self.this_month.line) * u128::from(month_s) / u128::from(self.counted_s);
                u64::try_from(forecast).unwrap_or(u64::MAX)
            });
        UsageReport {
            line_today: self.today.line,
            line_month: self.this_month.line,
            line_month_forecast: forecast,
            flash_today: Some(self.today.flash),
            flash_month: Some(self.this_month.flash),
        }
    }
}

/// The sums, with what is needed to go on with them.
#[derive(Debug)]
pub(crate) struct Keeper {
    usage: Usage,
    file: File,
    kept: Instant,
    at: Instant,
    /// What the counters said at the last look.
    line: u64,
    flash: Option<u64>,
}

impl Keeper {
    /// Goes on with what the state folder knows. A file that cannot be read is a sum that begins anew.
    pub(crate) fn open(state: &Path, now: Instant) -> Self {
        let file = File::new(state.join(FILE));
        let stored = file.read().unwrap_or_else(|error| {
            tracing::warn!("failed to know what was sent before: {}", crate::chain(&error));
            None
        });
        let usage = stored.and_then(|read| serde_json::from_slice(&read.bytes).ok()).unwrap_or_default();
        Self { usage, file, kept: now, at: now, line: 0, flash: written() }
    }

    /// Takes the counters in. `line` is the run's.
    pub(crate) fn look(&mut self, line: u64, utc: Option<i64>, now: Instant) {
        let flash = written();
        let seconds = now.saturating_duration_since(self.at).as_secs();
        let bytes = Bytes {
            line: line.saturating_sub(self.line),
            flash: flash.unwrap_or(0).saturating_sub(self.flash.unwrap_or(0)),
        };
        self.usage.add(bytes, seconds, utc);
        self.at += Duration::from_secs(seconds);
        (self.line, self.flash) = (line, flash);
        if now >= self.kept + KEEP_EVERY {
            self.kept = now;
            self.keep();
        }
    }

    /// Writes the sums down.
    pub(crate) fn keep(&self) {
        let bytes = serde_json::to_vec(&self.usage).expect("numbers can be written");
        if let Err(error) = self.file.write(&bytes) {
            tracing::warn!("failed to keep what was sent today: {}", crate::chain(&error));
        }
    }

    pub(crate) fn report(&self, utc: Option<i64>) -> UsageReport {
        let report = self.usage.report(utc);
        if self.flash.is_some() { report } else { UsageReport { flash_today: None, flash_month: None, ..report } }
    }
}

/// What this process has written to disks since it started.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30 23:00:00 UTC.
    const NIGHT: i64 = 1_796_079_600;

    fn line(bytes: u64) -> Bytes {
        Bytes { line: bytes, flash: bytes / 10 }
    }

    #[test]
    fn a_day_and_a_month_begin_at_midnight_utc() {
        let mut usage = Usage::default();
        usage.add(line(1_000), 1_800, Some(NIGHT));
        usage.add(line(500), 1_800, Some(NIGHT + 3_599));
        let UsageReport { line_today, line_month, line_month_forecast, flash_today, .. } =
            usage.report(Some(NIGHT + 3_599));
        assert_eq!((line_today, line_month, flash_today), (1_500, 1_500, Some(150)));
        assert_eq!(line_month_forecast, Some(1_500 * 24 * 30), "November has 30 days");
        usage.add(line(7), 600, Some(NIGHT + 3_600));
        let report = usage.report(Some(NIGHT + 3_600));
        assert_eq!((report.line_today, report.line_month), (7, 7));
        assert_eq!(report.line_month_forecast, Some(7 * 6 * 24 * 31));
    }

    #[test]
    fn what_came_before_the_clock_was_trusted_is_of_the_day_on_which_it_is() {
        let mut usage = Usage::default();
        usage.add(line(100), 60, None);
        usage.add(line(100), 60, None);
        let report = usage.report(None);
        assert_eq!((report.line_today, report.line_month_forecast), (0, None));
        usage.add(line(50), 60, Some(NIGHT));
        assert_eq!(usage.report(Some(NIGHT)).line_today, 250);
        assert_eq!(usage.report(Some(NIGHT)).line_month_forecast, None, "three minutes are no month");
    }

    #[test]
    fn the_sums_outlive_the_process_and_a_damaged_file_begins_them_anew() {
        let folder = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut keeper = Keeper::open(folder.path(), now);
        keeper.look(1_000, Some(NIGHT), now + Duration::from_secs(10));
        keeper.look(1_500, Some(NIGHT), now + Duration::from_secs(20));
        // No uplink runs just now.
        keeper.look(1_500, Some(NIGHT), now + Duration::from_secs(30));
        keeper.keep();
        let keeper = Keeper::open(folder.path(), now);
        assert_eq!(keeper.report(Some(NIGHT)).line_today, 1_500);
        assert_eq!(keeper.usage.counted_s, 30);
        std::fs::write(folder.path().join(FILE), b"rubbish").unwrap();
        std::fs::remove_file(folder.path().join(format!("{FILE}.previous"))).ok();
        assert_eq!(Keeper::open(folder.path(), now).report(Some(NIGHT)).line_today, 0);
    }
}
