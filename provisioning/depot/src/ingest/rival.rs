//! Whether somebody else has our client id, as far as it can be told from how connections end. Pure.
//!
//! A broker ends the older of two connections with one client id. Some say so (MQTT 5, reason 0x8E), and some, such as
//! mosquitto 2.0.11, just close it. Then each of the two comes back and throws the other out, for ever, and both look as if
//! the broker had a trouble of its own.

use std::time::Duration;

/// A connection that stood so long was not thrown out by somebody who comes back as we do: no wait is longer than half of it.
const SHORT: Duration = Duration::from_secs(30);

/// So many in a row are no accident of the line. A guess: a broker that restarts ends one, or two.
const IN_A_ROW: u32 = 3;

/// Counts connections that stood and were closed soon.
#[derive(Debug, Default)]
pub(super) struct Rival {
    closed: u32,
}

impl Rival {
    /// Takes the end of a connection, and how long it stood; none if it did not, or was not closed from outside. Says whether a
    /// rival is likely now.
    pub(super) fn closed_after(&mut self, stood: Option<Duration>) -> bool {
        self.closed = if stood.is_some_and(|stood| stood < SHORT) { self.closed.saturating_add(1) } else { 0 };
        self.closed >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_suspected_when_short_connections_are_closed_in_a_row() {
        let check = |what: &str, ends: &[Option<u64>], expected: bool| {
            let (mut rival, mut likely) = (Rival::default(), false);
            for lasted in ends {
                likely = rival.closed_after(lasted.map(Duration::from_secs));
            }
            assert_eq!(likely, expected, "{what}");
        };
        check("a broker that restarts", &[Some(86_400), Some(2)], false);
        check("a fight", &[Some(86_400), Some(1), Some(0), Some(14)], true);
        check("a fight that is over", &[Some(1), Some(1), Some(1), Some(90)], false);
        check("a line that breaks before anything stands", &[Some(1), Some(1), None, Some(1)], false);
    }
}
