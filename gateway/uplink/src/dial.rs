//! From an address to a TLS connection: name, TCP, a proxy's CONNECT, handshake. Each step that fails has its own words.
//!
//! Deliberately absent: MQTT, and trying again. All steps share one deadline; a step that eats it up is the one that is told.

mod proxy;
mod race;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_identity::Refusal;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::{Address, Proxy};
use crate::lost::{Lost, Reached};

/// A connection to the core.
pub(crate) type Stream = TlsStream<TcpStream>;

/// How to make one connection.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) core: &'a Address,
    /// The setting that it is from, for people.
    pub(crate) setting: &'static str,
    /// What the connection goes through. None: nothing.
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) tls: Arc<ClientConfig>,
    /// For all steps up to CONNACK.
    pub(crate) timeout: Duration,
}

impl Dial<'_> {
    /// Makes it, before `deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future drops what there is of the connection.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Stream, Lost> {
        let tcp = match self.proxy {
            None => reach(self.core, &Peer { check: self.setting, ..CORE }, deadline).await?,
            Some(proxy) => {
                let mut tcp = reach(&proxy.address, &PROXY, deadline).await?;
                proxy::tunnel(&mut tcp, proxy, self.core, deadline).await?;
                tcp
            }
        };
        self.handshake(tcp, deadline).await.map_err(|lost| lost.at(Reached::Handshake))
    }

    async fn handshake(&self, tcp: TcpStream, deadline: Instant) -> Result<Stream, Lost> {
        let core = self.core;
        let name = ServerName::try_from(core.host.clone()).expect("the config was checked");
        let shaking = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        match timeout_at(deadline.into(), shaking).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(no_handshake(core, &error)),
            Err(_) => {
                let detail = format!("{core} does not answer to a TLS handshake in time; does it speak TLS?");
                Err(Lost::new("core-unreachable", detail))
            }
        }
    }
}

fn no_handshake(core: &Address, error: &io::Error) -> Lost {
    use io::ErrorKind as K;
    if let Some(refusal) = Refusal::find(error) {
        return Lost::new(refusal.word(), refusal.to_string());
    }
    let closed = matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe);
    let detail = if closed {
        format!("{core} closed the connection in the TLS handshake; does it speak TLS?")
    } else {
        format!("{core} ended the TLS handshake ({error})")
    };
    Lost::new("core-unreachable", detail)
}

/// Whom a step reaches for, and what is said when it is not there.
struct Peer {
    /// For people; goes before a name.
    name: &'static str,
    /// What to check.
    check: &'static str,
    name_word: &'static str,
    unreachable_word: &'static str,
}

const CORE: Peer =
    Peer { name: "the core's name", check: "core.url", name_word: "core-name", unreachable_word: "core-unreachable" };
const PROXY: Peer = Peer {
    name: "the proxy's name",
    check: "core.proxy",
    name_word: "proxy-unreachable",
    unreachable_word: "proxy-unreachable",
};

/// A TCP connection to the first of the host's addresses that takes one.
async fn reach(address: &Address, peer: &Peer, deadline: Instant) -> Result<TcpStream, Lost> {
    let Address { host, port } = address;
    let Peer { name, check, name_word, unreachable_word } = peer;
    let addresses = match timeout_at(deadline.into(), lookup_host((host.as_str(), *port))).await {
        Ok(Ok(found)) => race::order(found),
        Ok(Err(error)) => {
            let detail = format!("{name} {host} does not resolve ({error}); check {check} and this hub's DNS servers");
            return Err(Lost::new(name_word, detail));
        }
        Err(_) => {
            let detail = format!("{name} {host} is not resolved in time; check this hub's DNS servers");
            return Err(Lost::new(name_word, detail));
        }
    };
    let connected = timeout_at(deadline.into(), race::first(addresses, TcpStream::connect)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
    // Small packets are acknowledged one by one: nothing is gained by holding them back.
    let tcp = connected.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
    tcp.map_err(|error| Lost::new(unreachable_word, format!("{address} takes no connection ({error})")))
}

#[cfg(test)]
mod tests;
