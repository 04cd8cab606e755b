//! A folder with a site's authority, a mosquitto that uses it, and the processes that a test starts.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const DEPOT: &str = env!("CARGO_BIN_EXE_depot");
pub(crate) const SITE: &str = "port-credit";
pub(crate) const HUB: &str = "lamp-0042";

/// A process is given this long to do what it should. Far more than it needs: two cores, and other tests beside.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs to the end.
pub(crate) fn output(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program} cannot be started: {error}"))
}

/// Runs to the end, and must succeed. Returns what it printed.
pub(crate) fn ok(program: &str, args: &[&str]) -> String {
    let out = output(program, args);
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A site with one hub, in a folder of its own.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca");
        let ca = ca.to_str().unwrap();
        ok(DEPOT, &["init", "--site", SITE, "--dir", ca, "--core-host", "localhost", "--core-host", "127.0.0.1"]);
        ok(DEPOT, &["hub", "add", HUB, "--dir", ca]);
        // Free a moment ago; nothing else on a test machine takes ports at random.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Starts mosquitto with mutual TLS, where a hub may write below its own name only.
    pub(crate) fn broker(&self) -> Process {
        let acl = format!(
            "user ingester\ntopic read curb/v1/#\ntopic write curb/v1/+/+/receipt\n\
             user operator\ntopic read curb/v1/+/+/reply/#\ntopic write curb/v1/+/+/cmd/+\n\
             pattern write curb/v1/{SITE}/%u/#\npattern read curb/v1/{SITE}/%u/receipt\n\
             pattern read curb/v1/{SITE}/%u/cmd/+\n"
        );
        fs::write(self.path("acl"), acl).unwrap();
        let config = format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nallow_anonymous false\nacl_file {}\ntls_version tlsv1.3\n\
             persistence false\nmax_queued_messages 0\n",
            self.port,
            self.text("ca/core/roots.pem"),
            self.text("ca/core/core.crt"),
            self.text("ca/core/core.key"),
            self.text("acl"),
        );
        fs::write(self.path("mosquitto.conf"), config).unwrap();
        let config = self.text("mosquitto.conf");
        let mosquitto = Process::start(self, "mosquitto", Command::new("mosquitto").args(["-v", "-c", &config]));
        eventually("mosquitto listens", &[&mosquitto], || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
        mosquitto
    }

    /// Starts `depot ingest --json`; its lines are its output.
    pub(crate) fn ingester(&self) -> Process {
        self.ingester_that_trusts(&self.text("ca/core/roots.pem"))
    }

    pub(crate) fn ingester_that_trusts(&self, roots: &str) -> Process {
        Process::start(self, "ingester", &mut self.ingest(&self.text("core.db"), roots))
    }

    /// Starts the one ingester of a database, with more arguments.
    pub(crate) fn ingester_of(&self, db: &str, more: &[&str]) -> Process {
        Process::start(self, "ingester", self.ingest(db, &self.text("ca/core/roots.pem")).args(more))
    }

    /// Starts one ingester of the group `depot`.
    pub(crate) fn member(&self, db: &str, name: &str) -> Process {
        let mut command = self.ingest(db, &self.text("ca/core/roots.pem"));
        Process::start(self, &format!("ingester-{name}"), command.args(["--group", "depot", "--name", name]))
    }

    fn ingest(&self, db: &str, roots: &str) -> Command {
        let url = format!("mqtts://localhost:{}", self.port);
        let mut command = Command::new(DEPOT);
        command.args(["ingest", "--json", "--url", &url, "--db", db]);
        command.args(["--cert", &self.text("ca/core/ingest.crt"), "--key", &self.text("ca/core/ingest.key")]);
        command.args(["--roots", roots]);
        command
    }

    /// The ingester, once it is subscribed.
    pub(crate) fn subscribed_ingester(&self) -> Process {
        let ingester = self.ingester();
        eventually("the ingester subscribes", &[&ingester], || ingester.log().contains("subscribed").then_some(()));
        ingester
    }

    fn client(&self, program: &str, topic: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.port.to_string(), "-V", "5", "-q", "1", "-t", topic]);
        command.args(["--cafile", &self.text(&format!("ca/hubs/{HUB}/roots.pem"))]);
        command.args(["--cert", &self.text(&format!("ca/hubs/{HUB}/hub.crt"))]);
        command.args(["--key", &self.text(&format!("ca/hubs/{HUB}/hub.key"))]);
        command
    }

    fn topic(lane: &str) -> String {
        format!("curb/v1/{SITE}/{HUB}/{lane}")
    }

    /// Publishes one payload as the hub.
    pub(crate) fn publish(&self, lane: &str, payload: &str) {
        self.publish_with(lane, &["-m", payload]);
    }

    /// Publishes one payload as the hub, retained.
    pub(crate) fn retain(&self, lane: &str, payload: &str) {
        self.publish_with(lane, &["-r", "-m", payload]);
    }

    fn publish_with(&self, lane: &str, args: &[&str]) {
        let mut command = self.client("mosquitto_pub", &Self::topic(lane));
        let out = command.args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// A publisher that takes one payload per line.
    pub(crate) fn publisher(&self, lane: &str) -> Process {
        Process::start(self, "publisher", self.client("mosquitto_pub", &Self::topic(lane)).arg("-l"))
    }

    /// The hub's ear for receipts.
    pub(crate) fn receipts(&self, broker: &Process) -> Process {
        let mut command = self.client("mosquitto_sub", &Self::topic("receipt"));
        let subscriber = Process::start(self, "receipts", command.args(["-i", "ear"]));
        let subscribed = || broker.log().contains("Sending SUBACK to ear").then_some(());
        eventually("mosquitto_sub subscribes", &[broker, &subscriber], subscribed);
        subscriber
    }

    /// The ledger and its exit code.
    pub(crate) fn ledger(&self) -> (Value, i32) {
        self.ledger_of(&self.text("core.db"))
    }

    pub(crate) fn ledger_of(&self, db: &str) -> (Value, i32) {
        let out = output(DEPOT, &["ledger", "--json", "--db", db]);
        let text = String::from_utf8(out.stdout).unwrap();
        let ledger = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)));
        (ledger, out.status.code().unwrap())
    }
}

/// A process that dies with its test. What it prints is kept in files.
pub(crate) struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    fn start(site: &Site, name: &str, command: &mut Command) -> Self {
        let (out, log) = (site.path(&format!("{name}.out")), site.path(&format!("{name}.log")));
        let append = |path: &Path| File::options().create(true).append(true).open(path).unwrap();
        command.stdin(Stdio::piped()).stdout(append(&out)).stderr(append(&log));
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, out, log }
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Each whole line of output as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.output();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn input(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    /// Writes a line to its input.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input(), "{line}").unwrap();
    }

    pub(crate) fn sigkill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn sigterm(mut self) -> Option<i32> {
        ok("kill", &["-TERM", &self.child.id().to_string()]);
        eventually(&format!("{} ends", self.name), &[], || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `f` gives something; after the deadline fails and shows what the processes logged.
#[expect(clippy::disallowed_methods, reason = "outside processes are polled, with a deadline")]
pub(crate) fn eventually<T>(what: &str, processes: &[&Process], mut f: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        if began.elapsed() > DEADLINE {
            let logs = processes.iter().map(|p| format!("--- {}\n{}{}", p.name, p.output(), p.log()));
            panic!("gave up waiting until {what}\n{}", logs.collect::<String>());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
