//! Debian's mosquitto on mutual TLS 1.3, with an access list that can be changed while it runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use street::{Process, eventually};

use crate::site::{HUB, SITE};
use crate::{PATIENCE, Site, free_port};

const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A broker. It is ended when this is dropped.
#[derive(Debug)]
pub struct Mosquitto {
    /// As it stands in a URL.
    host: String,
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

/// What the hub may do in the access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// All of its own topics.
    All,
    /// All of its own topics but `data/…`.
    NoData,
}

/// The server certificate that the broker shows.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// Chain, PEM.
    pub certificate: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
}

impl Mosquitto {
    /// Starts it with the certificates of `site`.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(site: &Site) -> Self {
        let server = ServerFiles { certificate: site.core("core.crt"), key: site.core("core.key") };
        Self::start_with(site, &server).await
    }

    /// Starts it with another server certificate.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_with(site: &Site, server: &ServerFiles) -> Self {
        Self::start_on("127.0.0.1", site, server).await
    }

    /// Starts it on another address of the loopback.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_on(address: &str, site: &Site, server: &ServerFiles) -> Self {
        let folder = site.path().join(format!("mosquitto-{}", next_number()));
        std::fs::create_dir_all(&folder).expect("make the broker's folder");
        let port = free_port();
        let mut config = String::new();
        let mut line =
            |words: std::fmt::Arguments<'_>| writeln!(config, "{words}").expect("a String takes every write");
        line(format_args!("listener {port} {address}"));
        line(format_args!("cafile {}", site.core("roots.pem").display()));
        line(format_args!("certfile {}", server.certificate.display()));
        line(format_args!("keyfile {}", server.key.display()));
        line(format_args!("tls_version tlsv1.3"));
        line(format_args!("require_certificate true"));
        line(format_args!("use_identity_as_username true"));
        line(format_args!("acl_file {}", folder.join("acl").display()));
        line(format_args!("persistence false"));
        line(format_args!("log_type all"));
        line(format_args!("user root"));
        std::fs::write(folder.join("mosquitto.conf"), config).expect("write the broker's config");
        let host = if address.contains(':') { format!("[{address}]") } else { "localhost".to_owned() };
        let mut broker = Self { host, port, folder, process: None };
        broker.write_rights(Rights::All);
        broker.come_back().await;
        broker
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as hubs and ingesters are told it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtts://{}:{}", self.host, self.port)
    }

    /// Its log.
    ///
    /// # Panics
    /// It is away.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the broker is there")
    }

    /// Kills it: no farewell to anybody.
    ///
    /// # Panics
    /// It cannot be killed.
    pub async fn go_away(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("kill the broker");
        }
    }

    /// Starts it again on its port, with nothing remembered.
    ///
    /// # Panics
    /// It does not start.
    pub async fn come_back(&mut self) {
        let before = self.runs();
        let config = self.folder.join("mosquitto.conf").display().to_string();
        let process =
            Process::start("mosquitto", Path::new(PROGRAM), ["-c", &config], &self.folder).expect("start mosquitto");
        // It listens before it handles signals, and says when it does both.
        let runs = || (self.runs() > before).then_some(());
        eventually(PATIENCE, "mosquitto runs", &[&process], runs).await.expect("mosquitto starts");
        self.process = Some(process);
    }

    /// Takes packets of so many bytes at most, from its next start on; `None`: of any length.
    ///
    /// # Panics
    /// Its config cannot be written.
    pub fn limit_packets(&self, bytes: Option<u32>) {
        let path = self.folder.join("mosquitto.conf");
        let config = std::fs::read_to_string(&path).expect("read the broker's config");
        let mut lines: Vec<String> =
            config.lines().filter(|line| !line.starts_with("max_packet_size")).map(str::to_owned).collect();
        lines.extend(bytes.map(|bytes| format!("max_packet_size {bytes}")));
        std::fs::write(path, lines.join("\n") + "\n").expect("write the broker's config");
    }

    /// How often its log says that it runs.
    fn runs(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default();
        log.lines().filter(|line| line.ends_with(" running")).count()
    }

    /// How often it has told this client that it is subscribed.
    #[must_use]
    pub fn subscriptions(&self, client: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default();
        log.lines().filter(|line| line.ends_with(&format!("Sending SUBACK to {client}"))).count()
    }

    /// Changes what the hub may do; the broker reads its list again at once.
    ///
    /// # Panics
    /// It cannot be told.
    pub fn grant(&self, rights: Rights) {
        self.write_rights(rights);
        let pid = self.process().id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("the broker runs"), rustix::process::Signal::HUP)
            .expect("signal the broker");
    }

    fn write_rights(&self, rights: Rights) {
        let base = format!("curb/v1/{SITE}/{HUB}");
        let hub = match rights {
            Rights::All => format!("topic readwrite {base}/#\n"),
            Rights::NoData => ["run", "gap", "clock", "audit", "status", "points", "reply/#"]
                .iter()
                .map(|topic| format!("topic write {base}/{topic}\n"))
                .chain([format!("topic read {base}/receipt\ntopic read {base}/cmd/+\n")])
                .collect(),
        };
        let list = format!("user {HUB}\n{hub}\nuser ingester\ntopic readwrite curb/v1/#\n");
        std::fs::write(self.folder.join("acl"), list).expect("write the access list");
    }

    /// `mosquitto_sub` as the ingester, until `messages` have come; what it printed, `topic payload` a line.
    ///
    /// # Panics
    /// They do not come in time.
    pub async fn subscribe(&self, site: &Site, topic: &str, messages: u32) -> Vec<(String, String)> {
        self.subscriber(site, topic, messages).collect().await
    }

    /// Starts `mosquitto_sub` and leaves it running.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn subscriber(&self, site: &Site, topic: &str, messages: u32) -> Subscriber {
        let path = |file: &str| site.core(file).display().to_string();
        let name = format!("sub-{}", next_number());
        let arguments = [
            "-h",
            "localhost",
            "-p",
            &self.port.to_string(),
            "-i",
            &name,
            "-V",
            "5",
            "-q",
            "1",
            "-v",
            "--cafile",
            &path("roots.pem"),
            "--cert",
            &path("ingest.crt"),
            "--key",
            &path("ingest.key"),
            "-t",
            topic,
            "-C",
            &messages.to_string(),
            "-W",
            &PATIENCE.as_secs().to_string(),
        ];
        let process = Process::start(&name, Path::new("/usr/bin/mosquitto_sub"), arguments, site.path())
            .expect("start mosquitto_sub");
        Subscriber { process, out: site.path().join(format!("{name}.out")), name }
    }

    /// Waits until a subscriber hears.
    ///
    /// # Panics
    /// It does not in time.
    pub async fn hears(&self, subscriber: &Subscriber) {
        let subscribed = || (self.subscriptions(&subscriber.name) == 1).then_some(());
        eventually(PATIENCE, "mosquitto_sub hears", &[self.process()], subscribed).await.expect("it subscribes");
    }
}

/// Names of log files need only differ within a test's own folder.
pub(crate) fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A running `mosquitto_sub`.
#[derive(Debug)]
pub struct Subscriber {
    name: String,
    process: Process,
    out: PathBuf,
}

impl Subscriber {
    /// Waits until it has its messages: (topic, payload) each.
    ///
    /// # Panics
    /// They do not come in time.
    pub async fn collect(mut self) -> Vec<(String, String)> {
        let status = self.process.wait(PATIENCE + Duration::from_secs(5)).await.expect("mosquitto_sub ends");
        assert!(status.success(), "mosquitto_sub: {status}\n{}", self.process.tail());
        let text = std::fs::read_to_string(&self.out).expect("read what mosquitto_sub printed");
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(topic, payload)| (topic.to_owned(), payload.to_owned()))
            .collect()
    }
}
