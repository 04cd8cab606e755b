//! What a person and the daemon may know of the uplink.

use std::time::Duration;

use curb_model::{Fault, Room};

use crate::address::Address;

/// Where the uplink stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Waits for its turn to connect.
    #[default]
    Waiting,
    /// Resolves, connects, shakes hands.
    Connecting,
    /// Connected, and sending.
    Connected,
    /// Connected, and sending nothing because the core refuses; see the faults.
    Holding,
}

impl State {
    /// The word for `curb status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Holding => "holding",
        }
    }
}

/// A snapshot. Counters run since the uplink started, but `connection` and `line_bytes`: since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Where it stands.
    pub state: State,
    /// The number of this connection, or of the last try; the number in birth and will. 0: none yet.
    pub connection: u64,
    /// Where that goes or went. None: nowhere yet.
    pub address: Option<Address>,
    /// Whether that is the fallback.
    pub on_fallback: bool,
    /// Rows sent, repeats included.
    pub sent: u64,
    /// Rows that the broker took (PUBACK 0x00).
    pub acked: u64,
    /// Rows that became done by receipts.
    pub receipted: u64,
    /// Rows set aside.
    pub set_aside: u64,
    /// Commands of the core that were handed to the daemon.
    pub commands: u64,
    /// Commands that were refused here, because too many were under way or the hub was about to stop.
    pub commands_refused: u64,
    /// Payload bytes sent, repeats included.
    pub bytes: u64,
    /// Bytes on the line both ways, with all that is around a payload, as reckoned.
    pub line_bytes: u64,
    /// How often data had to wait for the budget of bytes.
    pub waited: u64,
    /// Rows sent and not acknowledged yet.
    pub in_flight: usize,
    /// With [`Ack::Core`](crate::Ack::Core): rows that the broker took and the core has not receipted.
    pub unreceipted: usize,
    /// From sending to PUBACK, smoothed over some eight messages. None: nothing acknowledged yet.
    pub delay: Option<Duration>,
    /// What stands wrong.
    pub faults: Vec<Fault>,
}

/// A fault of the uplink about the core.
pub(crate) fn fault(word: &'static str, detail: String) -> Fault {
    Fault { room: Room::Uplink, subject: "core".to_owned(), word, detail }
}
