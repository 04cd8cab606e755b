//! What the operator may set, and what makes it wrong.

use std::time::Duration;

use rustls::pki_types::{InvalidDnsNameError, ServerName};

use crate::address::{Address, Proxy};
use crate::air::Budget;

/// Messages in flight at most. At 200 ms to the core that is 80 messages/s; below the 20 that mosquitto takes by
/// default, and few enough that a lost connection repeats little.
pub const WINDOW: u16 = 16;

/// When a row is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// When the broker has taken it for at least one subscriber (PUBACK 0x00).
    Broker,
    /// When the core's ingester has committed it (receipt): the only promise that reaches from end to end.
    Core,
}

/// Counts that go on when an uplink takes the place of another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Connections: the number in birth and will never goes back.
    pub connections: u64,
    /// Bytes on the line.
    pub line_bytes: u64,
}

/// How to reach the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the core is; the host as it stands in its certificate.
    pub core: Address,
    /// Where it is as well, for tries after one that failed there. Default none.
    pub fallback: Option<Address>,
    /// The proxy that connections to either go through. Default none.
    pub proxy: Option<Proxy>,
    /// When a row is done. Default: [`Ack::Broker`].
    pub ack: Ack,
    /// How long a message that nobody subscribes to waits for its next try, and the first wait after a refusal.
    /// Default 30 s.
    pub retry: Duration,
    /// Reconnects of many hubs are spread over this long, growing to 5 min. Default 30 s.
    pub reconnect_spread: Duration,
    /// Ping interval, at least 5 s. Default 30 s. See [`with_keep_alive`](Self::with_keep_alive).
    pub keep_alive: Duration,
    /// TCP, TLS and CONNECT together. Default 30 s: a handshake over 2G takes longer than the usual 5.
    pub connect_timeout: Duration,
    /// With messages in flight and no acknowledgement for this long, the connection is thrown away. Default 45 s.
    pub stall: Duration,
    /// With [`Ack::Core`]: how long the first receipt may take before its rows are sent again. Doubles while a stream
    /// has none, to 10 min. Default 60 s.
    pub receipt_wait: Duration,
    /// Bytes on the line, beyond which data waits. Default: any amount.
    pub budget: Budget,
    /// What the uplinks before this one have counted in this run.
    pub before: Before,
    /// How long the hub had been up when the uplink started: after a power cut in the whole city nobody may reconnect
    /// at once.
    pub uptime: Duration,
}

/// The least keep-alive: below it, pings would be a load of their own.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);
/// The greatest: the protocol has two bytes of seconds.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(u16::MAX as u64);

/// The longest stall, and the longest first wait for a receipt, whatever the keep-alive: with messages under way there is
/// no reason to be as patient as on a line that is only kept open.
const STALL_MAX: Duration = Duration::from_secs(60);
const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(60);

impl Config {
    /// The core at `core`, with everything else as documented at its field; the hub just started.
    #[must_use]
    pub fn new(core: Address) -> Self {
        Self {
            core,
            fallback: None,
            proxy: None,
            ack: Ack::Broker,
            retry: Duration::from_secs(30),
            reconnect_spread: Duration::from_secs(30),
            keep_alive: Duration::ZERO,
            connect_timeout: Duration::from_secs(30),
            stall: Duration::ZERO,
            receipt_wait: Duration::ZERO,
            budget: Budget::default(),
            before: Before::default(),
            uptime: Duration::ZERO,
        }
        .with_keep_alive(Duration::from_secs(30))
    }

    /// The same with another keep-alive, and with what follows from it: whatever the core leaves unanswered is sent again
    /// within two of them. A stall ends the connection after one and a half, as a silent client ends it for the core
    /// (MQTT 5, 3.1.2.10); the rest is for the next one to come about.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: Duration) -> Self {
        let stall = (keep_alive * 3 / 2).min(STALL_MAX);
        let receipt_wait = (keep_alive * 2).min(RECEIPT_WAIT_MAX);
        Self { keep_alive, stall, receipt_wait, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for Address { host, .. } in std::iter::once(&self.core).chain(&self.fallback) {
            if let Err(source) = ServerName::try_from(host.as_str()) {
                return Err(Error::Host { host: host.as_str().into(), source });
            }
        }
        if !(KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX).contains(&self.keep_alive) {
            return Err(Error::KeepAlive { found: self.keep_alive });
        }
        Ok(())
    }
}

/// Why the uplink cannot start. Losing the core is no error: it stands in [`Health`](crate::Health).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host is neither a name nor an address.
    #[error("use {host:?} as the core's host")]
    Host {
        /// The text.
        host: Box<str>,
        /// Why not.
        source: InvalidDnsNameError,
    },
    /// The keep-alive is too short or too long.
    #[error("use a keep-alive of {found:?} (expected 5 s to 18 h)")]
    KeepAlive {
        /// The value.
        found: Duration,
    },
}
