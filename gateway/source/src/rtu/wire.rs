//! What RTU frames travel on: a serial port of the hub's own, or one of a serial server's, over a connection.
//!
//! | | serial port | connection |
//! |---|---|---|
//! | who keeps the 3.5 characters | the hub | the server; the hub leaves 4 ms between an answer and the next request |
//! | a pause within an answer | its adapter's latency | that of the network |
//! | after a failure | listen until it is silent, clear the buffer | a new connection: what is still on its way goes to the old one |
//! | its end while idle | a fault | the server tidies up; the next request opens a new one |

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_serial::SerialStream;

use crate::config::{RTU_TIMEOUT, SerialConfig};
use crate::connect::{connect, is_tidying};
use crate::port::{self, Port, Timing};
use crate::reopen::{CONNECTION_REST, PORT_REST};

/// What RTU frames travel on.
pub(crate) trait Wire {
    /// It, when it is open.
    type Port: AsyncRead + AsyncWrite + Unpin;

    /// The longest rest between two tries to open it.
    const LONGEST_REST: Duration;

    /// Silence after it was opened again.
    const REST_AFTER_REOPEN: Duration;

    /// The last part of a silence, for which the thread sleeps and not the runtime.
    const FINE_WAIT: Duration;

    /// What to do after a failure.
    const AFTER_FAILURE: AfterFailure;

    /// Opens it.
    async fn open(&self) -> io::Result<Self::Port>;

    /// How long things take on it, as it is now.
    fn timing(&self) -> Timing;

    /// Uses other settings than its own, or its own again (`None`). Says how long things take then.
    fn configure(&self, port: Option<&mut Self::Port>, settings: Option<&SerialConfig>) -> io::Result<Timing>;

    /// Throws away what has been received and not read.
    fn clear_input(port: &mut Self::Port) -> io::Result<()>;

    /// Whether its end, while nothing was asked, is a fault.
    fn is_fault(error: &io::Error) -> bool;
}

/// How to be sure that what belongs to a request that failed is not taken for the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// By listening until it is silent.
    Drain,
    /// By another connection.
    Reconnect,
}

/// A serial port of the hub.
#[derive(Debug)]
pub(crate) struct Serial(pub(crate) SerialConfig);

impl Wire for Serial {
    type Port = SerialStream;

    const LONGEST_REST: Duration = PORT_REST;

    /// Chosen: what a unit may take to answer in, and little beside a plug that was put back.
    const REST_AFTER_REOPEN: Duration = RTU_TIMEOUT;

    /// The runtime's timer counts whole milliseconds and rounds up: that would make a silence of 2 ms one of 3.5 ms, and
    /// cost a busy line a twentieth of its polls. Nobody else lives on this thread.
    const FINE_WAIT: Duration = Duration::from_millis(4);

    const AFTER_FAILURE: AfterFailure = AfterFailure::Drain;

    async fn open(&self) -> io::Result<SerialStream> {
        <SerialStream as Port>::open(&self.0)
    }

    fn timing(&self) -> Timing {
        Timing::of(&self.0, port::latency(&self.0))
    }

    fn configure(&self, port: Option<&mut SerialStream>, settings: Option<&SerialConfig>) -> io::Result<Timing> {
        let settings = settings.unwrap_or(&self.0);
        port.map_or(Ok(()), |port| port.set(settings))?;
        Ok(Timing::of(settings, port::latency(&self.0)))
    }

    fn clear_input(port: &mut SerialStream) -> io::Result<()> {
        Port::clear_input(port)
    }

    fn is_fault(_error: &io::Error) -> bool {
        true
    }
}

/// Silence before a request over a connection. The server paces its line, at a rate that is not known here; but one that
/// passes on an answer with its last byte, and the next request with its first, would leave no silence between them. What
/// 3.5 characters take at 9,600 baud, the slowest rate that is common.
const SERVER_SILENCE: Duration = Duration::from_millis(4);

/// How long an answer over a connection may pause: a segment that is lost on the way comes again after 200 ms or so.
const SERVER_SETTLE: Duration = Duration::from_millis(250);

/// A serial server's port, at `host:port`.
#[derive(Debug)]
pub(crate) struct Server(pub(crate) String);

impl Wire for Server {
    type Port = TcpStream;

    const LONGEST_REST: Duration = CONNECTION_REST;

    /// The connection is another, but the line behind it is the same: which answers are owed there is still known.
    const REST_AFTER_REOPEN: Duration = Duration::ZERO;

    /// A millisecond more or less is nothing to a network.
    const FINE_WAIT: Duration = Duration::ZERO;

    const AFTER_FAILURE: AfterFailure = AfterFailure::Reconnect;

    async fn open(&self) -> io::Result<TcpStream> {
        connect(&self.0).await
    }

    /// No time for characters: a time-out covers all, as with Modbus TCP.
    fn timing(&self) -> Timing {
        let zero = Duration::ZERO;
        Timing { character: zero, silence: SERVER_SILENCE, settle: SERVER_SETTLE, latency: zero }
    }

    fn configure(&self, _port: Option<&mut TcpStream>, settings: Option<&SerialConfig>) -> io::Result<Timing> {
        match settings {
            Some(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a connection has no baud rate")),
            None => Ok(self.timing()),
        }
    }

    /// A new connection has nothing to throw away.
    fn clear_input(_port: &mut TcpStream) -> io::Result<()> {
        Ok(())
    }

    fn is_fault(error: &io::Error) -> bool {
        !is_tidying(error)
    }
}

#[cfg(test)]
mod tests;
