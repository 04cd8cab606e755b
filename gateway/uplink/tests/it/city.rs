//! A city with one hub: its queue, its broker, its certificates.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_identity::Identity;
use curb_model::PointSet;
use curb_uplink::{Address, Command, Config, Health, Uplink};
use curb_wire::status::{Points, State as Presence, Status};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::eventually;
use crate::mosquitto::{Mosquitto, Reader};
use crate::pki::{Ca, Pair};
use crate::queue::{Queue, RUN};

/// The hosts that the core's certificate is for, when all is well.
pub(crate) const HOSTS: &[&str] = &["localhost", "127.0.0.1"];
/// Every topic of every hub.
const ALL: &str = "curb/v1/+/+/#";

/// A city with one hub, its queue and its broker.
pub(crate) struct City {
    pub(crate) dir: TempDir,
    pub(crate) hub: Identity,
    pub(crate) reader: Pair,
    pub(crate) broker: Mosquitto,
    pub(crate) queue: Queue,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) points: watch::Sender<Arc<Points>>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// What the uplink hands to the daemon.
    pub(crate) taken: mpsc::Receiver<Command>,
}

impl City {
    pub(crate) async fn new() -> Self {
        let ca = Ca::new("city");
        Self::with(&ca, &ca, &ca, HOSTS, 2040, "").await
    }

    /// The broker's certificate is of `core_ca`, and the broker trusts hubs of `hubs_ca`; the hub is of `ca`.
    pub(crate) async fn with(ca: &Ca, core_ca: &Ca, hubs_ca: &Ca, hosts: &[&str], last_year: i32, extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        ca.write(&path("ca.pem"));
        hubs_ca.write(&path("hubs-ca.pem"));
        let hub_pair = ca.issue(dir.path(), "hub-7", &["hub-7"], 2040);
        let reader = ca.issue(dir.path(), "reader", &["reader"], 2040);
        let core = core_ca.issue(dir.path(), "core", hosts, last_year);
        let config = curb_identity::Config {
            key: hub_pair.key.clone(),
            certificate: hub_pair.certificate.clone(),
            roots: path("ca.pem"),
            site: None,
        };
        let hub = curb_identity::load(&config, None).unwrap();
        let broker = Mosquitto::start(dir.path(), &core, &path("hubs-ca.pem"), extra).await;
        let status = Status {
            v: 1,
            hub: "hub-7".to_owned(),
            state: Presence::Offline,
            run: RUN.to_string(),
            connection: 0,
            version: "0.1.0".to_owned(),
            clean: false,
            faults: Vec::new(),
            queue: None,
        };
        let points = Points::new("hub-7", &PointSet::default());
        let (status, points) = (watch::Sender::new(Arc::new(status)), watch::Sender::new(Arc::new(points)));
        let (commands, taken) = mpsc::channel(1);
        Self { dir, hub, reader, broker, queue: Queue::new(), status, points, commands, taken }
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Impatient, so that the tests are quick.
    pub(crate) fn config(&self) -> Config {
        Config {
            retry: Duration::from_secs(1),
            reconnect_spread: Duration::from_millis(300),
            keep_alive: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            stall: Duration::from_secs(3),
            ..Config::new(Address::new("localhost", self.broker.port))
        }
    }

    pub(crate) fn uplink(&self) -> Uplink {
        self.uplink_with(self.config())
    }

    pub(crate) fn uplink_with(&self, config: Config) -> Uplink {
        let (status, points) = (self.status.subscribe(), self.points.subscribe());
        Uplink::start(config, &self.hub, self.queue.clone(), status, points, self.commands.clone()).unwrap()
    }

    pub(crate) async fn reader(&self) -> Reader {
        let reader = Reader::start(self.broker.port, &self.roots(), &self.reader, "reader", ALL);
        let subscribed = || self.broker.log().contains("Sending SUBACK to reader");
        eventually("the reader has subscribed", subscribed, || self.broker.log()).await;
        reader
    }

    pub(crate) async fn delivered(&self, uplink: &Uplink) {
        self.until(uplink, "everything is delivered", |city, _| city.queue.len() == 0).await;
    }

    pub(crate) async fn fault(&self, uplink: &Uplink, word: &str) {
        self.until(uplink, word, |_, health| health.faults.iter().any(|fault| fault.word == word)).await;
    }

    pub(crate) async fn until(&self, uplink: &Uplink, what: &str, done: impl Fn(&Self, &Health) -> bool) {
        let seen = || format!("{:#?}\nrows {}\n{}", uplink.health(), self.queue.len(), self.broker.log());
        eventually(what, || done(self, &uplink.health()), seen).await;
    }
}
