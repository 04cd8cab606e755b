//! A stop or reload does not wait for a device.

use std::time::Duration;

use curb_model::Name;
use curb_source::{BusConfig, Config, DeviceConfig, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::street::{Behaviour, Hub, Line, PATIENCE, bus, number, serial, twin};

/// What a stop may take on a busy machine; far less than what the device may.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A bus with one device that is asked again and again, and may take a minute to answer.
fn patient(link: Link) -> (Name, BusConfig) {
    let mut device = twin("lamp", 1, Duration::from_millis(20));
    if let DeviceConfig::Modbus(device) = &mut device.1 {
        device.timeout = Some(Duration::from_secs(60));
    }
    bus("cabinet", link, [device])
}

/// Stops it at once, with nothing read.
async fn stops_without_a_reading(mut hub: Hub) {
    timeout(AT_ONCE, hub.source.stop()).await.expect("a stop waits for nobody");
    assert_eq!(hub.received.recv().await, None, "an unanswered request is no reading");
}

async fn until_asked(line: &Line) {
    let deadline = Instant::now() + PATIENCE;
    while line.record.lock().unwrap().asked.is_empty() {
        assert!(Instant::now() < deadline, "waited in vain for a request");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_silent_unit_with_a_long_time_out_does_not_delay_a_stop_or_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let line = |name: &str| Line::new(dir.path().join(name), [(1, Behaviour::Dead)]);
    let (left, right) = (line("left"), line("right"));
    // A line rests for as long as its unit may take before it is asked for the first time: both at once, and three
    // times what a reload or stop may take.
    let on = |name: &str, device: &str, line: &Line| {
        let mut device = twin(device, 1, Duration::from_millis(20));
        if let DeviceConfig::Modbus(device) = &mut device.1 {
            device.timeout = Some(3 * AT_ONCE);
        }
        bus(name, Link::Rtu(serial(&line.link)), [device])
    };
    let (leaves, stays) = (on("left", "lamp", &left), on("right", "sign", &right));
    let mut hub = Hub::start([leaves, stays.clone()]);
    until_asked(&left).await;
    until_asked(&right).await;
    let config = Config { buses: [stays].into() };
    timeout(AT_ONCE, hub.source.apply(config)).await.expect("a reload waits for nobody").unwrap();
    stops_without_a_reading(hub).await;
}

#[tokio::test]
async fn of_a_round_that_a_stop_breaks_off_the_answered_part_is_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hub = Hub::start([patient(Link::Tcp(listener.local_addr().unwrap().to_string()))]);
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 12];
    stream.read_exact(&mut request).await.unwrap();
    stream.write_all(&[request[0], request[1], 0, 0, 0, 5, 1, 3, 2, 0, 7]).await.unwrap();
    stream.read_exact(&mut request).await.unwrap();
    timeout(AT_ONCE, hub.source.stop()).await.expect("a stop waits for nobody");
    let batch = hub.received.recv().await.expect("something was answered");
    assert!(batch.closes(), "{batch:?}");
    assert_eq!(batch.readings.iter().map(number).collect::<Vec<_>>(), [Some(7)]);
    assert_eq!(hub.received.recv().await, None);
}

#[tokio::test]
async fn a_silent_server_does_not_delay_a_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hub = Hub::start([patient(Link::Tcp(listener.local_addr().unwrap().to_string()))]);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    stops_without_a_reading(hub).await;
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_does_not_delay_a_stop() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // One connection that nobody accepts fills the queue; the kernel answers no other.
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = TcpStream::connect(address).await.unwrap();
    let mut hub = Hub::start([patient(Link::Tcp(address.to_string()))]);
    let nothing = timeout(Duration::from_millis(200), hub.received.recv()).await;
    assert!(nothing.is_err(), "it connects still: {nothing:?}");
    stops_without_a_reading(hub).await;
}
