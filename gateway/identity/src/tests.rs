use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curb_model::Name;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, HandshakeKind, NamedGroup, RootCertStore, ServerConfig, ServerConnection};
use tempfile::TempDir;

use crate::{Config, Error, Identity, Refusal, Warning, load};

struct Ca {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }
}

/// A leaf certificate, from 2020 to 2040 unless told otherwise.
struct Leaf {
    cn: Option<&'static str>,
    o: Option<&'static str>,
    san: &'static [&'static str],
    years: (i32, i32),
}

const HUB: Leaf = Leaf { cn: Some("hub-7"), o: Some("pier"), san: &["hub-7"], years: (2020, 2040) };
const CORE: Leaf = Leaf { cn: Some("core"), o: None, san: &["core.example"], years: (2020, 2040) };

impl Leaf {
    fn issue(&self, ca: &Ca) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(self.san.iter().map(|&s| s.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in [(DnType::CommonName, self.cn), (DnType::OrganizationName, self.o)] {
            if let Some(text) = text {
                params.distinguished_name.push(kind, text);
            }
        }
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &ca.issuer).unwrap(), key)
    }
}

/// The three files of a hub.
struct Files {
    dir: TempDir,
    config: Config,
}

impl Files {
    fn new(ca: &Ca, leaf: &Leaf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = leaf.issue(ca);
        let path = |name: &str| dir.path().join(name);
        let config = Config {
            key: path("hub.key"),
            certificate: path("hub.pem"),
            roots: path("roots.pem"),
            site: Some(Name::new("pier").unwrap()),
        };
        write_key(&config.key, &key);
        fs::write(&config.certificate, certificate.pem()).unwrap();
        fs::write(&config.roots, ca.certificate.pem()).unwrap();
        Self { dir, config }
    }
}

fn write_key(path: &Path, key: &KeyPair) {
    fs::write(path, key.serialize_pem()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn year(year: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600)
}

#[test]
fn good_files_make_an_identity_named_by_the_certificate() {
    let files = Files::new(&Ca::new("city"), &HUB);
    let identity = load(&files.config, Some(year(2030))).unwrap();
    assert_eq!((identity.hub.as_str(), identity.site.as_str()), ("hub-7", "pier"));
    assert!(identity.not_before < year(2021) && identity.not_after > year(2039));
    assert_eq!(identity.warnings, []);
    assert!(identity.tls.alpn_protocols.is_empty());
}

#[test]
fn each_mistake_has_its_word_and_names_its_file() {
    type Spoil = fn(&mut Files);
    let cases: &[(&str, &Leaf, Spoil)] = &[
        ("file-missing", &HUB, |f| fs::remove_file(&f.config.certificate).unwrap()),
        ("file-missing", &HUB, |f| fs::remove_file(&f.config.key).unwrap()),
        ("file-missing", &HUB, |f| fs::remove_file(&f.config.roots).unwrap()),
        ("file-unreadable", &HUB, |f| f.config.key = f.dir.path().to_owned()),
        ("not-pem", &HUB, |f| fs::write(&f.config.certificate, "hello").unwrap()),
        ("not-pem", &HUB, |f| f.config.certificate = f.config.key.clone()),
        ("not-pem", &HUB, |f| f.config.key = f.config.certificate.clone()),
        ("not-pem", &HUB, |f| fs::write(&f.config.roots, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap()),
        ("roots-empty", &HUB, |f| fs::write(&f.config.roots, "").unwrap()),
        ("root-unusable", &HUB, |f| {
            fs::write(&f.config.roots, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        }),
        ("certificate-malformed", &HUB, |f| {
            fs::write(&f.config.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        }),
        ("key-does-not-fit", &HUB, |f| write_key(&f.config.key, &KeyPair::generate().unwrap())),
        ("certificate-expired", &Leaf { years: (2020, 2025), ..HUB }, |_| ()),
        ("certificate-not-yet-valid", &Leaf { years: (2031, 2040), ..HUB }, |_| ()),
        ("certificate-without-name", &Leaf { cn: None, ..HUB }, |_| ()),
        ("certificate-without-site", &Leaf { o: None, ..HUB }, |_| ()),
        ("certificate-name-malformed", &Leaf { o: Some("Port Credit"), ..HUB }, |_| ()),
        ("certificate-names-differ", &Leaf { san: &["hub-8"], ..HUB }, |_| ()),
        ("certificate-names-differ", &Leaf { san: &[], ..HUB }, |_| ()),
        ("site-does-not-fit", &Leaf { o: Some("harbour"), ..HUB }, |_| ()),
    ];
    let ca = Ca::new("city");
    for (word, leaf, spoil) in cases {
        let mut files = Files::new(&ca, leaf);
        spoil(&mut files);
        let error = load(&files.config, Some(year(2030))).expect_err(word);
        let fault = error.fault();
        assert_eq!(error.word(), *word, "{error}");
        assert_eq!(fault.word, *word);
        assert!(fault.detail.contains(files.dir.path().to_str().unwrap()), "{fault}");
    }
}

#[test]
fn dates_are_shown_as_utc() {
    let files = Files::new(&Ca::new("city"), &Leaf { years: (2020, 2025), ..HUB });
    let error = load(&files.config, Some(UNIX_EPOCH + Duration::from_secs(1_893_456_000))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("expired at 2025-01-01T00:00:00Z and it is 2030-01-01T00:00:00Z"), "{text}");
}

#[test]
fn without_a_trusted_clock_the_hub_does_not_judge_its_own_dates() {
    let files = Files::new(&Ca::new("city"), &Leaf { years: (2020, 2025), ..HUB });
    assert!(load(&files.config, None).is_ok());
    assert!(matches!(load(&files.config, Some(year(2030))), Err(Error::Expired { .. })));
}

#[test]
fn without_a_configured_site_the_certificate_decides() {
    let mut files = Files::new(&Ca::new("city"), &Leaf { o: Some("harbour"), ..HUB });
    files.config.site = None;
    assert_eq!(load(&files.config, None).unwrap().site.as_str(), "harbour");
}

#[test]
fn a_key_that_others_can_read_is_used_and_complained_of() {
    let files = Files::new(&Ca::new("city"), &HUB);
    fs::set_permissions(&files.config.key, fs::Permissions::from_mode(0o644)).unwrap();
    let identity = load(&files.config, None).unwrap();
    let key = files.config.key.clone();
    assert_eq!(identity.warnings, [Warning::KeyReadable { path: key, mode: 0o644 }]);
    assert!(identity.warnings[0].fault().detail.contains("0644"));
}

/// A core that asks for a certificate of `clients`.
fn core(ca: &Ca, leaf: &Leaf, clients: &Ca) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.certificate.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = leaf.issue(ca);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// Runs a handshake in memory, and one byte back to show whether the core accepted the hub.
fn handshake(identity: &Identity, core: ServerConfig) -> Result<ClientConnection, rustls::Error> {
    let host = ServerName::try_from("core.example").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&identity.tls), host).unwrap();
    let mut server = ServerConnection::new(Arc::new(core)).unwrap();
    let mut wire = Vec::new();
    for _ in 0..8 {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        let served = server.process_new_packets();
        if served.is_ok() && !server.is_handshaking() {
            server.writer().write_all(b"!").unwrap();
        }
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(client)
}

#[test]
fn the_handshake_is_tls_1_3_with_the_post_quantum_group() {
    let ca = Ca::new("city");
    let identity = load(&Files::new(&ca, &HUB).config, None).unwrap();
    let client = handshake(&identity, core(&ca, &CORE, &ca)).unwrap();
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn each_failed_handshake_has_its_word() {
    let (ca, foreign) = (Ca::new("city"), Ca::new("elsewhere"));
    let namesake = Ca::new("city");
    let identity = load(&Files::new(&ca, &HUB).config, None).unwrap();
    let cases = [
        ("core-certificate-expired", core(&ca, &Leaf { years: (2018, 2021), ..CORE }, &ca)),
        ("core-certificate-not-yet-valid", core(&ca, &Leaf { years: (2090, 2099), ..CORE }, &ca)),
        ("core-wrong-host", core(&ca, &Leaf { san: &["other.example"], ..CORE }, &ca)),
        ("core-foreign-ca", core(&foreign, &CORE, &ca)),
        ("core-foreign-ca", core(&namesake, &CORE, &ca)),
        ("core-foreign-ca", portal()),
        ("core-refused-certificate", core(&ca, &CORE, &foreign)),
    ];
    for (word, core) in cases {
        let error = handshake(&identity, core).expect_err(word);
        // As it arrives in practice: inside an io::Error.
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let refusal = Refusal::find(&error).unwrap_or_else(|| panic!("{word}: {error}"));
        assert_eq!(refusal.word(), word, "{refusal}");
    }
    assert_eq!(Refusal::find(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
}

#[test]
fn what_does_not_speak_tls_is_told_apart_from_a_core_that_refuses() {
    let identity = load(&Files::new(&Ca::new("city"), &HUB).config, None).unwrap();
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "\0\0\0\0\0\0\0\0"] {
        let mut client = ClientConnection::new(Arc::clone(&identity.tls), "core.example".try_into().unwrap()).unwrap();
        client.read_tls(&mut text.as_bytes()).unwrap();
        let refusal = Refusal::find(&client.process_new_packets().unwrap_err()).unwrap();
        assert_eq!(refusal.word(), "core-not-tls", "{text}");
        assert!(refusal.to_string().contains("captive portal"), "{refusal}");
    }
}

/// This hub's certificate begins in 2090, so the machine that runs the test has a clock that "cannot be".
#[test]
fn a_clock_before_the_floor_reaches_a_younger_core_and_still_refuses_an_expired_one() {
    let ca = Ca::new("city");
    let identity = load(&Files::new(&ca, &Leaf { years: (2090, 2099), ..HUB }).config, None).unwrap();
    assert!(handshake(&identity, core_for(&ca, (2091, 2095))).is_ok());
    let error = handshake(&identity, core_for(&ca, (2020, 2089))).expect_err("expired before the floor");
    assert_eq!(Refusal::find(&error).unwrap().word(), "core-certificate-expired");
}

/// A server with a certificate that it signed itself, as `openssl req -x509` makes them: a CA in a server's place.
fn portal() -> ServerConfig {
    let mut params = CertificateParams::new(vec!["core.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    serve(params.self_signed(&key).unwrap(), &key)
}

/// A core that does not judge the hub's dates.
fn core_for(ca: &Ca, years: (i32, i32)) -> ServerConfig {
    let (certificate, key) = Leaf { years, ..CORE }.issue(ca);
    serve(certificate, &key)
}

/// A server that asks for no certificate.
fn serve(certificate: Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}
