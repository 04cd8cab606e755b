//! A refusal that ends the connection and names no message. Pure.
//!
//! The core says "packet too large" (0x95) by DISCONNECT, or breaks the connection behind a PUBACK that is lost with it
//! (mosquitto with a `message_size_limit`). Without more, the message would be sent again on the next connection, and
//! again, and nothing behind it would ever leave the hub. So packets go one at a time on the next connection, also after
//! two that ended at the same row: what the broker said of it is lost if we were just sending more. They go so until it
//! is said with one in flight: that is the one. Its size is remembered for a while: else each large message would cost
//! two connections.

use std::time::{Duration, Instant};

use curb_model::RowId;

use crate::reason::PACKET_TOO_LARGE;

/// How long a size is taken for too large, or for one that passes. Then one is tried: somebody may have raised the broker's limit,
/// or lowered it.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Packets that go alone at most: more than were in flight, so that the one that was meant is among them.
const SUSPECTS: u32 = 64;

/// What is known of such refusals; it outlives connections.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// So many packets go alone yet.
    suspects: u32,
    /// A packet of so many bytes was too large, and when.
    too_large: Option<(usize, Instant)>,
    /// The largest packet that was taken of late, and when: no size up to it is too large, whatever the broker says of one.
    passed: Option<(usize, Instant)>,
    /// The row at which the last connection ended.
    stuck: Option<RowId>,
    /// How large packets are to be made, because the broker named one that was too large; and since when.
    smaller: Option<(usize, Instant)>,
}

impl Doubt {
    /// Whether a packet may be sent beside `in_flight` others.
    pub(crate) const fn allows(&self, in_flight: usize) -> bool {
        self.suspects == 0 || in_flight == 0
    }

    /// The largest packet that is not known to be too large.
    pub(crate) fn packet_max(&self, now: Instant) -> Option<usize> {
        let (size, at) = self.too_large?;
        (now.saturating_duration_since(at) < REMEMBERED).then(|| size.saturating_sub(1))
    }

    /// How large packets are to be made at most, as far as it was learned.
    pub(crate) fn make_max(&self, now: Instant) -> Option<usize> {
        let smaller =
            self.smaller.filter(|(_, at)| now.saturating_duration_since(*at) < REMEMBERED).map(|(max, _)| max);
        self.packet_max(now).into_iter().chain(smaller).min()
    }

    /// The broker called a packet of so many bytes too large, and named it. Others of that size go out all the same, on its
    /// word only are they set aside; but those that are made from here on are smaller, half of it until they pass. Says
    /// whether that is new.
    pub(crate) fn named(&mut self, size: usize, now: Instant) -> bool {
        let smaller = (size / 2).max(self.taken(now).min(size.saturating_sub(1)));
        let new = self.make_max(now).is_none_or(|max| smaller < max);
        if new {
            self.smaller = Some((smaller, now));
        }
        new
    }

    /// The broker has answered a packet.
    pub(crate) const fn answered(&mut self) {
        self.suspects = self.suspects.saturating_sub(1);
    }

    /// It had nothing against the size of one.
    pub(crate) fn passed(&mut self, size: usize, now: Instant) {
        if size >= self.taken(now) {
            self.passed = Some((size, now));
        }
    }

    /// The size up to which all were taken; 0 where none was of late: somebody may have lowered the broker's limit.
    fn taken(&self, now: Instant) -> usize {
        self.passed.filter(|(_, at)| now.saturating_duration_since(*at) < REMEMBERED).map_or(0, |(size, _)| size)
    }

    /// The connection ended without a word; this was the oldest row unanswered.
    pub(crate) fn left(&mut self, row: RowId) {
        if self.stuck.replace(row) == Some(row) {
            self.suspects = SUSPECTS;
        }
    }

    /// The connection ended with this code. `in_flight` packets were unanswered, the last one of `size` bytes. Says
    /// whether it is known that this one was meant.
    pub(crate) fn refused(&mut self, code: u8, in_flight: usize, size: usize, now: Instant) -> bool {
        let known = in_flight == 1;
        self.suspects = if known || in_flight == 0 { 0 } else { SUSPECTS };
        if known && code == PACKET_TOO_LARGE && size > self.taken(now) {
            self.too_large = Some((size, now));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_that_was_meant_is_found_by_sending_alone() {
        let (mut doubt, now) = (Doubt::default(), Instant::now());
        assert!(doubt.allows(15) && doubt.packet_max(now).is_none());
        assert!(!doubt.refused(PACKET_TOO_LARGE, 3, 900, now), "one of three, nobody knows which");
        assert!(doubt.allows(0) && !doubt.allows(1));
        doubt.answered();
        assert!(doubt.refused(PACKET_TOO_LARGE, 1, 700, now));
        assert!(doubt.allows(15));
        assert_eq!(doubt.packet_max(now), Some(699));
        assert_eq!(doubt.packet_max(now + REMEMBERED), None, "somebody may have raised the limit");
    }

    #[test]
    fn after_a_packet_that_is_named_too_large_smaller_ones_are_made_until_they_pass() {
        let (mut doubt, now) = (Doubt::default(), Instant::now());
        doubt.passed(300, now);
        assert!(doubt.named(1_000, now));
        assert_eq!((doubt.make_max(now), doubt.packet_max(now)), (Some(500), None), "nothing is set aside unsent");
        assert!(!doubt.named(1_000, now), "one that was made before");
        assert!(doubt.named(500, now));
        assert_eq!(doubt.make_max(now), Some(300), "as large as what has passed");
        assert_eq!(doubt.make_max(now + REMEMBERED), None, "somebody may have raised the limit");
    }

    #[test]
    fn a_broker_that_takes_all_suspects_is_trusted_again() {
        let (mut doubt, now) = (Doubt::default(), Instant::now());
        doubt.refused(0x99, 16, 900, now);
        (0..SUSPECTS).for_each(|_| doubt.answered());
        assert!(doubt.allows(15));
        assert_eq!(doubt.packet_max(now), None, "nothing was said of sizes");
    }

    #[test]
    fn a_size_that_has_passed_is_not_learned_to_be_too_large() {
        let (mut doubt, now) = (Doubt::default(), Instant::now());
        doubt.passed(700, now);
        doubt.passed(600, now + REMEMBERED / 2);
        assert!(doubt.refused(PACKET_TOO_LARGE, 1, 700, now), "this one it is all the same");
        assert_eq!(doubt.packet_max(now), None);
        let later = now + REMEMBERED;
        assert!(doubt.refused(PACKET_TOO_LARGE, 1, 700, later));
        assert_eq!(doubt.packet_max(later), Some(699), "somebody has lowered the limit");
    }

    #[test]
    fn a_broker_that_closes_twice_at_the_same_row_gets_one_at_a_time() {
        let mut doubt = Doubt::default();
        for row in [7, 9] {
            doubt.left(RowId(row));
        }
        assert!(doubt.allows(1), "it went on meanwhile");
        doubt.left(RowId(9));
        assert!(!doubt.allows(1));
    }
}
