//! What `depot init` and `depot hub add` make, as openssl sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::peers::{DEPOT, HUB, SITE, Site, ok, output};

#[test]
fn openssl_accepts_every_chain_for_its_own_purpose_only() {
    let site = Site::new();
    let roots = site.text("ca/core/roots.pem");
    let verify = |certificate: &str, purpose: &str| {
        let certificate = site.text(certificate);
        let args = [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            &roots,
            "-untrusted",
            &certificate,
            &certificate,
        ];
        output("openssl", &args).status.success()
    };
    for (certificate, server, client) in [
        ("ca/core/core.crt", true, false),
        ("ca/core/ingest.crt", false, true),
        (&format!("ca/hubs/{HUB}/hub.crt"), false, true),
    ] {
        assert_eq!(verify(certificate, "sslserver"), server, "{certificate} as server");
        assert_eq!(verify(certificate, "sslclient"), client, "{certificate} as client");
    }
}

#[test]
fn names_stand_where_the_papers_say() {
    let site = Site::new();
    let show = |certificate: &str| {
        let args = ["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-ext", "subjectAltName", "-in"];
        ok("openssl", &[args.as_slice(), &[&site.text(certificate)]].concat())
    };
    let hub = show(&format!("ca/hubs/{HUB}/hub.crt"));
    assert!(hub.contains(&format!("subject=CN={HUB},O={SITE}")) && hub.contains(&format!("DNS:{HUB}")), "{hub}");
    let ingester = show("ca/core/ingest.crt");
    assert!(ingester.contains(&format!("subject=CN=ingester,O={SITE}")), "{ingester}");
    let core = show("ca/core/core.crt");
    assert!(core.contains("DNS:localhost, IP Address:127.0.0.1"), "{core}");
}

#[test]
fn keys_fit_their_certificates_and_are_for_their_owner_alone() {
    let site = Site::new();
    for name in ["ca/core/core", "ca/core/ingest", &format!("ca/hubs/{HUB}/hub"), "ca/issuing/issuing", "ca/root/root"]
    {
        let (key, certificate) = (site.text(&format!("{name}.key")), site.text(&format!("{name}.crt")));
        let public = ok("openssl", &["pkey", "-pubout", "-in", &key]);
        assert_eq!(public, ok("openssl", &["x509", "-noout", "-pubkey", "-in", &certificate]), "{name}");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_request_made_on_the_hub_is_signed_under_the_depots_name_for_it() {
    let site = Site::new();
    let (key, request, ca) = (site.text("pole.key"), site.text("pole.csr"), site.text("ca"));
    ok("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    ok("openssl", &["req", "-new", "-key", &key, "-subj", "/CN=core.city.example/O=elsewhere", "-out", &request]);
    ok(DEPOT, &["hub", "add", "pole-7", "--dir", &ca, "--csr", &request]);
    let certificate = site.text("ca/hubs/pole-7/hub.crt");
    let subject = ok("openssl", &["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", &certificate]);
    assert_eq!(subject.trim(), format!("subject=CN=pole-7,O={SITE}"));
    let public = ok("openssl", &["x509", "-noout", "-pubkey", "-in", &certificate]);
    assert_eq!(public, ok("openssl", &["pkey", "-pubout", "-in", &key]));
    assert!(!site.path("ca/hubs/pole-7/hub.key").exists());

    ok(
        "openssl",
        &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", &key, "-out", &request],
    );
    let refused = output(DEPOT, &["hub", "add", "pole-8", "--dir", &ca, "--csr", &request]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(!site.path("ca/hubs/pole-8").exists());
}

#[test]
fn nothing_is_ever_overwritten_and_nothing_half_made_is_left() {
    let site = Site::new();
    let ca = site.text("ca");
    let before = fs::read(site.path("ca/root/root.key")).unwrap();
    let again = output(DEPOT, &["init", "--site", SITE, "--dir", &ca]);
    assert_eq!(again.status.code(), Some(2));
    let again = output(DEPOT, &["hub", "add", HUB, "--dir", &ca]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read(site.path("ca/root/root.key")).unwrap(), before);
    let hidden = |folder: &str| {
        let entries = fs::read_dir(site.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).find(|name| name.starts_with('.'))
    };
    assert_eq!((hidden("."), hidden("ca/hubs")), (None, None));
}
