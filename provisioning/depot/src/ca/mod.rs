//! A site's certificate authority in a folder: a root, an issuing authority below it, the broker's and the ingester's
//! certificates, and one folder for each hub.
//!
//! All keys are P-256, which every TLS stack and every secure element knows. A hub's name is CN and DNS SAN of its
//! certificate, the site is O.
//!
//! Deliberately absent: enrolment over the network, renewal, revocation and an encrypted root key. Files are made, never
//! replaced, so that no run of this program can take a site's authority away.

mod draft;
mod issue;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use curb_model::Name;
use rcgen::{CertificateSigningRequestParams, Error as RcgenError, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use self::draft::{Access, Draft};
use self::issue::{Authority, Host, Role};
use crate::clock;
use crate::error::{Error, Outcome};

/// The name in the ingester's own certificate; no hub may have it.
const INGESTER: &str = "ingester";

/// How long the broker's and the ingester's certificates are good for. There is no renewal yet but making a new authority,
/// so a quarter would be too short, and a browser's limit of 398 days is nobody's business here.
const CORE_DAYS: u16 = 365;

/// `site.toml`.
#[derive(Debug, Serialize, Deserialize)]
struct SiteFile {
    site: String,
}

/// Makes the authority of a site in `dir`.
///
/// # Errors
/// A name is wrong, `dir` is there and not empty, or a file cannot be written. Nothing is left behind then.
pub(crate) fn init(
    site: &str,
    dir: &Path,
    hosts: &[String],
    as_json: bool,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    let site = Name::new(site).map_err(|source| Error::Site { text: site.to_owned(), source })?;
    let hosts = hosts.iter().map(|host| Host::parse(host)).collect::<Result<Vec<_>, _>>()?;
    let now = clock::now();
    let root = Authority::root(&site, now)?;
    let issuing = root.issuing(&site, now)?;
    let draft = Draft::of(dir)?;
    draft.folder("root")?;
    draft.file("root/root.key", Access::Secret, &root.key_pem())?;
    draft.file("root/root.crt", Access::Public, root.certificate_pem())?;
    draft.folder("issuing")?;
    draft.file("issuing/issuing.key", Access::Secret, &issuing.key_pem())?;
    draft.file("issuing/issuing.crt", Access::Public, issuing.certificate_pem())?;
    draft.folder("core")?;
    draft.file("core/roots.pem", Access::Public, root.certificate_pem())?;
    for (name, role) in [("core", Role::Core(&hosts)), ("ingest", Role::Client(&ingester()))] {
        let key = new_key()?;
        let chain = issuing.issue(&key, &site, &role, CORE_DAYS, now)?;
        draft.file(&format!("core/{name}.key"), Access::Secret, &key.serialize_pem())?;
        draft.file(&format!("core/{name}.crt"), Access::Public, &chain)?;
    }
    draft.folder("hubs")?;
    let site_file = toml::to_string(&SiteFile { site: site.as_str().to_owned() }).expect("one text member serializes");
    draft.file("site.toml", Access::Public, &site_file)?;
    draft.finish(Error::DirTaken(dir.to_owned()))?;
    tell_init(&site, dir, as_json, out).map_err(Error::Output)?;
    Ok(Outcome::Fine)
}

fn tell_init(site: &Name, dir: &Path, as_json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let core = dir.join("core");
    if as_json {
        let paths = |name: &str| {
            json!({
                "key": core.join(format!("{name}.key")),
                "certificate": core.join(format!("{name}.crt")),
                "roots": core.join("roots.pem"),
            })
        };
        let line = json!({
            "v": 1, "site": site.as_str(), "dir": dir, "core": paths("core"), "ingest": paths("ingest"),
        });
        return writeln!(out, "{line}");
    }
    writeln!(out, "authority of site {site} in {}", dir.display())?;
    writeln!(out, "  broker    {} and core.key, roots.pem", core.join("core.crt").display())?;
    writeln!(out, "  ingester  {} and ingest.key, roots.pem", core.join("ingest.crt").display())?;
    writeln!(
        out,
        "  root key  {}: not encrypted; move it to a place off this machine",
        dir.join("root/root.key").display()
    )?;
    writeln!(out, "next: depot hub add NAME --dir {}", dir.display())
}

/// Makes a hub's folder: key (unless the hub sent a request), certificate with chain, and roots.
///
/// # Errors
/// The name is wrong or taken, there is no authority in `dir`, or a file cannot be read or written.
pub(crate) fn add_hub(
    name: &str,
    dir: &Path,
    request: Option<&Path>,
    days: u16,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    let hub = Name::new(name).map_err(|source| Error::HubName { text: name.to_owned(), source })?;
    if hub == ingester() {
        return Err(Error::HubNameTaken(hub));
    }
    let site = site_of(dir)?;
    let issuing = Authority::load(&dir.join("issuing/issuing.crt"), &dir.join("issuing/issuing.key"))?;
    let roots = read(&dir.join("root/root.crt"))?;
    let now = clock::now();
    let folder = dir.join("hubs").join(hub.as_str());
    let draft = Draft::of(&folder)?;
    let chain = if let Some(path) = request {
        let request = read_request(path)?;
        issuing.issue(&request.public_key, &site, &Role::Client(&hub), days, now)?
    } else {
        let key = new_key()?;
        draft.file("hub.key", Access::Secret, &key.serialize_pem())?;
        issuing.issue(&key, &site, &Role::Client(&hub), days, now)?
    };
    draft.file("hub.crt", Access::Public, &chain)?;
    draft.file("roots.pem", Access::Public, &roots)?;
    draft.finish(Error::HubTaken { name: hub.clone(), dir: folder.clone() })?;
    let listed = Listed::read(&site, hub.as_str(), &folder)?;
    let key = request.is_none().then(|| folder.join("hub.key"));
    tell_hub(&listed, key, as_json, out).map_err(Error::Output)?;
    Ok(Outcome::Fine)
}

fn tell_hub(hub: &Listed, key: Option<PathBuf>, as_json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let roots = hub.certificate.with_file_name("roots.pem");
    if as_json {
        let line = json!({
            "v": 1, "hub": hub.name, "site": hub.site, "key": key, "certificate": hub.certificate, "roots": roots,
            "not_after": hub.not_after_text(),
        });
        return writeln!(out, "{line}");
    }
    writeln!(out, "hub {} of site {}", hub.name, hub.site)?;
    match key {
        Some(key) => writeln!(out, "  key          {} (secret)", key.display())?,
        None => writeln!(out, "  key          on the hub, where the request was made")?,
    }
    writeln!(out, "  certificate  {} (until {})", hub.certificate.display(), hub.not_after_text())?;
    writeln!(out, "  roots        {}", roots.display())?;
    writeln!(out, "next: copy these to /etc/curb/identity/ on the hub, then run `curb check` there")
}

/// Lists the hubs of an authority.
///
/// # Errors
/// There is no authority in `dir`, or a certificate in it cannot be read.
pub(crate) fn list_hubs(dir: &Path, as_json: bool, out: &mut dyn Write) -> Result<Outcome, Error> {
    let site = site_of(dir)?;
    let folder = dir.join("hubs");
    let broken = |source| Error::Read { path: folder.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(broken)? {
        let name = entry.map_err(broken)?.file_name();
        // What is no name is a draft of a `hub add` that was killed, or somebody's own file.
        names.extend(name.to_str().filter(|text| Name::new(text).is_ok()).map(ToOwned::to_owned));
    }
    names.sort_unstable();
    for name in names {
        let hub = Listed::read(&site, &name, &folder.join(&name))?;
        let written = if as_json {
            let line = json!({
                "v": 1, "hub": hub.name, "site": hub.site, "certificate": hub.certificate,
                "not_after": hub.not_after_text(),
            });
            writeln!(out, "{line}")
        } else {
            let state = if hub.not_after < clock::now() { "expired " } else { "until " };
            writeln!(out, "{:<32}  {state}{}", hub.name, hub.not_after_text())
        };
        written.map_err(Error::Output)?;
    }
    Ok(Outcome::Fine)
}

/// A hub as its certificate tells it.
#[derive(Debug)]
struct Listed {
    name: String,
    site: String,
    certificate: PathBuf,
    not_after: OffsetDateTime,
}

impl Listed {
    fn read(site: &Name, name: &str, folder: &Path) -> Result<Self, Error> {
        let certificate = folder.join("hub.crt");
        let not_after = not_after(&certificate, &read(&certificate)?)?;
        Ok(Self { name: name.to_owned(), site: site.as_str().to_owned(), certificate, not_after })
    }

    fn not_after_text(&self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        self.not_after.format(&format).expect("a certificate's time has all these parts")
    }
}

/// Until when the first certificate in `pem` is good; `path` is where it came from.
fn not_after(path: &Path, pem: &str) -> Result<OffsetDateTime, Error> {
    let wrong = || Error::NotCertificate { path: path.to_owned() };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| wrong())?;
    Ok(block.parse_x509().map_err(|_| wrong())?.validity().not_after.to_datetime())
}

fn ingester() -> Name {
    Name::new(INGESTER).expect("lower-case letters only")
}

fn new_key() -> Result<KeyPair, Error> {
    let make = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
    make.map_err(|source| Error::Certificate { what: "private key", source })
}

fn site_of(dir: &Path) -> Result<Name, Error> {
    let path = dir.join("site.toml");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoAuthority(dir.to_owned()));
        }
        other => other.map_err(|source| Error::Read { path: path.clone(), source })?,
    };
    let file: SiteFile = toml::from_str(&text).map_err(|source| Error::SiteFile { path, source })?;
    Name::new(&file.site).map_err(|source| Error::Site { text: file.site, source })
}

/// Only the public key of a request is used; who the hub is, the depot decides.
fn read_request(path: &Path) -> Result<CertificateSigningRequestParams, Error> {
    let wrong = |source| Error::Request { path: path.to_owned(), source };
    let request = CertificateSigningRequestParams::from_pem(&read(path)?).map_err(wrong)?;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(wrong(RcgenError::UnsupportedSignatureAlgorithm));
    }
    Ok(request)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}
