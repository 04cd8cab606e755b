//! The one TLS configuration of the hub: rustls on aws-lc-rs, passed explicitly, TLS 1.3 and nothing older.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::certificate;
use crate::clock::FlooredClock;

/// Builds the configuration. `floor` in seconds since 1970: the time cannot be before it.
///
/// No ALPN: MQTT brokers differ in what they answer to it, and nothing else listens on that port.
pub(crate) fn client_config(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    floor: i64,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(provider());
    let clock = Arc::new(FlooredClock::new(floor));
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .expect("the roots are not empty, and there are no revocation lists to be wrong");
    let verifier = Verifier { webpki, clock: Arc::clone(&clock) };
    ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("aws-lc-rs has the cipher suites of TLS 1.3")
        .dangerous() // The verifier below is webpki's; see its doc for what it adds.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
}

/// The post-quantum hybrid first: what is recorded today must not be read in ten years.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

/// webpki's verifier, except when the wall clock says something that cannot be: then only a lower bound of the time is
/// known, and "not yet valid" is not said of a certificate that was issued after it. What had expired by the lower
/// bound is still refused. Else a hub without a clock could not reach a core whose certificate is younger than its own.
///
/// A certificate that signed itself is refused for what it lacks before it is asked who issued it. That is how portals and
/// test servers show themselves, so it is called by its name: of a CA that the hub does not trust.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    clock: Arc<FlooredClock>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = if self.clock.is_floor(now) {
            let chain = std::iter::once(end_entity).chain(intermediates);
            let start = Duration::from_secs(certificate::latest_start(chain).unwrap_or(0));
            now.max(UnixTime::since_unix_epoch(start))
        } else {
            now
        };
        let verified = self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let unnamed =
            |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(_)));
        match verified {
            Err(error) if unnamed(&error) && certificate::names_itself(end_entity) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
