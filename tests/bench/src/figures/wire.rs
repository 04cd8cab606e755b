//! What a reading costs on the line, MQTT and TLS included, as a relay between hub and broker counts it: a street hub in each
//! form of its messages, beside the C loop with a JSON message for each reading.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use street::Proxy;
use tokio::time::sleep;

use super::street_hub::{DEVICES, EVERY, REGISTERS, buses};
use super::{Times, progress};
use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::From;
use crate::error::Error;
use crate::hub::{Hub, Plugin};
use crate::table::{Goal, Table};

/// Name, settings, goal in bytes.
const FORMS: [(&str, &str, f64); 4] = [
    ("JSON", "", 46.0),
    ("CBOR", "encoding = \"senml-cbor\"\n", 27.0),
    ("CBOR deflated", "encoding = \"senml-cbor\"\ncompress = \"deflate\"\n", 21.0),
    ("CBOR deflated, linger 5 s", "encoding = \"senml-cbor\"\ncompress = \"deflate\"\nlinger = \"5s\"\n", 9.0),
];

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let devices = Devices::start(DEVICES).await?;
    let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, bed.tls_port));
    let relay = Proxy::start(broker)?;
    progress("bytes on the line, C loop with a message for each reading")?;
    let each = c_loop(bed, &relay, &devices, times).await?;
    for (form, settings, goal) in FORMS {
        progress(&format!("bytes on the line, {form}"))?;
        let bytes = curb(bed, &relay, &devices, settings, times).await?;
        let figure = format!("line: bytes a reading with TLS, {form}");
        table.add(figure, "bytes", bytes, ("a message each", each), Goal::AtMost(goal));
    }
    Ok(())
}

async fn curb(bed: &Bed, relay: &Proxy, devices: &Devices, settings: &str, times: Times) -> Result<f64, Error> {
    // It listens, so that the core has a subscriber; what it hears is not read.
    let core = Core::listen(bed, From::Others).await?;
    let hub = Hub::start_on(bed, "wire", &buses(devices), Plugin::None, (relay.address().port(), settings))?;
    // Past birth, and past the first messages of each topic, which go alone.
    sleep(times.warm_up + Duration::from_secs(5)).await;
    // What lingers goes in bursts: one more or less of them must not be much.
    let time = if settings.contains("linger") { times.street } else { times.load };
    let (carried, read) = (relay.carried(), hub.readings().await?);
    sleep(time).await;
    let (carried, read) = (relay.carried() - carried, hub.readings().await? - read);
    hub.end().await?;
    drop(core);
    std::fs::remove_dir_all(bed.folder.join("wire")).map_err(Error::file(&bed.folder))?;
    Ok(carried as f64 / read as f64)
}

async fn c_loop(bed: &Bed, relay: &Proxy, devices: &Devices, times: Times) -> Result<f64, Error> {
    let mut words = vec![EVERY.as_millis().to_string(), REGISTERS.to_string(), "tcp-each".to_owned()];
    words.extend(devices.ports.iter().cloned());
    let mut peer = bed.start_peer(relay.address().port(), &words)?;
    sleep(times.warm_up).await;
    let carried = relay.carried();
    sleep(times.load).await;
    let carried = relay.carried() - carried;
    if peer.id().is_none() {
        return Err(Error::Ended { program: "loop", log: peer.tail() });
    }
    peer.kill().await?;
    let readings = f64::from(DEVICES) * f64::from(REGISTERS) * times.load.as_secs_f64() / EVERY.as_secs_f64();
    Ok(carried as f64 / readings)
}
