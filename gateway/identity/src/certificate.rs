//! What the hub's certificate says of the hub. It does not judge trust: the core does that.

use std::path::Path;

use curb_model::Name;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::{Error, Field};

/// The certificate's words, checked.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) hub: Name,
    pub(crate) site: Name,
    /// Seconds since 1970.
    pub(crate) not_before: i64,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
}

/// Reads hub (CN, which must be a DNS name too), site (O) and validity.
pub(crate) fn subject(der: &CertificateDer<'_>, path: &Path) -> Result<Subject, Error> {
    let malformed = || Error::CertificateMalformed { path: path.to_owned() };
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| malformed())?;
    let hub = name(certificate.subject().iter_common_name().next(), Field::CommonName, path)?;
    let site = name(certificate.subject().iter_organization().next(), Field::Organisation, path)?;

    let alternative = certificate.subject_alternative_name().map_err(|_| malformed())?;
    let dns_names: Vec<&str> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None })
        .collect();
    if !dns_names.contains(&hub.as_str()) {
        return Err(Error::NamesDiffer { path: path.to_owned(), hub, dns_names: dns_names.join(", ").into() });
    }
    let validity = certificate.validity();
    Ok(Subject { hub, site, not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}

fn name(
    attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>,
    field: Field,
    path: &Path,
) -> Result<Name, Error> {
    let missing = || Error::FieldMissing { path: path.to_owned(), field };
    let text = attribute.ok_or_else(missing)?.as_str().map_err(|_| missing())?;
    Name::new(text).map_err(|source| Error::FieldNotAName { path: path.to_owned(), field, source })
}

/// Whether a certificate names itself as its issuer: it is of no CA.
pub(crate) fn names_itself(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.issuer() == certificate.subject())
}

/// When the latest of these certificates begins, in seconds since 1970. Those that cannot be read are left to the
/// verifier, which refuses them.
pub(crate) fn latest_start<'a>(chain: impl Iterator<Item = &'a CertificateDer<'a>>) -> Option<u64> {
    chain
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .filter_map(|(_, certificate)| u64::try_from(certificate.validity().not_before.timestamp()).ok())
        .max()
}
