//! Who is wrong where a stream does not close. Pure.
//!
//! The core is, if it lacks what it has receipted, or what it has taken in. The hub is (or a broker that acknowledged and
//! lost; from here they look the same), if it told numbers that it neither sent nor has waiting. While what is missing may
//! wait on the hub, nobody is.
//!
//! A gap record comes before the counters that belong to it where no later message of the stream carries them: the hub tells
//! those each minute, behind what else waits. So until then more is told as lost than was ever counted as read, and that is no
//! mistake of anybody.

use super::balance::{Ended, GapEntry, Line, Loss};

/// Counters that belong to a gap record were told, if the hub has been heard so much later: it tells them each minute
/// (`counts_every` of its store), and half a minute more is for the commit and the way.
const COUNTED_WITHIN_MS: i64 = 90_000;

/// What a hub said of itself last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// When that came, UTC in milliseconds since 1970.
    pub(super) received_ms: i64,
    pub(super) online: bool,
    /// Messages and readings that wait on it; `None` if it never said.
    pub(super) queue: Option<Loss>,
}

/// On which side the mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// On neither, as far as anybody can tell: what is missing waits on the hub, or may.
    Waits,
    /// On the hub's, or on the way.
    Hub,
    /// On ours.
    Core,
}

impl Side {
    /// The word in `--json`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Hub => "hub",
            Self::Core => "core",
        }
    }
}

/// A stream that does not close: on which side, and the sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) side: Side,
    pub(super) text: String,
}

/// Up to when a hub has told all that it had to tell, UTC in milliseconds since 1970; `None` where nothing shows it. Either it
/// had nothing waiting, or what it read at `newest_ms` has come: records and readings leave a hub in one order.
pub(super) fn heard_ms(standing: Option<Standing>, newest_ms: Option<i64>) -> Option<i64> {
    let idle = standing.filter(|s| s.online && s.queue.is_some_and(|queue| queue.messages == 0)).map(|s| s.received_ms);
    idle.max(newest_ms)
}

/// Readings in gap records whose counters may still be on the way. A run that is over has told its last.
pub(super) fn uncounted(gaps: &[GapEntry], ended: Ended, heard_ms: Option<i64>) -> u64 {
    if ended != Ended::Running {
        return 0;
    }
    let is_fresh =
        |gap: &&GapEntry| heard_ms.is_none_or(|heard| heard < gap.received_ms.saturating_add(COUNTED_WITHIN_MS));
    gaps.iter().filter(is_fresh).fold(0, |sum, gap| sum.saturating_add(gap.count))
}

/// What else is known where a stream does not close.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    /// When the first message behind the hole came; 0 where that is not known.
    pub(super) hole_ms: i64,
    /// Readings in gap records whose counters may still be on the way: see [`uncounted`].
    pub(super) uncounted: u64,
}

/// Judges one stream, and moves what waits by the hub's word from its unaccounted to its waiting. `left` is what of the
/// hub's queue no other stream has taken yet.
pub(super) fn judge(
    line: &mut Line,
    standing: Option<Standing>,
    left: &mut Loss,
    evidence: Evidence,
) -> Option<Finding> {
    if line.closes() {
        return None;
    }
    let finding = |side, text| Some(Finding { side, text });
    let Loss { messages: gone, readings: gone_readings } = line.lost;
    if gone > 0 || gone_readings > 0 {
        return finding(
            Side::Core,
            format!("core side: {gone} message(s) with {gone_readings} reading(s) were held here and are gone"),
        );
    }
    let Some(first) = line.missing.first().map(|hole| hole.first) else {
        let unaccounted = line.sums.unaccounted;
        if (-i128::from(evidence.uncounted)..0).contains(&unaccounted) {
            let early = -unaccounted;
            let text =
                format!("waiting for counters: the hub has told {early} reading(s) as lost, and not yet as read");
            return finding(Side::Waits, text);
        }
        return finding(
            Side::Hub,
            if unaccounted > 0 {
                format!("hub side: it read {unaccounted} more than it sent, filtered, refused or told a gap for")
            } else {
                format!("hub side: it sent or told a gap for {} reading(s) that it never counted as read", -unaccounted)
            },
        );
    };
    let (messages, readings) = (line.messages(), line.readings());
    let what = format!("{messages} message(s) with {readings} reading(s) from number {first} on");
    if first <= line.receipted {
        return finding(Side::Core, format!("core side: it receipted {what}, and does not hold them"));
    }
    let Some(standing) = standing else {
        return finding(Side::Waits, format!("missing: {what}; no status of the hub says whether they wait there"));
    };
    if messages <= left.messages && readings <= left.readings {
        left.messages -= messages;
        left.readings -= readings;
        line.sums.waiting = readings;
        line.sums.unaccounted -= i128::from(readings);
        return finding(Side::Waits, format!("waiting on the hub: {what}"));
    }
    if !standing.online {
        return finding(Side::Waits, format!("missing: {what}; the hub is away, and they may wait there"));
    }
    if standing.queue.is_none() || standing.received_ms < evidence.hole_ms {
        return finding(
            Side::Waits,
            format!("missing: {what}; the hub has not said since then whether they wait there"),
        );
    }
    finding(Side::Hub, format!("hub side, or the way from it: {what} were never sent, and do not wait there"))
}
