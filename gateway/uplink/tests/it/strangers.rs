//! Somebody else answers in the core's place: real servers of TLS that are not the core.

use std::process::{Child, Command, Stdio};

use curb_uplink::{Address, Config};

use crate::city::City;
use crate::eventually;

/// A server of openssl with a certificate that it signed itself, as portals and test set-ups have them.
struct Stranger {
    server: Child,
    port: u16,
}

impl Stranger {
    async fn start(city: &City, options: &[&str]) -> Self {
        let path = |name: &str| city.dir.path().join(name).display().to_string();
        let (key, certificate) = (path("stranger.key"), path("stranger.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-keyout", &key, "-out", &certificate])
            .stderr(Stdio::null())
            .status()
            .expect("openssl is installed (`make test` does it)");
        assert!(made.success());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert", &certificate, "-key", &key])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        eventually("the stranger listens", listens, || format!("port {port}")).await;
        Self { server, port }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

#[tokio::test]
async fn a_stranger_in_the_cores_place_gets_nothing_and_is_called_one() {
    let city = City::new().await;
    city.queue.append("meter", 1);
    for (options, word) in [(&["-tls1_3"], "core-foreign-ca"), (&["-tls1_2"], "core-tls-too-old")] {
        let stranger = Stranger::start(&city, options).await;
        let uplink = city.uplink_with(Config { core: Address::new("localhost", stranger.port), ..city.config() });
        city.fault(&uplink, word).await;
        let fault = uplink.health().faults.remove(0);
        assert!(fault.detail.contains("captive portal"), "{fault:?}");
        assert!(uplink.health().line_bytes > 0, "what strangers answer is paid for, too");
        assert_eq!(city.queue.len(), 1);
    }
}

/// Each of two addresses has its own trouble: both are told, and neither goes with the other's next try.
#[tokio::test]
async fn of_two_addresses_that_fail_each_one_says_why() {
    let city = City::new().await;
    let stranger = Stranger::start(&city, &["-tls1_3"]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let fallback = Some(Address::new("localhost", stranger.port));
    let config = Config { core: Address::new("127.0.0.1", nobody), fallback, ..city.config() };
    let uplink = city.uplink_with(config);
    city.until(&uplink, "both have been tried", |_, health| health.faults.len() == 2).await;
    let tries = uplink.health().connection;
    let told = |_: &City, health: &curb_uplink::Health| {
        let told: Vec<_> = health.faults.iter().map(|fault| (fault.subject.as_str(), fault.word)).collect();
        assert_eq!(told, [("core", "core-unreachable"), ("fallback", "core-foreign-ca")]);
        for (fault, port) in health.faults.iter().zip([nobody, stranger.port]) {
            assert!(fault.detail.contains(&port.to_string()), "{fault:?}");
        }
        health.connection >= tries + 3
    };
    city.until(&uplink, "three more tries", told).await;
}
