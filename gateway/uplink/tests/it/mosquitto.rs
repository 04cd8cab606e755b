//! A real broker, and a real reader.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::eventually;
use crate::pki::Pair;

/// What hubs may do, as a city would write it. `reader` stands for the ingester.
pub(crate) const ACL: &str = "pattern write curb/v1/pier/%u/#\npattern read curb/v1/pier/%u/receipt\npattern read curb/v1/pier/%u/cmd/+\n\
                       user reader\ntopic readwrite #\n";
/// A typo in the last word.
pub(crate) const ACL_WITH_TYPO: &str = "pattern write curb/v1/peer/%u/#\npattern write curb/v1/pier/%u/status\n\
                                 pattern write curb/v1/pier/%u/points\nuser reader\ntopic readwrite #\n";

/// A process that is killed when it goes out of use.
struct Process(Child);

impl Process {
    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) struct Mosquitto {
    dir: PathBuf,
    pub(crate) port: u16,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts a broker on a free port of the loopback that wants a client certificate of the CA in `roots`.
    pub(crate) async fn start(dir: &Path, core: &Pair, roots: &Path, extra: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\ntls_version tlsv1.3\nallow_anonymous false\nacl_file {}\n\
             persistence true\npersistence_location {}/\nmax_queued_messages 0\nlog_type all\nlog_dest stderr\n\
             user root\n{extra}\n",
            roots.display(),
            core.certificate.display(),
            core.key.display(),
            dir.join("acl").display(),
            dir.display(),
        );
        fs::write(dir.join("mosquitto.conf"), config).unwrap();
        fs::write(dir.join("acl"), ACL).unwrap();
        let mut mosquitto = Self { dir: dir.to_owned(), port, process: None };
        mosquitto.up().await;
        mosquitto
    }

    /// Starts it again on the same port.
    pub(crate) async fn up(&mut self) {
        let runs = |log: &str| log.lines().filter(|line| line.ends_with(" running")).count();
        let before = runs(&self.log());
        let log = File::options().create(true).append(true).open(self.dir.join("mosquitto.log")).unwrap();
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.dir.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto is installed (`make test` does it)");
        self.process = Some(Process(child));
        // It listens before it handles signals, and says when it does both.
        eventually("mosquitto runs", || runs(&self.log()) > before, || self.log()).await;
    }

    /// Stops it as its unit would.
    pub(crate) async fn down(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-TERM");
        eventually("mosquitto ends", || process.0.try_wait().unwrap().is_some(), || self.log()).await;
    }

    /// Puts another access list in force.
    pub(crate) fn acl(&self, text: &str) {
        fs::write(self.dir.join("acl"), text).unwrap();
        self.process.as_ref().unwrap().signal("-HUP");
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("mosquitto.log")).unwrap_or_default()
    }
}

/// A `mosquitto_sub` that keeps a session, and what it read: `<topic> <retained> <payload>`.
pub(crate) struct Reader {
    lines: Arc<Mutex<Vec<String>>>,
    process: Option<Process>,
    thread: Option<JoinHandle<()>>,
}

fn client(program: &str, port: u16, roots: &Path, pair: &Pair, id: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-V", "5", "-h", "localhost", "-p", &port.to_string(), "-i", id, "-q", "1", "--cafile"]);
    command.arg(roots).arg("--cert").arg(&pair.certificate).arg("--key").arg(&pair.key);
    command
}

impl Reader {
    pub(crate) fn start(port: u16, roots: &Path, pair: &Pair, id: &str, filter: &str) -> Self {
        let mut child = client("mosquitto_sub", port, roots, pair, id)
            .args(["-c", "-x", "3600", "-F", "%t %r %p", "-t", filter])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto-clients is installed (`make test` does it)");
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { lines, process: Some(Process(child)), thread: Some(thread) }
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The numbers that arrived of a stream, repeats included.
    pub(crate) fn seqs(&self, stream: &str) -> Vec<u64> {
        let lines = self.lines();
        let payloads =
            lines.iter().filter(|line| line.contains("/data/")).filter_map(|line| line.splitn(3, ' ').nth(2));
        payloads.filter_map(|text| text.strip_prefix(stream)?.trim().parse().ok()).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.process.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Publishes one message.
pub(crate) fn publish(port: u16, roots: &Path, pair: &Pair, topic: &str, text: &str) {
    let status =
        client("mosquitto_pub", port, roots, pair, "publisher").args(["-t", topic, "-m", text]).status().unwrap();
    assert!(status.success());
}

/// Publishes a command with correlation data and a response topic, and what else `more` says.
pub(crate) fn command(port: u16, roots: &Path, pair: &Pair, topic: &str, more: &[&str]) {
    let status = client("mosquitto_pub", port, roots, pair, "operator")
        .args(["-t", topic, "-m", "{}", "-D", "publish", "correlation-data", "7"])
        .args(["-D", "publish", "response-topic", "core/answers"])
        .args(more)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Long enough for a loaded machine, and only ever waited out by a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
