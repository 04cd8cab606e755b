//! Every step of the way to the core has its own words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Dial;
use crate::address::{Address, Login, Proxy};
use crate::lost::Lost;

/// What a peer does with whoever comes: reads as much as one packet, sends this, and closes if told so.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Says(&'static [u8]),
    SaysAndCloses(&'static [u8]),
}

/// Starts one on a free port of the loopback. It ends with the set.
async fn start(peer: Peer, tasks: &mut JoinSet<()>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let (mut hub, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let _read = hub.read(&mut asked).await.unwrap();
        match peer {
            Peer::Says(text) => {
                hub.write_all(text).await.unwrap();
                std::future::pending().await
            }
            Peer::SaysAndCloses(text) => hub.write_all(text).await.unwrap(),
        }
    });
    Address::new("127.0.0.1", port)
}

/// A port of the loopback where nobody is.
async fn nobody() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Address::new("127.0.0.1", listener.local_addr().unwrap().port())
}

/// What becomes of dialling `core`, through `proxy` if there is one. `timeout`: long, where the peer is not silent.
async fn dialled(core: &Address, proxy: Option<Address>, timeout: Duration) -> Lost {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let login = Some(Login { user: "hub".to_owned(), password: "s3cr3t".to_owned() });
    let proxy = proxy.map(|address| Proxy { address, login });
    let dial = Dial { core, setting: "core.fallback", proxy: proxy.as_ref(), tls: Arc::new(tls), timeout };
    let lost = dial.connect(Instant::now() + timeout).await.unwrap_err();
    assert!(!lost.detail.contains("s3cr3t"), "{lost:?}");
    lost
}

const LONG: Duration = Duration::from_secs(20);
/// What a peer that says nothing is waited for.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_core_that_is_none_has_a_word_for_each_way_of_being_none() {
    let portal = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n";
    let cases = [
        ("core-not-tls", Peer::Says(portal), LONG, "captive portal"),
        ("core-not-tls", Peer::Says(b"220 mail.example ESMTP\r\n"), LONG, "captive portal"),
        ("core-unreachable", Peer::SaysAndCloses(b""), LONG, "closed the connection in the TLS handshake"),
        ("core-unreachable", Peer::Says(b""), SHORT, "does not answer to a TLS handshake in time"),
    ];
    let mut tasks = JoinSet::new();
    for (word, peer, timeout, detail) in cases {
        let core = start(peer, &mut tasks).await;
        let lost = dialled(&core, None, timeout).await;
        assert_eq!(lost.word, word, "{peer:?}: {lost:?}");
        assert!(lost.detail.contains(detail), "{peer:?}: {lost:?}");
    }
    let lost = dialled(&nobody().await, None, LONG).await;
    assert_eq!(lost.word, "core-unreachable", "{lost:?}");
    // A label of 64 letters: no resolver is asked.
    let lost = dialled(&Address::new(format!("{}.example", "x".repeat(64)), 8883), None, LONG).await;
    assert_eq!(lost.word, "core-name", "{lost:?}");
    assert!(lost.detail.contains("check core.fallback"), "{lost:?}");
}

#[tokio::test]
async fn a_proxy_that_fails_has_a_word_for_each_way_of_failing() {
    let cases = [
        ("proxy-login", Peer::Says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), LONG),
        ("proxy-refuses", Peer::Says(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<html>"), LONG),
        ("proxy-cannot-reach", Peer::SaysAndCloses(b"HTTP/1.0 502 Bad Gateway\r\n\r\n"), LONG),
        ("proxy-not-http", Peer::Says(b"SSH-2.0-OpenSSH_9.2p1\r\n"), LONG),
        ("proxy-silent", Peer::SaysAndCloses(b"HTTP/1.1 20"), LONG),
        ("proxy-silent", Peer::Says(b""), SHORT),
        // From here on it is the core that is told of.
        ("core-unreachable", Peer::SaysAndCloses(b"HTTP/1.1 200 OK\r\n\r\n"), LONG),
    ];
    let core = Address::new("core.example", 8883);
    let mut tasks = JoinSet::new();
    for (word, peer, timeout) in cases {
        let proxy = start(peer, &mut tasks).await;
        let lost = dialled(&core, Some(proxy), timeout).await;
        assert_eq!(lost.word, word, "{peer:?}: {lost:?}");
    }
    let lost = dialled(&core, Some(nobody().await), LONG).await;
    assert_eq!(lost.word, "proxy-unreachable", "{lost:?}");
}
