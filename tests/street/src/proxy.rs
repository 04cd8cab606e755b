//! A TCP line with weather: between a client and a server, it cuts, stalls and delays.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::worker::Worker;

/// What the line is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Fair,
    /// Bytes pass, each piece this much later. A piece delays those behind it, so this is a slow line as well.
    Delay(Duration),
    /// Connections stand, and nothing passes in either direction: a peer that is half open.
    Stall,
    /// Connections are cut; new ones are accepted and cut.
    Cut,
}

/// The line.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    carried: Arc<AtomicU64>,
    _worker: Worker,
}

impl Proxy {
    /// Starts a line to `target`, in fair weather, on a free loopback port.
    ///
    /// # Errors
    /// There is no port or thread to be had.
    pub fn start(target: SocketAddr) -> Result<Self, Error> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| Error::Listen { address: any, source };
        let listener = std::net::TcpListener::bind(any).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (weather, now) = watch::channel(Weather::Fair);
        let carried = Arc::new(AtomicU64::new(0));
        let line = Line { weather: now, carried: Arc::clone(&carried) };
        let worker = Worker::start("proxy", move |stop| serve(listener, target, line, stop))?;
        Ok(Self { address, weather, carried, _worker: worker })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have passed, in both directions.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Changes the weather, for standing connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

/// What a connection has of the line.
#[derive(Debug, Clone)]
struct Line {
    weather: watch::Receiver<Weather>,
    carried: Arc<AtomicU64>,
}

async fn serve(listener: std::net::TcpListener, target: SocketAddr, line: Line, stop: CancellationToken) {
    let listener = TcpListener::from_std(listener).expect("a bound socket can be waited on");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Ok((client, _)) = listener.accept() => {
                connections.spawn(connect(client, target, line.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, line: Line) {
    if *line.weather.borrow() == Weather::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a proxied connection has gone already");
        }
    }
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    // Whichever direction ends first takes the other with it.
    tokio::select! {
        () = pass(client_reads, server_writes, line.clone()) => {}
        () = pass(server_reads, client_writes, line) => {}
    }
}

/// Passes bytes on in one direction until an end closes or the line is cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: Line) {
    let Line { mut weather, carried } = line;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *weather.borrow_and_update();
        if now == Weather::Cut {
            return;
        }
        let read = tokio::select! {
            // In this order: a byte that was sent after the weather changed must not slip through.
            biased;
            changed = weather.changed() => if changed.is_err() { return } else { continue },
            read = from.read(&mut buffer), if now != Weather::Stall => read,
        };
        let Ok(count @ 1..) = read else { return };
        if let Weather::Delay(delay) = now {
            tokio::time::sleep(delay).await;
        }
        carried.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
