//! Connections to devices: how they are made, and how one whose peer is gone is told from one that is idle.
//!
//! A peer that loses its power says nothing: its connection stands, and reads as idle. An exchange notices by its own
//! time-out. Where nothing is asked for a minute, the kernel asks: it probes an idle connection, and ends one whose probes
//! are not answered, so that `listen` sees it and the fault stands before the next poll needs the device.
//!
//! Deliberately absent: retries, which [`crate::reopen`] decides.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take, name look-up included. A device in the same street answers within milliseconds; its
/// modem may have to wake up.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Idle time before the first probe. A device that is polled more often costs no probe at all; 40 bytes each way for one
/// that is not are 0.2 MB a day.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// From one unanswered probe to the next.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Unanswered probes that end a connection. With the two above: a dead peer is known after a minute.
const PROBES: u32 = 3;

/// How long the peer's kernel may leave bytes unacknowledged, in milliseconds; more than any exchange waits for. Where it is
/// set, Linux counts it from the last sign of life instead of counting probes: a shorter one would end an idle connection
/// whose first probe was lost.
const UNACKNOWLEDGED_LIMIT_MS: u32 = 60_000;

/// Connects to `host:port`.
pub(crate) async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await??;
    // A request is one small segment, and nothing follows it.
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES)?;
    sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_LIMIT_MS)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Whether the end of a connection on which nothing was asked is the peer's way of tidying up: devices close idle
/// connections. The next request opens a new one; only if that fails is it a fault.
pub(crate) fn is_tidying(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_peer_that_dies_in_silence_is_known_after_a_minute() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = connect(&listener.local_addr().unwrap().to_string()).await.unwrap();
            assert!(stream.nodelay().unwrap());
            assert!(sockopt::socket_keepalive(&stream).unwrap());
            let probing = sockopt::tcp_keepintvl(&stream).unwrap() * sockopt::tcp_keepcnt(&stream).unwrap();
            let known = sockopt::tcp_keepidle(&stream).unwrap() + probing;
            assert_eq!(known, Duration::from_secs(60));
            assert_eq!(Duration::from_millis(sockopt::tcp_user_timeout(&stream).unwrap().into()), known);
        });
    }
}
