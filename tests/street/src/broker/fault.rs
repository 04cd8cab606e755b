//! The bestiary: what brokers have been seen doing to their clients, each with a name.

use std::fmt;
use std::time::Duration;

/// Messages that a broker keeps for a sleeping subscriber at most. Real ones keep some hundred or thousand.
pub(super) const ASLEEP_MAX: usize = 5;
/// The packet size that a small broker announces, in bytes.
pub(super) const SMALL_PACKET: u32 = 1024;
/// Of so many data messages one is refused, or left out.
const EVERY: u64 = 3;
/// How late a late acknowledgement is.
const LATE: Duration = Duration::from_secs(2);
/// How far apart acknowledgements are that overtake each other.
const APART: Duration = Duration::from_millis(150);
/// How long a busy broker takes with a message.
const BUSY: Duration = Duration::from_millis(30);

/// What a broker does wrong, or with less than its clients may hope for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nobody subscribes: it acknowledges with 0x10.
    NoSubscriber,
    /// It takes everything with 0x00 for a subscriber that sleeps, and drops what is too much for its queue.
    SleepingSubscriber,
    /// Later acknowledgements overtake earlier ones.
    OutOfOrder,
    /// It takes messages, answers pings, and acknowledges nothing.
    Never,
    /// It acknowledges after two seconds.
    Late,
    /// It acknowledges each message twice.
    Twice,
    /// One message in three is never acknowledged; those behind it are.
    LeavesOut,
    /// It comes back without the sessions that it had, and without what it had taken for them.
    SessionLost,
    /// It forgets what the hub subscribed to, and does not say so.
    SubscriptionLost,
    /// It stops reading in the middle of a packet, and the connection stands.
    StopsReading,
    /// It refuses one message in three with this code in its acknowledgement.
    Refuses(u8),
    /// It ends the connection with 0x95 over each message that is larger than it takes, which it has not told.
    ThrowsOut,
    /// It takes one message at a time, slowly.
    ReceiveMaximum1,
    /// It takes packets of 1,024 bytes.
    PacketSizeSmall,
    /// It dies between a PUBLISH and its acknowledgement, sometimes with the message passed on.
    DiesBetween,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::NoSubscriber,
        Self::SleepingSubscriber,
        Self::OutOfOrder,
        Self::Never,
        Self::Late,
        Self::Twice,
        Self::LeavesOut,
        Self::SessionLost,
        Self::SubscriptionLost,
        Self::StopsReading,
        Self::Refuses(0x80),
        Self::Refuses(0x87),
        Self::Refuses(0x90),
        Self::Refuses(0x95),
        Self::Refuses(0x97),
        Self::ThrowsOut,
        Self::ReceiveMaximum1,
        Self::PacketSizeSmall,
        Self::DiesBetween,
    ];

    /// Whether what it does to the hub stays with the connection that met it, healed or not.
    pub(super) const fn stays(self) -> bool {
        matches!(self, Self::Never | Self::LeavesOut | Self::StopsReading)
    }

    /// Whether subscribers get nothing while it is on.
    pub(super) const fn is_asleep(self) -> bool {
        matches!(self, Self::SleepingSubscriber | Self::SessionLost)
    }

    /// What CONNACK says to the hub: receive maximum and packet size.
    pub(super) const fn limits(self) -> (Option<u16>, Option<u32>) {
        match self {
            Self::ReceiveMaximum1 => (Some(1), None),
            Self::PacketSizeSmall => (None, Some(SMALL_PACKET)),
            Self::NoSubscriber
            | Self::SleepingSubscriber
            | Self::OutOfOrder
            | Self::Never
            | Self::Late
            | Self::Twice
            | Self::LeavesOut
            | Self::SessionLost
            | Self::SubscriptionLost
            | Self::StopsReading
            | Self::Refuses(_)
            | Self::ThrowsOut
            | Self::DiesBetween => (None, None),
        }
    }

    /// What becomes of a data message, the `count`-th of its connection from 0 on and `size` bytes on the wire; it is the
    /// `bite`-th that meets the fault.
    pub(super) fn treat(self, count: u64, bite: u64, size: usize) -> Treatment {
        let now = Duration::ZERO;
        let taken = Treatment { pass_on: true, code: 0, acks: vec![now], then: Then::GoOn };
        match self {
            Self::NoSubscriber => Treatment { pass_on: false, code: 0x10, ..taken },
            Self::OutOfOrder => {
                let turns = u32::try_from(2 - count % 3).unwrap_or_default();
                Treatment { acks: vec![APART * turns], ..taken }
            }
            Self::Never => Treatment { pass_on: false, acks: Vec::new(), ..taken },
            Self::Late => Treatment { acks: vec![LATE], ..taken },
            Self::Twice => Treatment { acks: vec![now, now], ..taken },
            Self::LeavesOut if count % EVERY == 1 => Treatment { acks: Vec::new(), ..taken },
            Self::StopsReading => Treatment { pass_on: false, acks: Vec::new(), then: Then::Deaf, ..taken },
            Self::Refuses(code) if count % EVERY == 1 => Treatment { pass_on: false, code, ..taken },
            Self::ThrowsOut if size > usize::try_from(SMALL_PACKET).unwrap_or_default() => {
                Treatment { pass_on: false, acks: Vec::new(), then: Then::Disconnect(0x95), ..taken }
            }
            Self::ReceiveMaximum1 => Treatment { acks: vec![BUSY], ..taken },
            Self::DiesBetween if count % EVERY == 1 => {
                Treatment { pass_on: bite.is_multiple_of(2), acks: Vec::new(), then: Then::Close, ..taken }
            }
            Self::SleepingSubscriber
            | Self::SessionLost
            | Self::SubscriptionLost
            | Self::PacketSizeSmall
            | Self::LeavesOut
            | Self::Refuses(_)
            | Self::ThrowsOut
            | Self::DiesBetween => taken,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSubscriber => "no-subscriber",
            Self::SleepingSubscriber => "sleeping-subscriber",
            Self::OutOfOrder => "out-of-order",
            Self::Never => "never",
            Self::Late => "late",
            Self::Twice => "twice",
            Self::LeavesOut => "leaves-out",
            Self::SessionLost => "session-lost",
            Self::SubscriptionLost => "subscription-lost",
            Self::StopsReading => "stops-reading",
            Self::Refuses(code) => return write!(f, "refuses-0x{code:02x}"),
            Self::ThrowsOut => "throws-out",
            Self::ReceiveMaximum1 => "receive-maximum-1",
            Self::PacketSizeSmall => "packet-size-small",
            Self::DiesBetween => "dies-between",
        })
    }
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Treatment {
    /// Whether subscribers get it.
    pub(super) pass_on: bool,
    /// The code of its acknowledgements.
    pub(super) code: u8,
    /// How long each acknowledgement waits.
    pub(super) acks: Vec<Duration>,
    /// What becomes of the connection.
    pub(super) then: Then,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    /// It stands, and nothing is read from it any more.
    Deaf,
    /// DISCONNECT with this code.
    Disconnect(u8),
    /// It is closed without a word.
    Close,
}
