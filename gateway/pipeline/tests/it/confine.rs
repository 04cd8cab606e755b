//! What the host and the compiler are left with, seen from inside and from outside, and where the compiler's limits are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use curb_pipeline::{Limits, OnFailure, PluginConfig, PluginState};
use serde_json::json;

use crate::rig::{Rig, plugin};

/// What nobody who is confined may do.
const FORBIDDEN: [&str; 13] = [
    "file",
    "folder",
    "make",
    "device",
    "memory",
    "environment",
    "tcp",
    "udp",
    "unix",
    "signal",
    "ptrace",
    "child",
    "exec",
];

/// A process to be spied upon; it ends with the test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn probe(how: &str) -> BTreeMap<String, String> {
    let victim = Victim(Command::new("sleep").arg("60").spawn().unwrap());
    let probe = Command::new(env!("CARGO_BIN_EXE_pipeline-test-host"))
        .args(["probe", how, &victim.0.id().to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8(probe.stdout).unwrap();
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    let told: BTreeMap<_, _> = lines.map(|(what, how)| (what.to_owned(), how.to_owned())).collect();
    assert_eq!(told.len(), FORBIDDEN.len() + 2, "{said}\n{}", String::from_utf8_lossy(&probe.stderr));
    told
}

#[test]
fn from_inside_there_is_no_file_no_socket_no_other_process_and_no_other_program() {
    let free = probe("free");
    assert!(free.values().all(|how| how == "ok"), "without a filter all of it works: {free:?}");
    let confined = probe("confined");
    for what in FORBIDDEN {
        let how = &confined[what];
        assert!(how.contains("PermissionDenied") || how.contains("EPERM"), "{what}: {how}");
    }
    assert_eq!((&*confined["thread"], &*confined["clock"]), ("ok", "ok"));
}

#[tokio::test]
async fn the_host_that_runs_plugins_is_confined_before_it_hears_of_them() {
    let mut rig = Rig::start(vec![plugin("quiet", "deadband", "meter/*", json!({}))]);
    assert_eq!(rig.through("meter", vec![rig.number("meter/power", 1.0)]).await.readings.len(), 1);
    let status = PathBuf::from(format!("/proc/{}/status", rig.health().host_pid.unwrap()));
    let status = std::fs::read_to_string(status).unwrap();
    for line in ["Seccomp:\t2", "Seccomp_filters:\t2", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(rig.end().await, []);
}

/// A component that is valid and much work: a hundred functions of some thousand instructions.
fn large_component() -> Vec<u8> {
    let mut text = String::from("(component (core module\n");
    for _ in 0..100 {
        text.push_str("(func (param i64 i64) (result i64) local.get 0\n");
        for n in 0..400 {
            writeln!(text, "local.get 1 i64.const {n} i64.xor i64.mul local.get 0 i64.rotl").unwrap();
        }
        text.push_str(")\n");
    }
    text.push_str("))");
    text.into_bytes()
}

/// The plugin is refused with these words; another one beside it is not held up, and the host does not die of it.
async fn refused(limits: Limits, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.wasm");
    std::fs::write(&path, large_component()).unwrap();
    let large = plugin("large", "deadband", "air/*", json!({}));
    let large = PluginConfig { component: path, on_failure: OnFailure::Drop, limits, ..large };
    let mut rig = Rig::start(vec![large, plugin("quiet", "deadband", "meter/*", json!({ "default": 0 }))]);
    let health = rig.eventually("refused", |health| health.faults.iter().any(|f| f.word == "plugin-failed")).await;
    let detail = &health.faults.iter().find(|fault| fault.word == "plugin-failed").unwrap().detail;
    assert!(detail.contains(words), "{words}: {detail}");
    let batch = rig.through("meter", vec![rig.number("meter/power", 1.0)]).await;
    assert_eq!(batch.readings.len(), 1);
    let health = rig.health();
    let state = health.plugins.iter().find(|(name, _)| name.as_str() == "quiet").map(|(_, plugin)| plugin.state);
    assert_eq!((health.restarts, state), (0, Some(PluginState::Running)));
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn compiling_has_an_end_in_time() {
    let limits = Limits { compile_time: Duration::from_millis(30), ..Limits::default() };
    refused(limits, "longer than 30ms").await;
}

#[tokio::test]
async fn compiling_has_an_end_in_memory() {
    let limits = Limits { compile_memory: 6 << 20, ..Limits::default() };
    refused(limits, "memory allocation of").await;
}

/// Starts a host for each connection, as a service manager does.
struct Manager {
    running: Arc<Mutex<Option<Child>>>,
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Manager {
    fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let running: Arc<Mutex<Option<Child>>> = Arc::default();
        let ends = Arc::new(AtomicBool::new(false));
        let (slot, end) = (Arc::clone(&running), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let input = Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
                let mut host = Command::new(env!("CARGO_BIN_EXE_pipeline-test-host"));
                *slot.lock().unwrap() = Some(host.arg("plugin-host").stdin(input).spawn().unwrap());
                while slot.lock().unwrap().as_mut().unwrap().try_wait().unwrap().is_none() {
                    thread::park_timeout(Duration::from_millis(10));
                }
            }
        });
        Self { running, ends, thread: Some(thread) }
    }

    fn kill(&self) {
        self.running.lock().unwrap().as_mut().unwrap().kill().unwrap();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.kill();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn a_host_behind_a_socket_is_used_like_a_child_and_its_death_costs_no_reading() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("plugins.sock");
    let plugins = vec![plugin("quiet", "deadband", "meter/*", json!({ "default": 0 }))];
    let manager = Manager::start(&socket);
    let mut rig = Rig::start_behind(plugins, &socket);
    assert_eq!(rig.through("meter", vec![rig.number("meter/power", 0.0)]).await.readings.len(), 1);
    for round in 1..=3u32 {
        manager.kill();
        rig.send("meter", vec![rig.number("meter/power", f64::from(round))]).await;
        assert_eq!(rig.receive().await.readings.len(), 1, "death {round}");
        rig.eventually("reached again", |health| health.restarts >= u64::from(round)).await;
    }
    let health = rig.health();
    let kept = health.plugins.values().next().unwrap().kept;
    assert_eq!((health.restarts, kept), (3, 4), "all of them went through the plugin");
    drop(manager);
    std::fs::remove_file(&socket).unwrap();
    rig.eventually("told", |health| health.faults.iter().any(|fault| fault.word == "host-down")).await;
    assert_eq!(rig.end().await, []);
}
