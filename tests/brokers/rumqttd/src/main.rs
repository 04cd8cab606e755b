//! `rumqttd-broker ADDRESS CERTIFICATE KEY ROOTS`: rumqttd with one MQTT 5 listener on mutual TLS.

use std::error::Error;

use rumqttd::{Broker, Config};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key, roots] = arguments.as_slice() else {
        return Err("usage: rumqttd-broker ADDRESS CERTIFICATE KEY ROOTS".into());
    };
    let text = format!(
        "id = 0\n\
         [router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 200\nmax_segment_size = 104857600\n\
         max_segment_count = 10\n\
         [v5.1]\nname = \"v5\"\nlisten = \"{address}\"\nnext_connection_delay_ms = 1\n\
         [v5.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 1048576\nmax_inflight_count = 100\n\
         dynamic_filters = true\n\
         [v5.1.tls]\ncapath = \"{roots}\"\ncertpath = \"{certificate}\"\nkeypath = \"{key}\"\n"
    );
    let config: Config = toml::from_str(&text)?;
    Broker::new(config).start()?;
    Ok(())
}
