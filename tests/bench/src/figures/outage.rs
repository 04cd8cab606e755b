//! Without the core: what a street hub writes to its disk, beside a program that appends the same bytes to a file and
//! syncs it as often; and how fast what waited goes out when the core is back, beside a C client that sends as much.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use street::{Process, Proxy, Weather};
use tokio::time::sleep;

use super::street_hub::{self, DEVICES};
use super::{Times, progress};
use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::From;
use crate::error::Error;
use crate::hub::{Bus, Hub, Plugin};
use crate::meter::written;
use crate::table::{Goal, Table};

/// The load of the back-log: 100 messages a second of 100 readings each.
const FAST_DEVICES: u16 = 10;
const FAST_REGISTERS: u16 = 100;
const FAST_EVERY: Duration = Duration::from_millis(100);
/// For the back-log to go out.
const PATIENCE: Duration = Duration::from_secs(120);
/// A hub that is alone may connect soon.
const SOON: &str = "reconnect_spread = \"100ms\"\n";

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let relay = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, bed.tls_port)))?;
    written_in_an_outage(bed, &relay, times, table).await?;
    catch_up(bed, &relay, times, table).await
}

async fn written_in_an_outage(bed: &Bed, relay: &Proxy, times: Times, table: &mut Table) -> Result<(), Error> {
    progress("outage, curb on a street hub")?;
    let devices = Devices::start(DEVICES).await?;
    relay.set(Weather::Cut);
    let core = (relay.address().port(), SOON);
    let hub = Hub::start_on(bed, "outage", &street_hub::buses(&devices), Plugin::None, core)?;
    sleep(times.warm_up).await;
    let (pid, state) = (hub.id()?, "/queue/bytes");
    let before = (written(pid)?, hub.readings().await?, hub.says(state).await?);
    sleep(times.street).await;
    let after = (written(pid)?, hub.readings().await?, hub.says(state).await?);
    hub.end().await?;
    let readings = (after.1 - before.1) as f64;
    let payload = after.2 - before.2;
    let seconds = times.street.as_secs().max(1);

    progress("outage, bytes appended to a file and synced")?;
    let this = std::env::current_exe().map_err(|source| Error::Start { program: "bench append", source })?;
    let file = bed.folder.join("appended").display().to_string();
    let arguments =
        ["append", "--file", &file, "--bytes", &(payload / seconds).to_string(), "--times", &seconds.to_string()];
    let (_, out) = Process::run("append", &this, arguments, &bed.folder, PATIENCE).await?;
    let out = String::from_utf8_lossy(&out).into_owned();
    let appended: u64 = out.trim().parse().map_err(|_| Error::Line { program: "bench append", line: out })?;

    let per_thousand = |bytes: u64| 1e3 * bytes as f64 / readings;
    table.add(
        "outage, street hub: bytes to disk",
        "1 / 1,000 readings",
        per_thousand(after.0 - before.0),
        ("append + fsync each s", per_thousand(appended)),
        Goal::None,
    );
    Ok(())
}

async fn catch_up(bed: &Bed, relay: &Proxy, times: Times, table: &mut Table) -> Result<(), Error> {
    progress("back-log, curb")?;
    let devices = Devices::start(FAST_DEVICES).await?;
    let buses: Vec<Bus> = devices.ports.iter().map(|port| Bus::tcp(port, FAST_REGISTERS, FAST_EVERY)).collect();
    let hub = Hub::start_on(bed, "catch-up", &buses, Plugin::None, (relay.address().port(), SOON))?;
    sleep(times.street).await;
    let (rows, bytes) = (hub.says("/queue/rows").await?, hub.says("/queue/bytes").await?);
    let mut core = Core::listen(bed, From::Served).await?;
    relay.set(Weather::Fair);
    let took = core.span("data", rows, PATIENCE).await?;
    hub.end().await?;
    drop(core);

    progress("back-log, C client")?;
    let mut core = Core::listen(bed, From::Served).await?;
    let words = [rows.to_string(), (bytes / rows.max(1)).to_string(), "flood".to_owned(), "-".to_owned()];
    let mut peer = bed.start_peer(relay.address().port(), &words)?;
    let peer_took = core.span("flood", rows, PATIENCE).await?;
    peer.kill().await?;

    let rate = |took: Duration| rows as f64 / took.as_secs_f64();
    let figure = format!("back-log of {rows} messages of {} bytes: messages", bytes / rows.max(1));
    table.add(figure, "1/s", rate(took), ("C client", rate(peer_took)), Goal::None);
    Ok(())
}
