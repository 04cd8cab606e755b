//! The test bed: a folder, certificates, mosquitto on mutual TLS 1.3, the devices of the load, and the C loop.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use street::{Process, binary};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::error::Error;

/// Where Debian puts it, which is not in everybody's PATH.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// Its source is part of this program, so that the program is all that a run needs.
const LOOP_SOURCE: &str = include_str!("../loop.c");
pub(crate) const SITE: &str = "bench";

/// For programs that do one small thing, a compiler among them.
const DEADLINE: Duration = Duration::from_secs(60);

/// Key, certificate and roots of somebody, as depot tells them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Identity {
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) roots: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Made {
    core: Identity,
}

/// What all figures stand on. Everything that it started ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Bed {
    /// On a disk, not in memory: bytes written are a figure.
    pub(crate) folder: PathBuf,
    pub(crate) curb: PathBuf,
    pub(crate) hub: Identity,
    pub(crate) c_loop: PathBuf,
    /// The deadband plugin.
    pub(crate) plugin: PathBuf,
    /// Where hubs connect: mutual TLS 1.3.
    pub(crate) tls_port: u16,
    /// Where the counting subscriber connects, in plain text: it is no part of what is measured.
    pub(crate) plain_port: u16,
    _broker: Process,
}

impl Bed {
    /// Makes the folder anew and starts the broker.
    pub(crate) async fn make(folder: &Path, plugin: &Path) -> Result<Self, Error> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let folder = fs::canonicalize(folder).map_err(Error::file(folder))?;
        let absolute = |path: PathBuf| fs::canonicalize(&path).map_err(Error::file(&path));
        let curb = absolute(binary("curb")?)?;
        let plugin = absolute(plugin.to_owned())?;
        let (core, hub) = certificates(&folder).await?;
        let c_loop = compile(&folder).await?;
        let (tls_port, plain_port) = (free_port(&folder)?, free_port(&folder)?);
        let config = folder.join("mosquitto.conf");
        fs::write(&config, broker_config(&core, tls_port, plain_port)).map_err(Error::file(&config))?;
        let broker = Process::start("mosquitto", Path::new(MOSQUITTO), ["-c".as_ref(), config.as_os_str()], &folder)?;
        let bed = Self { folder, curb, hub, c_loop, plugin, tls_port, plain_port, _broker: broker };
        bed.mark_ready().await?;
        Ok(bed)
    }

    /// Leaves a retained message on the broker: a subscriber that has got it is subscribed.
    async fn mark_ready(&self) -> Result<(), Error> {
        let port = self.plain_port.to_string();
        let arguments = ["-p", &port, "-r", "-q", "1", "-t", READY, "-m", "ready"];
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let status = run_quietly("mosquitto_pub", &arguments).await?;
            if status.success() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default();
                return Err(Error::Silent { what: "mosquitto to accept connections", deadline: DEADLINE, log });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the C loop. `devices` is the end of its command line.
    pub(crate) fn start_loop(&self, period: Duration, registers: u16, devices: &[String]) -> Result<Process, Error> {
        let period = period.as_millis().to_string();
        let words: Vec<String> = [period, registers.to_string()].into_iter().chain(devices.iter().cloned()).collect();
        self.start_peer(self.tls_port, &words)
    }

    /// Starts the C loop on a port of the core's; `words` stand behind the certificates.
    pub(crate) fn start_peer(&self, port: u16, words: &[String]) -> Result<Process, Error> {
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec![
            "loop".to_owned(),
            port.to_string(),
            path(&self.hub.roots),
            path(&self.hub.certificate),
            path(&self.hub.key),
        ];
        arguments.extend_from_slice(words);
        Ok(Process::start("loop", &self.c_loop, arguments, &self.folder)?)
    }

    /// What the peers are, for the head of the table.
    pub(crate) async fn peers(&self) -> Result<String, Error> {
        let (_, c_loop) = Process::run("peer", &self.c_loop, ["--version"], &self.folder, DEADLINE).await?;
        let (_, broker) = Process::run("peer", Path::new(MOSQUITTO), ["-h"], &self.folder, DEADLINE).await?;
        let first = |text: &[u8]| String::from_utf8_lossy(text).lines().next().unwrap_or_default().to_owned();
        Ok(format!("{}, mutual TLS 1.3; C loop: {}, cc -O2", first(&broker), first(&c_loop)))
    }
}

/// The topic of the retained message.
pub(crate) const READY: &str = "bench/ready";

async fn run_quietly(program: &'static str, arguments: &[&str]) -> Result<std::process::ExitStatus, Error> {
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status();
    status.await.map_err(|source| Error::Start { program, source })
}

async fn certificates(folder: &Path) -> Result<(Identity, Identity), Error> {
    let depot = binary("depot")?;
    let ca = folder.join("ca").display().to_string();
    let init = ["init", "--site", SITE, "--dir", &ca, "--core-host", "localhost", "--json"];
    let made: Made = serde_json::from_slice(&said(&depot, &init, folder).await?).map_err(Error::Depot)?;
    let add = ["hub", "add", "hub", "--dir", &ca, "--json"];
    let hub = serde_json::from_slice(&said(&depot, &add, folder).await?).map_err(Error::Depot)?;
    Ok((made.core, hub))
}

async fn said(depot: &Path, arguments: &[&str], folder: &Path) -> Result<Vec<u8>, Error> {
    let (ended, said) = Process::run("depot", depot, arguments, folder, DEADLINE).await?;
    if ended.success() {
        return Ok(said);
    }
    let log = fs::read_to_string(folder.join("depot.log")).unwrap_or_default();
    Err(Error::Run { program: "depot", ended, log })
}

async fn compile(folder: &Path) -> Result<PathBuf, Error> {
    let (source, program) = (folder.join("loop.c"), folder.join("loop"));
    fs::write(&source, LOOP_SOURCE).map_err(Error::file(&source))?;
    let done = Command::new("cc")
        .args(["-O2", "-Wall", "-o"])
        .args([&program, &source])
        .args(["-lmodbus", "-lmosquitto"])
        .output()
        .await
        .map_err(|source| Error::Start { program: "cc", source })?;
    if done.status.success() {
        return Ok(program);
    }
    let log = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(Error::Run { program: "cc", ended: done.status, log })
}

/// A port that was free a moment ago; mosquitto cannot be asked to choose one and say which.
fn free_port(folder: &Path) -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::file(folder))?;
    Ok(listener.local_addr().map_err(Error::file(folder))?.port())
}

/// No delay on purpose (Nagle): it would be the broker's delay, not the hub's. `user root`: started by root, mosquitto
/// would become somebody who cannot read the key.
fn broker_config(core: &Identity, tls_port: u16, plain_port: u16) -> String {
    let Identity { key, certificate, roots } = core;
    let (key, certificate, roots) = (key.display(), certificate.display(), roots.display());
    format!(
        "per_listener_settings true
persistence false
log_dest stderr
set_tcp_nodelay true
max_queued_messages 100000
user root

listener {tls_port} 127.0.0.1
cafile {roots}
certfile {certificate}
keyfile {key}
tls_version tlsv1.3
require_certificate true
allow_anonymous true

listener {plain_port} 127.0.0.1
allow_anonymous true
"
    )
}

/// The devices of the load. Their process ends with the pipe to it.
#[derive(Debug)]
pub(crate) struct Devices {
    pub(crate) ports: Vec<String>,
    _process: Child,
}

impl Devices {
    /// Starts this program once more, as `bench serve`.
    pub(crate) async fn start(count: u16) -> Result<Self, Error> {
        let program = "bench serve";
        let failed = |source| Error::Start { program, source };
        let this = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(this)
            .args(["serve", "--devices", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let out = process.stdout.take().expect("stdout is piped above");
        let line = tokio::time::timeout(DEADLINE, BufReader::new(out).lines().next_line()).await;
        let silent = |_| Error::Silent { what: "the devices' ports", deadline: DEADLINE, log: String::new() };
        let line = line.map_err(silent)?.map_err(failed)?.unwrap_or_default();
        let ports: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        if ports.len() != usize::from(count) {
            return Err(Error::Line { program, line });
        }
        Ok(Self { ports, _process: process })
    }

    /// The end of the C loop's command line.
    pub(crate) fn as_arguments(&self) -> Vec<String> {
        [&["tcp".to_owned()][..], &self.ports].concat()
    }
}
