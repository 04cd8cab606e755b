//! Three files → one [`Identity`], or one [`Error`] that says which file is wrong and what to do.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curb_model::Name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::certificate::{self, Subject};
use crate::error::{Error, Item, Warning};
use crate::tls;

/// Bytes of a file at most. A chain of certificates has some 10 KB; a device or a log named by mistake is not read.
const FILE_LIMIT: u64 = 1 << 20;

/// Where the identity lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The private key, PEM (PKCS #8, SEC 1 or PKCS #1).
    pub key: PathBuf,
    /// The hub's certificate, then the intermediates up to the city's CA; PEM.
    pub certificate: PathBuf,
    /// The roots that the core's certificate must chain to, PEM. The system's roots are never used.
    pub roots: PathBuf,
    /// `[hub] site`, which the certificate must name. None: whatever the certificate says.
    pub site: Option<Name>,
}

/// Who the hub is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The hub's name: common name and DNS name of its certificate, and its MQTT client id.
    pub hub: Name,
    /// The site: organisation of its certificate.
    pub site: Name,
    /// The certificate is valid from here …
    pub not_before: SystemTime,
    /// … to here.
    pub not_after: SystemTime,
    /// Connects to the core: TLS 1.3, the hub's certificate, private roots only.
    pub tls: Arc<ClientConfig>,
    /// What works and should still be put right.
    pub warnings: Vec<Warning>,
}

/// Reads and judges the hub's identity.
///
/// `now` is the wall clock while it is trusted. A hub whose clock is not trusted cannot judge its own certificate's
/// dates and does not try: the core will.
///
/// # Errors
/// One variant of [`Error`] for each way in which the files do not make an identity.
pub fn load(config: &Config, now: Option<SystemTime>) -> Result<Identity, Error> {
    let chain = certificates(&config.certificate)?;
    let leaf = chain.first().ok_or_else(|| not_pem(&config.certificate, Item::Certificate))?;
    let subject = certificate::subject(leaf, &config.certificate)?;
    judge(&subject, config, now)?;

    let key = read(&config.key, Item::Key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| not_pem(&config.key, Item::Key))?;
    let warnings = exposed(&config.key).into_iter().collect();

    let roots = roots(&config.roots)?;
    let tls = tls::client_config(roots, chain, key, subject.not_before).map_err(|source| {
        if matches!(source, rustls::Error::InconsistentKeys(_)) {
            Error::KeyDoesNotFit { key: config.key.clone(), certificate: config.certificate.clone() }
        } else {
            Error::KeyUnusable { path: config.key.clone(), source }
        }
    })?;
    Ok(Identity {
        hub: subject.hub,
        site: subject.site,
        not_before: moment(subject.not_before),
        not_after: moment(subject.not_after),
        tls: Arc::new(tls),
        warnings,
    })
}

/// A certificate's date; X.509 has none before 1970 that matters here.
fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Judges what the certificate says against the clock and the configured site.
fn judge(subject: &Subject, config: &Config, now: Option<SystemTime>) -> Result<(), Error> {
    let path = || config.certificate.clone();
    if let Some(now) = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok()) {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now > subject.not_after {
            return Err(Error::Expired { path: path(), not_after: subject.not_after.into(), now: now.into() });
        }
        if now < subject.not_before {
            return Err(Error::NotYetValid { path: path(), not_before: subject.not_before.into(), now: now.into() });
        }
    }
    match &config.site {
        Some(site) if *site != subject.site => {
            Err(Error::SiteDoesNotFit { path: path(), found: subject.site.clone(), expected: site.clone() })
        }
        _ => Ok(()),
    }
}

/// The roots of trust. Every one must be usable: a root left out in silence would be missed on the day it is needed.
fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for (index, root) in certificates_or_none(path, Item::Roots)?.into_iter().enumerate() {
        let number = index + 1;
        store.add(root).map_err(|source| Error::RootUnusable { path: path.to_owned(), number, source })?;
    }
    if store.is_empty() {
        return Err(Error::RootsEmpty { path: path.to_owned() });
    }
    Ok(store)
}

/// At least one certificate.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = certificates_or_none(path, Item::Certificate)?;
    if certificates.is_empty() {
        return Err(not_pem(path, Item::Certificate));
    }
    Ok(certificates)
}

fn certificates_or_none(path: &Path, item: Item) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path, item)?;
    CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| not_pem(path, item))
}

fn not_pem(path: &Path, item: Item) -> Error {
    Error::NotPem { path: path.to_owned(), item }
}

fn read(path: &Path, item: Item) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes)).map_err(|source| Error::Read {
        path: path.to_owned(),
        item,
        source,
    })?;
    Ok(bytes)
}

/// A key that others may read has to be replaced one day; the hub works on, and says so.
fn exposed(key: &Path) -> Option<Warning> {
    let mode = fs::metadata(key).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| Warning::KeyReadable { path: key.to_owned(), mode })
}
