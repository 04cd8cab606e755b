//! A thousand new configs, one after the other: at the end every point is fresh, and nothing is left of what was before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use curb_model::PointName;
use curb_source::{BusConfig, Config, DeviceConfig, Encoding, Link, ModbusDevice, ModbusPoint, Table};
use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::peers::eventually;
use crate::street::{Behaviour, Hub, Line, PATIENCE, name, register, serial};

const RELOADS: usize = 1_000;

/// For another one: the test is to pass with any.
const SEED: u64 = 21;

/// Modbus TCP devices, and one serial line.
const SERVERS: usize = 4;

/// A device that answers every read, and counts who is connected to it.
struct Server {
    address: String,
    connected: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connected = Arc::new(AtomicUsize::new(0));
        let mut serving = JoinSet::new();
        let count = Arc::clone(&connected);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    // It ends when the hub hangs up.
                    drop(serve(stream).await);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connected, _serving: serving }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 12];
    loop {
        stream.read_exact(&mut request).await?;
        let bytes = request[11] * 2;
        let head = [request[0], request[1], 0, 0, 0, bytes + 3, request[6], request[7], bytes];
        stream.write_all(&[&head[..], &vec![1; usize::from(bytes)]].concat()).await?;
    }
}

/// What hangs at one place, under names that change; nothing, or one bus.
fn any_bus(rng: &mut Rng, place: usize, link: &Link) -> Option<(String, BusConfig)> {
    if rng.u8(0..5) == 0 {
        return None;
    }
    let mut devices = BTreeMap::new();
    for unit in 1..=3 {
        if unit > 1 && rng.bool() {
            continue;
        }
        let device = format!("d{place}-{unit}-{}", rng.u8(0..2));
        let every = |rng: &mut Rng| Duration::from_millis([20, 50, 100][rng.usize(0..3)]);
        let mut points = Vec::new();
        for address in 0..4 {
            if address == 0 || rng.bool() {
                let point = register(&device, &format!("r{address}"), Table::Holding, address * 3, Encoding::U16);
                let every = rng.bool().then(|| every(rng));
                points.push(ModbusPoint { every, ..point });
            }
        }
        let device_config = ModbusDevice { points, ..ModbusDevice::new(unit, every(rng)) };
        devices.insert(name(&device), DeviceConfig::Modbus(device_config));
    }
    Some((format!("rl{place}-{}", rng.u8(0..2)), BusConfig { link: link.clone(), devices }))
}

fn config(places: &[Option<(String, BusConfig)>]) -> Config {
    Config { buses: places.iter().flatten().map(|(bus, config)| (name(bus), config.clone())).collect() }
}

fn points(config: &Config) -> BTreeSet<PointName> {
    let devices = config.buses.values().flat_map(|bus| bus.devices.values());
    let points = devices.flat_map(|device| match device {
        DeviceConfig::Modbus(device) => device.points.as_slice(),
        DeviceConfig::Talker(_) => &[],
    });
    points.map(|point| point.point.name.clone()).collect()
}

/// Threads of buses of this test, by name.
fn threads() -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // One may end while it is looked at.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|name| name.starts_with("bus-rl")).collect()
}

/// How often this process has a port open.
fn opened(port: &PathBuf) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    files.filter(|file| std::fs::read_link(file.as_ref().unwrap().path()).is_ok_and(|target| target == *port)).count()
}

#[tokio::test]
async fn after_a_thousand_random_reloads_every_point_is_fresh_and_nothing_of_before_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), (1..=3).map(|unit| (unit, Behaviour::Answers)));
    let port = std::fs::read_link(&line.link).unwrap();
    let held = opened(&port);
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(Server::start().await);
    }
    let links: Vec<Link> = servers.iter().map(|server| Link::Tcp(server.address.clone())).collect();
    let links = [links, vec![Link::Rtu(serial(&line.link))]].concat();
    let mut rng = Rng::with_seed(SEED);
    let mut places: Vec<_> = links.iter().map(|_| None).collect();
    let mut hub = Hub::start([]);
    let start = Instant::now();
    for round in 0..RELOADS {
        for _ in 0..rng.usize(1..3) {
            let place = rng.usize(0..places.len());
            places[place] = any_bus(&mut rng, place, &links[place]);
        }
        hub.source.apply(config(&places)).await.unwrap();
        while hub.received.try_recv().is_ok() {}
        // Now and then the next one meets buses that have got as far as to poll.
        if round % 10 == 0 && places.iter().any(Option::is_some) {
            timeout_at(Instant::now() + PATIENCE, hub.received.recv()).await.expect("something is read");
        }
    }
    // So that there is something to be seen at each place.
    for (place, link) in links.iter().enumerate() {
        places[place] = places[place].take().or_else(|| any_bus(&mut Rng::with_seed(1), place, link));
    }
    let last = config(&places);
    assert_eq!(last.buses.len(), links.len());
    hub.source.apply(last.clone()).await.unwrap();
    println!("{RELOADS} reloads in {:.1} s", start.elapsed().as_secs_f64());
    while hub.received.try_recv().is_ok() {}

    let mut missing = points(&last);
    let known = missing.clone();
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        let batch = timeout_at(deadline, hub.received.recv()).await;
        let batch = batch.unwrap_or_else(|_| panic!("{missing:?} are not fresh; {:#?}", hub.source.health()));
        for reading in batch.expect("the source runs").readings {
            assert!(known.contains(&reading.point.name), "{} is not in the last config", reading.point.name);
            if reading.sample.is_good() {
                missing.remove(&reading.point.name);
            }
        }
    }
    assert_eq!(hub.fault_words(), [""; 0]);
    assert!(hub.source.health().buses.keys().eq(last.buses.keys()));
    let expected: BTreeSet<String> = last.buses.keys().map(|bus| format!("bus-{bus}")).collect();
    eventually("the threads of the last config are the only ones", || threads() == expected).await;
    let connected = || servers.iter().map(|server| server.connected.load(Ordering::SeqCst)).collect::<Vec<_>>();
    eventually("each bus has one connection", || connected() == [1; SERVERS]).await;
    assert_eq!(opened(&port), held + 1);
    hub.stop().await;
    eventually("all have hung up", || connected() == [0; SERVERS]).await;
    assert_eq!((threads(), opened(&port)), (BTreeSet::new(), held));
}
