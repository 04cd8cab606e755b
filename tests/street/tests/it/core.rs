//! The core is a broker to clients that we did not write, and only to those with a certificate.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use street::{Core, CoreFiles};

use crate::{run, text, until};

/// A root, and a certificate of it for the core (which is `localhost`) and for a client.
fn certificates(folder: &Path) -> CoreFiles {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    // Named unlike the certificates that it signs: one whose issuer has its own name counts as self-signed.
    root.distinguished_name.push(DnType::CommonName, "root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("roots.pem"), root.pem()).unwrap();
    for name in ["localhost", "client"] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    CoreFiles {
        certificate: folder.join("localhost.crt"),
        key: folder.join("localhost.key"),
        roots: folder.join("roots.pem"),
        sessions: None,
    }
}

fn start(folder: &Path) -> Core {
    // The first test of this process installs it; the others find it there.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    Core::start(certificates(folder)).unwrap()
}

fn publish(core: &Core, folder: &Path, certificate: Option<&str>) -> (bool, String) {
    let port = core.address().port().to_string();
    let roots = folder.join("roots.pem");
    let mut arguments = vec!["-V", "5", "-h", "localhost", "-p", &port, "--cafile", text(&roots)];
    let files = certificate.map(|name| [folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))]);
    if let Some([certificate, key]) = &files {
        arguments.extend(["--cert", text(certificate), "--key", text(key)]);
    }
    arguments.extend(["-q", "1", "-t", "a/b", "-m", "hello"]);
    run("mosquitto_pub", &arguments)
}

fn subscribe(core: &Core, folder: &Path) -> Child {
    let file = |name: &str| text(&folder.join(name)).to_owned();
    Command::new("mosquitto_sub")
        .args([
            "-V",
            "5",
            "-h",
            "localhost",
            "-p",
            &core.address().port().to_string(),
            "-q",
            "1",
            "-t",
            "a/#",
            "-C",
            "1",
        ])
        .args(["--cafile", &file("roots.pem"), "--cert", &file("client.crt"), "--key", &file("client.key"), "-W", "10"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto-clients are needed; `make needs` installs them")
}

#[test]
fn only_clients_with_our_certificate_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let core = start(folder.path());
    assert!(core.address().ip().is_loopback());
    let subscriber = subscribe(&core, folder.path());
    until(Instant::now() + Duration::from_secs(10), || (core.subscribers() == 1).then_some(())).expect("a subscriber");
    let (fine, printed) = publish(&core, folder.path(), Some("client"));
    assert!(fine, "{printed}");
    assert_eq!(subscriber.wait_with_output().unwrap().stdout, b"hello\n");
    assert!(!publish(&core, folder.path(), None).0, "a client without certificate was served");
    let stranger = tempfile::tempdir().unwrap();
    certificates(stranger.path());
    for ending in ["crt", "key"] {
        let name = format!("client.{ending}");
        fs::rename(stranger.path().join(&name), folder.path().join(format!("stranger.{ending}"))).unwrap();
    }
    assert!(!publish(&core, folder.path(), Some("stranger")).0, "a certificate of another root was taken");
    assert!(!Path::new("mqtt_storage").exists(), "the broker wrote where it stands");
}

#[test]
fn going_away_cuts_connections_and_closes_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = start(folder.path());
    let mut subscriber = subscribe(&core, folder.path());
    let end = || Instant::now() + Duration::from_secs(10);
    until(end(), || (core.subscribers() == 1).then_some(())).expect("a subscriber");
    core.go_away();
    assert!(!core.is_there() && TcpStream::connect(core.address()).is_err());
    core.come_back().unwrap();
    let address = core.address();
    assert!(publish(&core, folder.path(), Some("client")).0, "the core is back at {address}");
    subscriber.kill().unwrap();
    subscriber.wait().unwrap();
}

#[test]
fn a_core_with_sessions_keeps_messages_for_those_who_are_away() {
    let folder = tempfile::tempdir().unwrap();
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let files = certificates(folder.path());
    let mut core = Core::start(CoreFiles { sessions: Some(folder.path().join("sessions")), ..files }).unwrap();
    let port = core.address().port().to_string();
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let (roots, certificate, key) = (file("roots.pem"), file("client.crt"), file("client.key"));
    let arguments =
        ["-V", "5", "-h", "localhost", "-p", &port, "-q", "1", "-t", "a/#", "-c", "-i", "keeper", "-x", "300"];
    let tls = ["--cafile", &roots, "--cert", &certificate, "--key", &key, "-W", "10"];
    let subscribe = |how: &[&str]| run("mosquitto_sub", &[&arguments[..], &tls, how].concat());
    assert!(subscribe(&["-E"]).0);
    until(Instant::now() + Duration::from_secs(10), || (core.connected() == 0).then_some(())).expect("it has gone");
    core.go_away();
    core.come_back().unwrap();
    assert!(publish(&core, folder.path(), Some("client")).0);
    assert_eq!(subscribe(&["-C", "1"]), (true, "hello\n".to_owned()));
}
