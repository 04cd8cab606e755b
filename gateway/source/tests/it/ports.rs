//! Ports and servers that come and go: noticed without a question, waited for without a busy loop, found again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use curb_model::{Name, Reason};
use curb_source::{BusConfig, DeviceConfig, Link, Outcome, Probe, Question, RTU_TIMEOUT, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_serial::{SerialPort as _, SerialStream};

use crate::street::{Hub, PATIENCE, bus, crc16, number, point_to, serial, twin};
use crate::talker::air;

/// So long that no poll comes between.
const SELDOM: Duration = Duration::from_secs(3600);

const EVERY: Duration = Duration::from_millis(20);

async fn eventually(what: &str, hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(hub) {
        assert!(Instant::now() < deadline, "waited in vain until {what}: {:#?}", hub.source.health());
        sleep(Duration::from_millis(1)).await;
    }
}

/// How often the thread of a bus has been woken.
fn wake_ups(bus: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_it = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == bus);
    let thread = tasks.into_iter().find(is_it).expect("the bus has a thread");
    let status = std::fs::read_to_string(thread.join("status")).unwrap();
    let switches = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    switches.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
}

/// Whether this process holds the port open.
fn is_held(port: &str) -> bool {
    let handles = std::fs::read_dir("/proc/self/fd").unwrap();
    let target = |handle: std::io::Result<std::fs::DirEntry>| std::fs::read_link(handle.ok()?.path()).ok();
    handles.filter_map(target).any(|target| target.to_string_lossy().trim_end_matches(" (deleted)") == port)
}

/// The fault stands within a second, on a machine with time to spare.
async fn is_known_to_be_gone(hub: &Hub) {
    let start = Instant::now();
    eventually("the port is known to be gone", hub, |hub| hub.fault_words().contains(&"port-gone")).await;
    println!("known after {:?}", start.elapsed());
}

/// Long enough to see a loop that is busy, or a server that is knocked at all the time.
const WATCH: Duration = Duration::from_secs(1);

/// Nothing to do but to look for the port: it must not cost more than a few wake-ups.
async fn waits_without_a_busy_loop(bus: &str) {
    let before = wake_ups(bus);
    sleep(WATCH).await;
    let count = wake_ups(bus) - before;
    println!("woken {count} times in {WATCH:?}");
    assert!(count < 50, "woken {count} times in {WATCH:?}");
}

async fn vanishes_and_comes_back_under_another_name(config: (Name, BusConfig), link: &Path) {
    let thread = format!("bus-{}", config.0);
    let (master, slave) = SerialStream::pair().unwrap();
    let old = slave.name().unwrap();
    point_to(link, &slave);
    let hub = Hub::start([config]);
    eventually("it is open", &hub, |hub| hub.source.health().buses.values().all(|bus| bus.open)).await;
    waits_without_a_busy_loop(&thread).await;

    // Made while the old one is there, so that it has another name.
    let (_master, new) = SerialStream::pair().unwrap();
    std::fs::remove_file(link).unwrap();
    drop((master, slave));
    is_known_to_be_gone(&hub).await;
    assert!(!is_held(&old), "a held handle makes the kernel give the adapter another name");
    waits_without_a_busy_loop(&thread).await;

    // Only the link says where the port is now.
    point_to(link, &new);
    eventually("it is open again", &hub, |hub| hub.source.health().buses.values().all(|bus| bus.open)).await;
    assert!(!hub.fault_words().contains(&"port-gone"));
    assert_eq!(hub.source.health().buses.values().map(|bus| bus.counters.reopened).sum::<u64>(), 1);
    hub.stop().await;
}

#[tokio::test]
async fn an_idle_line_whose_adapter_is_pulled_is_known_at_once_and_found_behind_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let mut device = twin("meter", 3, SELDOM);
    if let DeviceConfig::Modbus(device) = &mut device.1 {
        device.timeout = Some(Duration::from_millis(10));
    }
    vanishes_and_comes_back_under_another_name(bus("idle", Link::Rtu(serial(&link)), [device]), &link).await;
}

#[tokio::test]
async fn a_talker_whose_adapter_is_pulled_is_known_at_once_and_found_behind_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    vanishes_and_comes_back_under_another_name(air(&link), &link).await;
}

/// What a server does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Takes them, and never reads.
    Deaf,
    /// Takes them, and closes each at once.
    Slams,
}

/// Both kinds of Modbus whose frames fit a connection meet such a server.
async fn meets(manners: Manners, reason: Reason) {
    for over in ["tcp", "rtu"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let link = if over == "tcp" { Link::Tcp(address) } else { Link::RtuOverTcp(address) };
        let connections = Arc::new(AtomicU64::new(0));
        let mut server = JoinSet::new();
        let count = Arc::clone(&connections);
        server.spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                kept.extend(Some(stream).filter(|_| manners == Manners::Deaf));
            }
        });
        let mut hub = Hub::start([bus(over, link, [twin(over, 3, EVERY)])]);
        hub.bad(over, reason).await;
        let seen = || (connections.load(Ordering::Relaxed), wake_ups(&format!("bus-{over}")));
        let before = seen();
        let readings = hub.all_for(WATCH).await;
        let (made, woken) = (seen().0 - before.0, seen().1 - before.1);
        println!("{over}, {manners:?}: {made} connections, woken {woken} times in {WATCH:?}");
        assert!(readings.iter().all(|reading| !reading.sample.is_good()), "{readings:?}");
        assert!(made <= 8, "{over}: {made} connections in {WATCH:?}");
        // A poll that is due is a wake-up, port or not.
        assert!(woken < 500, "{over}: woken {woken} times in {WATCH:?}");
        assert!(!hub.fault_words().is_empty());
        hub.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_takes_connections_and_never_reads_is_a_silent_unit_and_not_knocked_at_all_the_time() {
    meets(Manners::Deaf, Reason::Timeout).await;
}

#[tokio::test]
async fn a_server_that_closes_every_connection_at_once_is_not_knocked_at_all_the_time() {
    meets(Manners::Slams, Reason::Port).await;
}

#[tokio::test]
async fn a_server_that_was_deaf_is_read_as_soon_as_it_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = Link::Tcp(listener.local_addr().unwrap().to_string());
    let mut hub = Hub::start([bus("tcp", link, [twin("meter", 3, EVERY)])]);
    let (deaf, _) = listener.accept().await.unwrap();
    hub.bad("meter", Reason::Timeout).await;
    drop(deaf);
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 12];
            while stream.read_exact(&mut request).await.is_ok() {
                let answer = [request[0], request[1], 0, 0, 0, 5, 3, 3, 2, 0, 7];
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        }
    });
    assert_eq!(number(&hub.good("meter").await), Some(7));
    hub.stop().await;
}

/// A serial server is listened to for as long as a unit may take before the first request goes out.
#[tokio::test]
async fn what_a_line_rests_after_opening_is_no_part_of_the_first_answers_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut unit = JoinSet::new();
    unit.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        while stream.read_exact(&mut request).await.is_ok() {
            let body = [request[0], request[1], 2, 0, 7];
            stream.write_all(&[&body[..], &crc16(&body).to_le_bytes()].concat()).await.unwrap();
        }
    });
    let hub = Hub::start([bus("cabinet", Link::RtuOverTcp(address), [])]);
    let question = Question::Read { table: Table::Holding, address: 0, quantity: 1 };
    let probe = Probe { unit: 1, question, settings: None, timeout: None, hold: Duration::ZERO };
    let began = Instant::now();
    let probed = hub.source.bus(&Name::new("cabinet").unwrap()).unwrap().probe(probe).await.unwrap();
    let took = began.elapsed();
    assert_eq!(probed.outcome, Outcome::Registers(vec![7]));
    assert!(probed.took + RTU_TIMEOUT <= took, "{:?} of {took:?}", probed.took);
    hub.stop().await;
}
