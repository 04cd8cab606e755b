//! The weather on a proxied line is what was ordered.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use street::{Proxy, Weather};

#[test]
fn a_line_stalls_delays_and_is_cut() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let (mut peer, _) = server.accept().unwrap();
    peer.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut byte = [0];

    client.write_all(b"a").unwrap();
    peer.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"a");

    proxy.set(Weather::Stall);
    client.write_all(b"b").unwrap();
    assert!(peer.read_exact(&mut byte).is_err(), "a byte passed a stalled line");

    proxy.set(Weather::Delay(Duration::from_millis(200)));
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b", "what was held comes when the weather is better");
    let begin = Instant::now();
    peer.write_all(b"c").unwrap();
    client.read_exact(&mut byte).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200));

    proxy.set(Weather::Cut);
    assert_eq!(client.read(&mut byte).unwrap_or(0), 0);
    assert_eq!(peer.read(&mut byte).unwrap_or(0), 0);
    let mut late = TcpStream::connect(proxy.address()).unwrap();
    late.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(late.read(&mut byte).unwrap_or(0), 0);

    proxy.set(Weather::Fair);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let (mut peer, _) = server.accept().unwrap();
    client.write_all(b"d").unwrap();
    peer.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"d");
}
