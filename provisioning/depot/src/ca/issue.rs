//! What stands in each certificate.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use curb_model::Name;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::error::Error;

/// Ten years: the root is the one thing that is built into everything else.
const ROOT_DAYS: i64 = 3_650;
/// Two years: an issuing authority that leaks does its harm that long, and no longer.
const ISSUING_DAYS: i64 = 730;
/// A new certificate is good from an hour ago, for hubs whose clock runs behind the depot's.
const BACKDATE: Duration = Duration::HOUR;

/// A certificate's subject and purpose.
#[derive(Debug)]
pub(super) enum Role<'a> {
    /// The broker, under these names; the first is its CN.
    Core(&'a [Host]),
    /// A hub or the ingester: CN and DNS name are its name.
    Client(&'a Name),
}

/// A name or address of the broker.
#[derive(Debug, Clone)]
pub(super) struct Host {
    text: String,
    san: SanType,
}

impl Host {
    /// Reads a DNS name or an IP address.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::CoreHost(text.to_owned());
        let san = match text.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => {
                let label = |label: &str| {
                    (1..=63).contains(&label.len())
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                };
                if text.len() > 253 || !text.split('.').all(label) {
                    return Err(wrong());
                }
                SanType::DnsName(Ia5String::try_from(text).map_err(|_| wrong())?)
            }
        };
        Ok(Self { text: text.to_owned(), san })
    }
}

/// A key that signs certificates, and its own certificate.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// Nothing that it signs may be good for longer than itself.
    not_after: OffsetDateTime,
}

impl Authority {
    /// A new root for a site.
    pub(super) fn root(site: &Name, now: OffsetDateTime) -> Result<Self, Error> {
        let failed = |source| Error::Certificate { what: "root certificate", source };
        let key = super::new_key()?;
        let params = authority_params(site, "root", &key, 1, ROOT_DAYS, now);
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { not_after: params.not_after, issuer: Issuer::new(params, key), pem })
    }

    /// A new issuing authority below this one.
    pub(super) fn issuing(&self, site: &Name, now: OffsetDateTime) -> Result<Self, Error> {
        let failed = |source| Error::Certificate { what: "issuing certificate", source };
        let key = super::new_key()?;
        let params = authority_params(site, "issuing", &key, 0, ISSUING_DAYS, now);
        let pem = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Self { not_after: params.not_after, issuer: Issuer::new(params, key), pem })
    }

    /// Reads an authority from its two files.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source });
        let pem = read(certificate)?;
        let pair = KeyPair::from_pem(&read(key)?).map_err(|_| Error::NotKey { path: key.to_owned() })?;
        let issuer = Issuer::from_ca_cert_pem(&pem, pair);
        let issuer = issuer.map_err(|_| Error::NotCertificate { path: certificate.to_owned() })?;
        Ok(Self { issuer, not_after: super::not_after(certificate, &pem)?, pem })
    }

    /// Its own certificate.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its private key.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for `key`, followed by this authority's own: the chain that TLS peers send.
    pub(super) fn issue(
        &self,
        key: &impl PublicKeyData,
        site: &Name,
        role: &Role<'_>,
        days: u16,
        now: OffsetDateTime,
    ) -> Result<String, Error> {
        let failed = |source| Error::Certificate { what: "certificate", source };
        let (common_name, names, purpose) = match role {
            Role::Core(hosts) => {
                let first = hosts.first().map_or("core", |host| host.text.as_str());
                let names = hosts.iter().map(|host| host.san.clone()).collect();
                (first, names, ExtendedKeyUsagePurpose::ServerAuth)
            }
            Role::Client(name) => {
                let dns = Ia5String::try_from(name.as_str()).map_err(failed)?;
                (name.as_str(), vec![SanType::DnsName(dns)], ExtendedKeyUsagePurpose::ClientAuth)
            }
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(site, common_name);
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now - BACKDATE;
        params.not_after = self.not_after.min(now + Duration::days(i64::from(days)));
        let leaf = params.signed_by(key, &self.issuer).map_err(failed)?;
        Ok(format!("{}{}", leaf.pem(), self.pem))
    }
}

/// The name ends with four bytes of the key: where a site's authority was made anew, a peer that trusts the old one says
/// "unknown issuer" and not "bad signature".
fn authority_params(
    site: &Name,
    which: &str,
    key: &KeyPair,
    below: u8,
    days: i64,
    now: OffsetDateTime,
) -> CertificateParams {
    let public = key.public_key_raw();
    let tag: String = public[public.len() - 4..].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(site, &format!("Curb {site} {which} {tag}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - BACKDATE;
    params.not_after = now + Duration::days(days);
    params
}

fn subject(site: &Name, common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, site.as_str());
    subject.push(DnType::CommonName, common_name);
    subject
}
