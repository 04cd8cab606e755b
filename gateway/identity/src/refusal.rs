//! Why a handshake with the core failed, in words.
//!
//! With TLS 1.3 the client is done before the server has looked at its certificate: that the core refused *us* shows
//! as an alert on the first read, when the caller believes itself connected.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::error::Moment;

/// Who refused whom, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The core's certificate has expired.
    CoreExpired {
        /// When, if known.
        not_after: Option<Moment>,
        /// By which clock.
        now: Option<Moment>,
    },
    /// The core's certificate is not valid yet.
    CoreNotYetValid {
        /// From when, if known.
        not_before: Option<Moment>,
        /// By which clock.
        now: Option<Moment>,
    },
    /// The core's certificate is for other hosts.
    WrongHost {
        /// The host that was asked for, and those in the certificate.
        detail: Option<(Box<str>, Box<str>)>,
    },
    /// The core's certificate is of a CA that is not among the roots.
    ForeignCa,
    /// The core's certificate is wrong in another way.
    CoreInvalid(CertificateError),
    /// The core does not speak TLS 1.3.
    CoreTooOld,
    /// What answers does not speak TLS at all.
    NotTls,
    /// The core refused the hub's certificate.
    HubRefused(AlertDescription),
}

impl Refusal {
    /// Finds a refusal in an error or its causes.
    #[must_use]
    pub fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::from_tls(tls);
            }
            // The error inside an io::Error is not its source, but stands in its place.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    fn from_tls(error: &rustls::Error) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; the rest is no refusal")]
        match error {
            rustls::Error::InvalidCertificate(certificate) => Some(Self::from_certificate(certificate)),
            rustls::Error::AlertReceived(alert) => Self::from_alert(*alert),
            rustls::Error::PeerIncompatible(_) => Some(Self::CoreTooOld),
            rustls::Error::InvalidMessage(_) => Some(Self::NotTls),
            _ => None,
        }
    }

    fn from_certificate(error: &CertificateError) -> Self {
        let moment = |time: &rustls::pki_types::UnixTime| i64::try_from(time.as_secs()).ok().map(Moment);
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; the rest is CoreInvalid")]
        match error {
            CertificateError::Expired => Self::CoreExpired { not_after: None, now: None },
            CertificateError::ExpiredContext { time, not_after } => {
                Self::CoreExpired { not_after: moment(not_after), now: moment(time) }
            }
            CertificateError::NotValidYet => Self::CoreNotYetValid { not_before: None, now: None },
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::CoreNotYetValid { not_before: moment(not_before), now: moment(time) }
            }
            CertificateError::NotValidForName => Self::WrongHost { detail: None },
            CertificateError::NotValidForNameContext { expected, presented } => {
                let detail = (expected.to_str().into(), presented.join(", ").into());
                Self::WrongHost { detail: Some(detail) }
            }
            // A CA that was made anew under the same name has another key: the name is found, the signature is not its.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::ForeignCa,
            other => Self::CoreInvalid(other.clone()),
        }
    }

    fn from_alert(alert: AlertDescription) -> Option<Self> {
        use AlertDescription as A;
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; the rest is no refusal")]
        match alert {
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError => Some(Self::HubRefused(alert)),
            A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => Some(Self::CoreTooOld),
            _ => None,
        }
    }

    /// The stable word for programs, the log and `curb status`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::CoreExpired { .. } => "core-certificate-expired",
            Self::CoreNotYetValid { .. } => "core-certificate-not-yet-valid",
            Self::WrongHost { .. } => "core-wrong-host",
            Self::ForeignCa => "core-foreign-ca",
            Self::CoreInvalid(_) => "core-certificate-invalid",
            Self::CoreTooOld => "core-tls-too-old",
            Self::NotTls => "core-not-tls",
            Self::HubRefused(_) => "core-refused-certificate",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |f: &mut fmt::Formatter<'_>, edge: &str, moment: &Option<Moment>, now: &Option<Moment>| {
            if let (Some(moment), Some(now)) = (moment, now) {
                write!(f, " ({edge} {moment}, now {now})")
            } else {
                Ok(())
            }
        };
        match self {
            Self::CoreExpired { not_after, now } => {
                f.write_str("the core's certificate has expired")?;
                at(f, "valid until", not_after, now)?;
                f.write_str("; renew it at the core")
            }
            Self::CoreNotYetValid { not_before, now } => {
                f.write_str("the core's certificate is not valid yet")?;
                at(f, "valid from", not_before, now)?;
                f.write_str("; check the clocks of hub and core")
            }
            Self::WrongHost { detail } => {
                f.write_str("the core's certificate is for another host")?;
                if let Some((expected, presented)) = detail {
                    write!(f, " (asked for {expected}, found [{presented}])")?;
                }
                f.write_str("; check core.url, or issue the core's certificate for this name")
            }
            Self::ForeignCa => f.write_str(
                "the core's certificate is not from a CA that this hub trusts; check core.url and the hub's roots file. A \
                 captive portal or a proxy that opens TLS shows itself like this, too",
            ),
            Self::CoreInvalid(error) => write!(f, "the core's certificate is not acceptable ({error})"),
            Self::CoreTooOld => f.write_str(
                "the core offers no TLS 1.3 with a cipher in common; enable TLS 1.3 there, or look whether a captive portal \
                 or a proxy answers in its place",
            ),
            Self::NotTls => f.write_str(
                "what answers in the core's place does not speak TLS; check the port of core.url, and look for a captive \
                 portal or a proxy that answers in its place",
            ),
            Self::HubRefused(alert) => write!(
                f,
                "the core refused this hub's certificate (alert {alert:?}); check that the core trusts the CA that \
                 issued it, and that it has neither expired nor been revoked"
            ),
        }
    }
}
