//! A broker that can be told to misbehave: MQTT 5 over mutual TLS 1.3 on loopback, with a bestiary of faults.
//!
//! One client, the hub, is its victim; to all others, such as the ingester, it is a good broker with sessions. The fault
//! is on from [`Broker::behave`] to [`Broker::heal`]; [`Broker::bites`] tells how often it has hurt meanwhile. Faults are
//! about data messages; documents and subscriptions are treated well, unless the whole connection is at fault.
//!
//! ```text
//! hub ──PUBLISH──► line ──► hall: treat (the fault decides), publish ──► seats ──► line ──► ingester
//!     ◄──PUBACK──┘  (pure, one lock)                                                │
//!     ◄──receipt────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Deliberately absent: retained messages, wills, `QoS` 0 and 2, shared subscriptions; and rumqttc, which is what is tested.

mod fault;
mod hall;
mod line;
mod packet;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::fault::Fault;
use self::hall::Hall;
use self::line::{SharedHall, lock};
use crate::core::CoreFiles;
use crate::error::Error;
use crate::worker::Worker;

/// The broker.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    hall: SharedHall,
    _worker: Worker,
}

impl Broker {
    /// Starts a well-behaved broker on a free loopback port; `victim` is the client that faults will be about.
    ///
    /// # Errors
    /// The files are no certificates, or there is no port or thread to be had.
    pub fn start(files: &CoreFiles, victim: &str) -> Result<Self, Error> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(files)?));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| Error::Listen { address: any, source };
        let listener = std::net::TcpListener::bind(any).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let hall = Arc::new(Mutex::new(Hall::new(victim)));
        let shared = Arc::clone(&hall);
        let worker = Worker::start("broker", move |stop| serve(listener, acceptor, shared, stop))?;
        Ok(Self { address, hall, _worker: worker })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it does this to its victim. A fault that is told at CONNACK cuts the victim's connection first.
    pub fn behave(&self, fault: Fault) {
        lock(&self.hall).behave(fault);
    }

    /// From now on it is good. What a connection that stands has been denied stays denied.
    pub fn heal(&self) {
        lock(&self.hall).heal();
    }

    /// How many data messages have met the fault.
    #[must_use]
    pub fn bites(&self) -> u64 {
        lock(&self.hall).bites()
    }

    /// What the victim did although CONNACK forbade it.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        lock(&self.hall).violations().to_vec()
    }

    /// How long the victim took each time, from the first message that was not acknowledged to the first on another
    /// connection.
    #[must_use]
    pub fn stalls(&self) -> Vec<Duration> {
        lock(&self.hall).stalls().to_vec()
    }

    /// How many clients have subscribed to something.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        lock(&self.hall).subscribers()
    }
}

fn tls(CoreFiles { certificate, key, roots, sessions: _ }: &CoreFiles) -> Result<ServerConfig, Error> {
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Pem { path, source }
    };
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(unusable(key))?;
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(certificates(roots)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider)).build()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|source| Error::Pem { path: path.to_owned(), source })
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, hall: SharedHall, stop: CancellationToken) {
    let listener = TcpListener::from_std(listener).expect("a bound socket can be waited on");
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Ok((stream, _)) = listener.accept() => {
                let (acceptor, hall) = (acceptor.clone(), Arc::clone(&hall));
                lines.spawn(async move {
                    // Small answers must not wait for each other.
                    drop(stream.set_nodelay(true));
                    match acceptor.accept(stream).await {
                        Ok(stream) => line::serve(stream, hall).await,
                        Err(error) => tracing::debug!(%error, "a handshake failed"),
                    }
                });
            }
            Some(_) = lines.join_next() => {}
        }
    }
}
