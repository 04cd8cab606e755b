//! The ingester's side of mutual TLS: TLS 1.3, its own certificate, the city's roots and no others.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Reads the three files. Returns the certificate's common name, which is the MQTT client id, and the TLS settings.
pub(super) fn load(certificate: &Path, key: &Path, roots: &Path) -> Result<(String, Arc<ClientConfig>), Error> {
    let chain = certificates(certificate)?;
    let identity = common_name(certificate, chain.first())?;
    let mut store = RootCertStore::empty();
    for root in certificates(roots)? {
        store.add(root).map_err(|_| Error::NotCertificate { path: roots.to_owned() })?;
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| Error::NotKey { path: key.to_owned() })?;
    let unfit = |source| Error::Tls { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unfit)?
        .with_root_certificates(store)
        .with_client_auth_cert(chain, private)
        .map_err(unfit)?;
    Ok((identity, Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = || Error::NotCertificate { path: path.to_owned() };
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

fn common_name(path: &Path, leaf: Option<&CertificateDer<'_>>) -> Result<String, Error> {
    let wrong = || Error::NotCertificate { path: path.to_owned() };
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf.ok_or_else(wrong)?).map_err(|_| wrong())?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.map(ToOwned::to_owned).ok_or_else(wrong)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}
