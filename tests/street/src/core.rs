//! The city's core in this process: a real MQTT 5 broker on mutual TLS that can go away and come back.
//!
//! It runs on a thread of its own, so that "goes away" is what it says: sockets are cut and the port is closed, with no
//! farewell. It is softer than other brokers (it answers a
//! publish that nobody subscribed to with success), so tests of refusals use one that we did not choose for comfort.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use mqtt5::broker::config::{AuthConfig, BrokerConfig, StorageBackend, StorageConfig, TlsConfig};
use mqtt5::broker::events::{ClientConnectEvent, ClientDisconnectEvent, ClientSubscribeEvent};
use mqtt5::broker::{BrokerEventHandler, MqttBroker};
use mqtt5::error::MqttError;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::worker::Worker;

/// How long the broker may take to listen. It takes milliseconds; a loaded machine may take more.
const START: Duration = Duration::from_secs(10);

/// The broker's certificate files, PEM.
#[derive(Debug, Clone)]
pub struct CoreFiles {
    /// Its certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What clients' certificates must come from.
    pub roots: PathBuf,
    /// A folder for its sessions and retained messages, which it then has again when it comes back. `None`: it forgets.
    pub sessions: Option<PathBuf>,
}

/// The core's broker. The process must have installed a TLS provider as its default.
#[derive(Debug)]
pub struct Core {
    files: CoreFiles,
    address: SocketAddr,
    clients: Arc<Clients>,
    worker: Option<Worker>,
}

/// Who is there.
#[derive(Debug, Default)]
struct Clients(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    connected: BTreeSet<String>,
    subscribed: BTreeSet<String>,
}

impl Clients {
    fn present(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the broker's events return: they are noted at once.
type Noted<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl BrokerEventHandler for Clients {
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Noted<'a> {
        self.present().connected.insert(event.client_id.as_ref().to_owned());
        Box::pin(std::future::ready(()))
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Noted<'a> {
        self.present().connected.remove(event.client_id.as_ref());
        Box::pin(std::future::ready(()))
    }

    fn on_client_subscribe<'a>(&'a self, event: ClientSubscribeEvent) -> Noted<'a> {
        self.present().subscribed.insert(event.client_id.as_ref().to_owned());
        Box::pin(std::future::ready(()))
    }
}

impl Core {
    /// Starts a broker on a free loopback port.
    ///
    /// # Errors
    /// The files are no certificates, or there is no port or thread to be had.
    pub fn start(files: CoreFiles) -> Result<Self, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut core = Self { files, address, clients: Arc::default(), worker: None };
        core.come_back()?;
        Ok(core)
    }

    /// Where it listens, or listened.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections and closes the port.
    pub fn go_away(&mut self) {
        self.worker = None;
        *self.clients.present() = Present::default();
    }

    /// How many clients have subscribed to something since it was started last. A message that nobody has subscribed to
    /// is acknowledged and gone, so a test waits for its listeners first.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.clients.present().subscribed.len()
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.clients.present().connected.len()
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.worker.is_some()
    }

    /// Starts it again on the port that it had.
    ///
    /// # Errors
    /// The files are no certificates any more, or somebody else has taken the port meanwhile.
    pub fn come_back(&mut self) -> Result<(), Error> {
        self.go_away();
        let handler: Arc<Clients> = Arc::clone(&self.clients);
        let config = config(&self.files, self.address).with_event_handler(handler);
        let (ready, started) = mpsc::sync_channel(1);
        let worker = Worker::start("core", move |stop| serve(config, ready, stop))?;
        let address = self.address;
        let started = started.recv_timeout(START).map_err(|_| Error::BrokerSilent { address, deadline: START })?;
        self.address = started.map_err(|source| Error::Broker { address, source: Box::new(source) })?;
        self.worker = Some(worker);
        Ok(())
    }
}

fn config(files: &CoreFiles, address: SocketAddr) -> BrokerConfig {
    let tls = TlsConfig::new(files.certificate.clone(), files.key.clone())
        .with_ca_file(files.roots.clone())
        .with_require_client_cert(true)
        .with_bind_address(address);
    let storage = match &files.sessions {
        Some(folder) => StorageConfig::new().with_backend(StorageBackend::File).with_base_dir(folder.clone()),
        None => StorageConfig::new().with_backend(StorageBackend::Memory).with_persistence(false),
    };
    let mut auth = AuthConfig::new();
    // It would lock out every client of one address, and here all have one.
    auth.rate_limit.enabled = false;
    BrokerConfig::new()
        .with_bind_addresses(Vec::new())
        .with_tls(tls)
        .with_storage(storage)
        .with_auth(auth)
        .with_sys_topics_enabled(false)
}

async fn serve(config: BrokerConfig, ready: mpsc::SyncSender<Result<SocketAddr, MqttError>>, stop: CancellationToken) {
    let bound = async {
        let broker = MqttBroker::with_config(config).await?;
        let address = broker.tls_local_addr().ok_or_else(|| MqttError::Configuration("no listener".to_owned()))?;
        Ok((broker, address))
    };
    let mut broker = match bound.await {
        Ok((broker, address)) => {
            // Connections are taken from the moment of binding on; `run` accepts them.
            if ready.send(Ok(address)).is_err() {
                return;
            }
            broker
        }
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        ended = broker.run() => {
            if let Err(error) = ended {
                tracing::error!(%error, "the broker ended");
            }
        }
    }
}
