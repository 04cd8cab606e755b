//! Who is killed next, and when. Pure, but for the seed: the same seed throws the same.

use std::time::Duration;

use fastrand::Rng;

/// Between two kills, in milliseconds. Short enough for thousands an hour, and for kills while a part still starts.
const SOON_MS: std::ops::Range<u64> = 50..1_600;
/// Now and then there is peace for so long, in milliseconds: enough for everybody to find each other, and for the back-log.
const PEACE_MS: std::ops::Range<u64> = 5_000..9_000;
/// One wait in so many is peace.
const PEACE_IN: u32 = 12;
/// The plugin host is killed so often in a life of the daemon at most. After four deaths within a minute the pipeline lets
/// readings pass as they are, which is right, and not what the judge reckons with.
const HOSTS: u32 = 3;

/// A part that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Daemon,
    Host,
    Broker,
}

impl Victim {
    pub(super) const ALL: [Self; 3] = [Self::Daemon, Self::Host, Self::Broker];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Host => "plugin host",
            Self::Broker => "broker",
        }
    }
}

/// The dice.
#[derive(Debug)]
pub(super) struct Dice {
    rng: Rng,
    hosts: u32,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), hosts: 0 }
    }

    /// How long to wait, and whom to kill then.
    pub(super) fn throw(&mut self) -> (Duration, Victim) {
        let wait = if self.rng.u32(0..PEACE_IN) == 0 { PEACE_MS } else { SOON_MS };
        let wait = Duration::from_millis(self.rng.u64(wait));
        // The daemon twice as often as its parts and its peers: it is what is tested.
        let victim = match self.rng.u8(0..4) {
            0 if self.hosts < HOSTS => Victim::Host,
            1 => Victim::Broker,
            _ => Victim::Daemon,
        };
        self.hosts = match victim {
            Victim::Daemon => 0,
            Victim::Host => self.hosts + 1,
            Victim::Broker => self.hosts,
        };
        (wait, victim)
    }
}
