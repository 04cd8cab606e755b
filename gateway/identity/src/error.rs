//! Why there is no identity, and what should be put right although there is one.

use std::fmt;
use std::io;
use std::path::PathBuf;

use curb_model::{Fault, Name, NameError, Room};
use time::OffsetDateTime;

/// Which of the three files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The private key.
    Key,
    /// The hub's certificate.
    Certificate,
    /// The trusted roots.
    Roots,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "private key",
            Self::Certificate => "certificate",
            Self::Roots => "root certificates",
        })
    }
}

/// Which part of the certificate's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// CN: the hub.
    CommonName,
    /// O: the site.
    Organisation,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommonName => "common name (CN, the hub's name)",
            Self::Organisation => "organisation (O, the site)",
        })
    }
}

/// Seconds since 1970, shown as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

impl From<i64> for Moment {
    fn from(seconds: i64) -> Self {
        Self(seconds)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0) {
            Ok(at) => {
                let (year, month, day) = at.to_calendar_date();
                let (hour, minute, second) = at.to_hms();
                write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
            }
            Err(_) => write!(f, "{} s after 1970", self.0),
        }
    }
}

/// Why the files do not make an identity. Trying again helps only after a person has done something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is missing or cannot be read.
    #[error("read the {item} in {}; `depot hub add` makes it, and the daemon's user must be able to read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        item: Item,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds something else.
    #[error(
        "find the {item} in {}: it is not PEM, or holds something else (expected a section `-----BEGIN {}-----`)",
        path.display(), if *item == Item::Key { "PRIVATE KEY" } else { "CERTIFICATE" }
    )]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        item: Item,
    },
    /// The certificate's bytes are no certificate.
    #[error("understand the certificate in {}: damaged; copy it again from the depot", path.display())]
    CertificateMalformed {
        /// The file.
        path: PathBuf,
    },
    /// The certificate's time is over.
    #[error("use the certificate in {}: it expired at {not_after} and it is {now}; renew it at the depot", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When it expired.
        not_after: Moment,
        /// The wall clock, which is trusted.
        now: Moment,
    },
    /// The certificate's time has not begun.
    #[error(
        "use the certificate in {}: it is valid from {not_before} and it is {now}; check the clocks of hub and depot",
        path.display()
    )]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it begins.
        not_before: Moment,
        /// The wall clock, which is trusted.
        now: Moment,
    },
    /// The key is of another certificate.
    #[error(
        "use the key in {}: it does not belong to the certificate in {}; copy both from the same `depot hub add`",
        key.display(), certificate.display()
    )]
    KeyDoesNotFit {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The key is of a kind that TLS cannot use.
    #[error("use the key in {} (expected ECDSA P-256 or P-384, Ed25519 or RSA)", path.display())]
    KeyUnusable {
        /// The key's file.
        path: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// The subject lacks the hub's name or its site.
    #[error("find the {field} in the certificate in {}; it was not made by `depot hub add`", path.display())]
    FieldMissing {
        /// The file.
        path: PathBuf,
        /// What is missing.
        field: Field,
    },
    /// The hub's name or its site is no name.
    #[error("use the {field} of the certificate in {}", path.display())]
    FieldNotAName {
        /// The file.
        path: PathBuf,
        /// Which one.
        field: Field,
        /// Why not.
        source: NameError,
    },
    /// Common name and DNS names do not agree.
    #[error(
        "use the certificate in {}: its common name is {hub} and its DNS names are [{dns_names}] (expected {hub} among \
         them); issue it again at the depot", path.display()
    )]
    NamesDiffer {
        /// The file.
        path: PathBuf,
        /// The common name.
        hub: Name,
        /// The DNS names, with commas.
        dns_names: Box<str>,
    },
    /// The certificate is for another site than `[hub] site`.
    #[error(
        "use the certificate in {}: it is for site {found} and [hub] site is {expected}; correct the one that is wrong",
        path.display()
    )]
    SiteDoesNotFit {
        /// The file.
        path: PathBuf,
        /// O of the certificate.
        found: Name,
        /// The configured site.
        expected: Name,
    },
    /// No root at all.
    #[error("find a root certificate in {}: without one no core can be trusted; copy roots.pem from the depot", path.display())]
    RootsEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A root that cannot be used.
    #[error("use root certificate {number} in {}; copy roots.pem again from the depot", path.display())]
    RootUnusable {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// Why not.
        source: rustls::Error,
    },
}

impl Error {
    /// The stable word for programs, the log and `curb status`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => "file-missing",
            Self::Read { .. } => "file-unreadable",
            Self::NotPem { .. } => "not-pem",
            Self::CertificateMalformed { .. } => "certificate-malformed",
            Self::Expired { .. } => "certificate-expired",
            Self::NotYetValid { .. } => "certificate-not-yet-valid",
            Self::KeyDoesNotFit { .. } => "key-does-not-fit",
            Self::KeyUnusable { .. } => "key-unusable",
            Self::FieldMissing { field: Field::CommonName, .. } => "certificate-without-name",
            Self::FieldMissing { field: Field::Organisation, .. } => "certificate-without-site",
            Self::FieldNotAName { .. } => "certificate-name-malformed",
            Self::NamesDiffer { .. } => "certificate-names-differ",
            Self::SiteDoesNotFit { .. } => "site-does-not-fit",
            Self::RootsEmpty { .. } => "roots-empty",
            Self::RootUnusable { .. } => "root-unusable",
        }
    }

    /// As a standing fault, its causes included.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let mut detail = format!("failed to {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        Fault { room: Room::Identity, subject: self.subject().to_owned(), word: self.word(), detail }
    }

    const fn subject(&self) -> &'static str {
        match self {
            Self::Read { item, .. } | Self::NotPem { item, .. } => match item {
                Item::Key => "key",
                Item::Certificate => "certificate",
                Item::Roots => "roots",
            },
            Self::KeyDoesNotFit { .. } | Self::KeyUnusable { .. } => "key",
            Self::RootsEmpty { .. } | Self::RootUnusable { .. } => "roots",
            Self::CertificateMalformed { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::FieldMissing { .. }
            | Self::FieldNotAName { .. }
            | Self::NamesDiffer { .. }
            | Self::SiteDoesNotFit { .. } => "certificate",
        }
    }
}

/// What works and should still be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The key file can be read or written by others than its owner.
    KeyReadable {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl Warning {
    /// As a standing fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let Self::KeyReadable { path, mode } = self;
        Fault {
            room: Room::Identity,
            subject: "key".to_owned(),
            word: "key-exposed",
            detail: format!(
                "{} has mode {mode:04o}, so others than its owner may read it (expected 0600): chmod 0600 {0}",
                path.display()
            ),
        }
    }
}
