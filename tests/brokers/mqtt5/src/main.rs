//! `mqtt5-broker ADDRESS CERTIFICATE KEY ROOTS`: the broker of the crate mqtt5, with mutual TLS and nothing remembered.

use std::error::Error;
use std::net::SocketAddr;

use mqtt5::broker::MqttBroker;
use mqtt5::broker::config::{AuthConfig, BrokerConfig, StorageBackend, StorageConfig, TlsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key, roots] = arguments.as_slice() else {
        return Err("usage: mqtt5-broker ADDRESS CERTIFICATE KEY ROOTS".into());
    };
    let address: SocketAddr = address.parse()?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "another TLS provider was there before")?;
    let tls = TlsConfig::new(certificate.into(), key.into())
        .with_ca_file(roots.into())
        .with_require_client_cert(true)
        .with_bind_address(address);
    let mut auth = AuthConfig::new();
    // It would lock out every client of one address, and here all have one.
    auth.rate_limit.enabled = false;
    let config = BrokerConfig::new()
        .with_bind_addresses(Vec::new())
        .with_tls(tls)
        .with_storage(StorageConfig::new().with_backend(StorageBackend::Memory).with_persistence(false))
        .with_auth(auth)
        .with_sys_topics_enabled(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { MqttBroker::with_config(config).await?.run().await })?;
    Ok(())
}
