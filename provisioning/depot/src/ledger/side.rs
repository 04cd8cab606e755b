//! Who is wrong where a stream does not close. Pure.
//!
//! The core is, if it lacks what it has receipted, or what it has taken in. The hub is (or a broker that acknowledged and
//! lost; from here they look the same), if it told numbers that it neither sent nor has waiting. While what is missing may
//! wait on the hub, nobody is.

use super::balance::{Line, Loss};

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

/// Judges one stream, and moves what waits by the hub's word from its unaccounted to its waiting. `left` is what of the
/// hub's queue no other stream has taken yet. `evident_ms` is when the first message behind the hole came; 0 where that is
/// not known.
pub(super) fn judge(line: &mut Line, standing: Option<Standing>, left: &mut Loss, evident_ms: i64) -> Option<Finding> {
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
        return finding(
            Side::Hub,
            if unaccounted > 0 {
                format!("hub side: it read {unaccounted} more than it sent, filtered, refused or told a gap for")
            } else {
                format!("hub side: the core holds {} reading(s) that the hub never counted as read", -unaccounted)
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
    if standing.queue.is_none() || standing.received_ms < evident_ms {
        return finding(
            Side::Waits,
            format!("missing: {what}; the hub has not said since then whether they wait there"),
        );
    }
    finding(Side::Hub, format!("hub side, or the way from it: {what} were never sent, and do not wait there"))
}
