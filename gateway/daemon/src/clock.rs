//! The wall clock: the one place that reads it, and who may be believed about it.
//!
//! Hub time runs by itself ([`HubClock`]). This module decides now and then whether the wall clock is trusted, and says
//! what changed. It never sets a clock, and it never guesses: a time that merely looks plausible is not trusted.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curb_model::{HubClock, UtcOffset};
use curb_wire::record::ClockEvent;
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::ClockTrust;

/// A wall clock before this day is wrong, whoever vouches for it: 2026-01-01, before Curb's first release.
const FLOOR: Duration = Duration::from_secs(1_767_225_600);

/// A smaller difference is the clock being slewed, not a step. Twice the greatest error that NTP over a bad radio link
/// leaves behind; a guess until a fleet has measured it.
const STEP_NANOS: u64 = 500_000_000;

/// `chronyc` talks to a daemon on the same hub; it answers in milliseconds or is stuck.
const CHRONYC_TIMEOUT: Duration = Duration::from_secs(2);

/// Written by systemd-timesyncd at its first synchronisation of a boot (systemd-timesyncd.service(8)).
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// Whom to believe, in the word of the clock record.
pub(crate) const fn trust_word(trust: ClockTrust) -> &'static str {
    match trust {
        ClockTrust::Ntp => "ntp",
        ClockTrust::System => "system",
    }
}

/// How often to look. Asking chrony starts a process; the system's clock costs nothing.
pub(crate) const fn period(trust: ClockTrust) -> Duration {
    match trust {
        ClockTrust::Ntp => Duration::from_secs(10),
        ClockTrust::System => Duration::from_secs(1),
    }
}

/// What the wall clock is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// UTC = hub time + offset.
    Trusted(UtcOffset),
    /// Nobody vouches for it yet.
    Unsynchronised,
    /// It shows a day before [`FLOOR`].
    BeforeFloor,
}

/// Decides what the wall clock is worth: pure, so that 1970 and a lost synchronisation are table tests.
pub(crate) fn judge(synchronised: bool, wall: Duration, hub_nanos: i64) -> Verdict {
    if wall < FLOOR {
        return Verdict::BeforeFloor;
    }
    if !synchronised {
        return Verdict::Unsynchronised;
    }
    let wall = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
    Verdict::Trusted(UtcOffset::from_nanos(wall.saturating_sub(hub_nanos)))
}

/// What changed between two verdicts, as a clock record tells it; `None` for a slew or no change.
pub(crate) fn change(before: Option<UtcOffset>, now: Verdict) -> Option<ClockEvent> {
    match (before, now) {
        (None, Verdict::Trusted(_)) => Some(ClockEvent::Trusted),
        (Some(before), Verdict::Trusted(now)) => {
            (before.as_nanos().abs_diff(now.as_nanos()) > STEP_NANOS).then_some(ClockEvent::Stepped)
        }
        (Some(_), Verdict::Unsynchronised | Verdict::BeforeFloor) => Some(ClockEvent::Lost),
        (None, Verdict::Unsynchronised | Verdict::BeforeFloor) => None,
    }
}

/// Looks at the wall clock and at those who vouch for it.
///
/// # Cancel safety
/// Nothing is lost by dropping it; the next look starts afresh.
pub(crate) async fn look(trust: ClockTrust, clock: &HubClock) -> Verdict {
    let synchronised = match trust {
        ClockTrust::System => true,
        ClockTrust::Ntp => Path::new(TIMESYNCD).exists() || chrony_is_synchronised().await,
    };
    judge(synchronised, wall(), clock.now().as_nanos())
}

/// The wall clock as it stands, trusted or not. For log lines and certificate checks, never for a reading.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// The wall clock in words, for a fault's detail.
pub(crate) fn wall_text() -> String {
    text(i64::try_from(wall().as_millis()).unwrap_or(i64::MAX))
}

/// UTC milliseconds since 1970 in words, to the second.
pub(crate) fn text(utc_ms: i64) -> String {
    let seconds = utc_ms.div_euclid(1_000);
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    date.and_then(|date| date.format(format).ok()).unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// chrony's own statement: field 14 of `chronyc -c tracking` is the leap status, "Not synchronised" until it is.
async fn chrony_is_synchronised() -> bool {
    let tracking = Command::new("chronyc").args(["-c", "tracking"]).kill_on_drop(true).output();
    match timeout(CHRONYC_TIMEOUT, tracking).await {
        Ok(Ok(output)) if output.status.success() => chrony_says_so(&String::from_utf8_lossy(&output.stdout)),
        _ => false,
    }
}

fn chrony_says_so(tracking: &str) -> bool {
    tracking
        .trim_end()
        .split(',')
        .nth(13)
        .is_some_and(|leap| matches!(leap, "Normal" | "Insert second" | "Delete second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_555_555);

    #[test]
    fn a_clock_at_1970_is_not_trusted_whoever_vouches() {
        assert_eq!(judge(true, Duration::from_secs(5), 0), Verdict::BeforeFloor);
        assert_eq!(judge(false, NOW, 0), Verdict::Unsynchronised);
        let hub_nanos = 1_000_000_000;
        let offset = UtcOffset::from_nanos((1_795_555_555 - 1) * 1_000_000_000);
        assert_eq!(judge(true, NOW, hub_nanos), Verdict::Trusted(offset));
    }

    #[test]
    fn a_step_is_an_event_and_a_slew_is_not() {
        let at = UtcOffset::from_nanos;
        let trusted = |nanos| Verdict::Trusted(at(nanos));
        assert_eq!(change(None, trusted(0)), Some(ClockEvent::Trusted));
        assert_eq!(change(Some(at(0)), trusted(400_000_000)), None);
        assert_eq!(change(Some(at(0)), trusted(-600_000_000)), Some(ClockEvent::Stepped));
        assert_eq!(change(Some(at(0)), Verdict::Unsynchronised), Some(ClockEvent::Lost));
        assert_eq!(change(Some(at(0)), Verdict::BeforeFloor), Some(ClockEvent::Lost));
        assert_eq!(change(None, Verdict::Unsynchronised), None);
    }

    #[test]
    fn chrony_is_taken_at_its_word() {
        let line =
            |leap| format!("C0248F97,192.36.143.151,2,1730000000.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,64.2,{leap}\n");
        assert!(chrony_says_so(&line("Normal")));
        assert!(!chrony_says_so(&line("Not synchronised")));
        assert!(!chrony_says_so(""));
    }
}
