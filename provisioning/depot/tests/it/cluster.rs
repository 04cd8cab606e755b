//! A PostgreSQL of the test's own: a cluster in a folder, on a Unix socket, by a user who is not root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::peers::{eventually, ok};

/// A cluster, ended with its test.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    server: Option<Child>,
}

impl Cluster {
    /// Makes a cluster, starts it, and makes the database `curb` of the user `curb`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("pg")).unwrap();
        if is_root() {
            let id = |flag: &str| Some(ok("id", &[flag, "postgres"]).trim().parse().unwrap());
            chown(folder.path().join("pg"), id("-u"), id("-g")).unwrap();
        }
        let mut cluster = Self { folder, bin: newest_bin(), server: None };
        let data = cluster.data();
        let data = data.to_str().unwrap();
        let made =
            cluster.command("initdb").args(["-D", data, "-U", "curb", "-A", "trust", "--no-sync"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.start();
        let mut client = cluster.client("postgres");
        client.batch_execute("CREATE DATABASE curb").unwrap();
        cluster
    }

    /// Starts the server.
    pub(crate) fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path().join("pg"));
        // Nobody pulls the plug of a test machine: what is tested is who dies, not what the disk does.
        command.args(["-c", "listen_addresses=", "-c", "fsync=off"]).stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        eventually("PostgreSQL takes connections", &[], || {
            postgres::Client::connect(&self.url_of("postgres"), postgres::NoTls).ok()
        });
    }

    /// Ends the server, and every connection with it.
    pub(crate) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        ok("kill", &["-INT", &server.id().to_string()]);
        eventually("PostgreSQL ends", &[], || server.try_wait().unwrap());
    }

    /// What `--db` takes.
    pub(crate) fn url(&self) -> String {
        self.url_of("curb")
    }

    fn url_of(&self, database: &str) -> String {
        let socket = self.folder.path().join("pg").to_str().unwrap().replace('/', "%2F");
        format!("postgres://curb@{socket}/{database}")
    }

    pub(crate) fn client(&self, database: &str) -> postgres::Client {
        postgres::Client::connect(&self.url_of(database), postgres::NoTls).unwrap()
    }

    /// A number out of the database.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.client("curb").query_one(sql, &[]).unwrap().get(0)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("pg/data")
    }

    fn command(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]).arg(path);
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Immediate shutdown: the server ends its own processes, which SIGKILL would leave behind.
            drop(Command::new("kill").args(["-QUIT", &server.id().to_string()]).status());
            drop(server.wait());
        }
    }
}

/// PostgreSQL refuses to run as root.
fn is_root() -> bool {
    ok("id", &["-u"]).trim() == "0"
}

/// Debian keeps the server's programs in a folder for each version.
fn newest_bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    let bins = versions.map(|version| version.join("bin")).filter(|bin: &PathBuf| Path::exists(&bin.join("postgres")));
    bins.max().unwrap()
}
