//! A site: certificates by `depot`, a folder for everything, and the reference core.

use std::path::{Path, PathBuf};
use std::time::Duration;

use street::{Process, binary, eventually};
use tempfile::TempDir;

use crate::{Mosquitto, PATIENCE};

/// How long the ingester may take with the last message.
const LEDGER: Duration = Duration::from_secs(5);

/// What the ingester logs once it will be given what hubs send.
const SUBSCRIBED: &str = "subscribed";

/// The site's name in every test.
pub const SITE: &str = "port-credit";
/// The hub's name in every test.
pub const HUB: &str = "lamp-0042";

/// A folder with a certificate authority, a broker's, an ingester's and one hub's certificates, made by `depot`.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// Makes it.
    ///
    /// # Panics
    /// `depot` does not do what its help says.
    pub async fn new() -> Self {
        let folder = TempDir::new().expect("make a folder for the test");
        let site = Self { folder };
        let pki = site.pki().display().to_string();
        site.depot(
            "init",
            &["init", "--site", SITE, "--dir", &pki, "--core-host", "localhost", "--core-host", "127.0.0.1"],
        )
        .await;
        site.depot("hub-add", &["hub", "add", HUB, "--dir", &pki]).await;
        site
    }

    async fn depot(&self, name: &str, arguments: &[&str]) {
        let depot = binary("depot").expect("depot is built");
        let (status, _) = Process::run(name, &depot, arguments, self.path(), PATIENCE).await.expect("run depot");
        assert!(status.success(), "depot {arguments:?}: {status}");
    }

    /// The folder of everything.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of `depot init`.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.path().join("pki")
    }

    /// A file of the core: `core.crt`, `core.key`, `ingest.crt`, `ingest.key`, `roots.pem`.
    #[must_use]
    pub fn core(&self, file: &str) -> PathBuf {
        self.pki().join("core").join(file)
    }

    /// A file of the hub: `hub.crt`, `hub.key`, `roots.pem`.
    #[must_use]
    pub fn hub(&self, file: &str) -> PathBuf {
        self.pki().join("hubs").join(HUB).join(file)
    }

    /// Balances the core's books once they close, or after some seconds: whether they do, and the document. The ingester
    /// may still have the last message in hand when the hub has ended.
    ///
    /// # Panics
    /// `depot ledger` prints no JSON.
    pub async fn ledger(&self) -> (bool, serde_json::Value) {
        let end = tokio::time::Instant::now() + LEDGER;
        loop {
            let (closes, ledger) = self.ledger_now().await;
            if closes || tokio::time::Instant::now() >= end {
                return (closes, ledger);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ledger_now(&self) -> (bool, serde_json::Value) {
        let depot = binary("depot").expect("depot is built");
        let db = self.path().join("core.db").display().to_string();
        let arguments = ["ledger", "--db", &db, "--json"];
        let (status, out) = Process::run("ledger", &depot, arguments, self.path(), PATIENCE).await.expect("run depot");
        (
            status.success(),
            serde_json::from_slice(&out).unwrap_or_else(|e| panic!("ledger: {e}: {}", String::from_utf8_lossy(&out))),
        )
    }
}

/// `depot ingest`, running.
#[derive(Debug)]
pub struct Ingest {
    /// The process, for its log.
    pub process: Process,
    out: PathBuf,
}

impl Ingest {
    /// Starts it against `broker`, and waits until it is subscribed: what a hub sends before that, and another subscriber
    /// takes, is not for it.
    ///
    /// # Panics
    /// It does not subscribe in time.
    pub async fn start(site: &Site, broker: &Mosquitto) -> Self {
        Self::at(site, &broker.url()).await
    }

    /// Starts it against the broker at this URL.
    ///
    /// # Panics
    /// It does not subscribe in time.
    pub async fn at(site: &Site, url: &str) -> Self {
        let log = || std::fs::read_to_string(site.path().join("ingest.log")).unwrap_or_default();
        let before = log().matches(SUBSCRIBED).count();
        let path = |path: PathBuf| path.display().to_string();
        let arguments = [
            "ingest".to_owned(),
            "--json".to_owned(),
            "--url".to_owned(),
            url.to_owned(),
            "--db".to_owned(),
            path(site.path().join("core.db")),
            "--cert".to_owned(),
            path(site.core("ingest.crt")),
            "--key".to_owned(),
            path(site.core("ingest.key")),
            "--roots".to_owned(),
            path(site.core("roots.pem")),
        ];
        let depot = binary("depot").expect("depot is built");
        let process = Process::start("ingest", &depot, arguments, site.path()).expect("start depot ingest");
        let subscribed = || (log().matches(SUBSCRIBED).count() > before).then_some(());
        eventually(PATIENCE, "the ingester subscribes", &[&process], subscribed).await.expect("it subscribes");
        Self { process, out: site.path().join("ingest.out") }
    }

    /// Every message that it has accepted so far, as its JSON lines tell them; duplicates are left out.
    ///
    /// # Panics
    /// It has printed something else.
    #[must_use]
    pub fn messages(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("ingest: {e}: {line}")))
            .filter(|message: &serde_json::Value| message["duplicate"] == false)
            .collect()
    }

    /// Every reading of `point` that has arrived, in order.
    #[must_use]
    pub fn readings(&self, point: &str) -> Vec<serde_json::Value> {
        let messages = self.messages();
        let all = messages.iter().filter_map(|message| message["readings"].as_array());
        all.flatten().filter(|reading| reading["point"] == point).cloned().collect()
    }
}
