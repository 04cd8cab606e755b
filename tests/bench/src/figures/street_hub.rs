//! A street hub: 6 devices × 20 registers at 1 Hz, which is what a cabinet on a street has.

use std::time::Duration;

use super::{Times, Watched, delays, progress, watch_loop};
use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::{From, Tally};
use crate::error::Error;
use crate::hub::{Bus, Hub, Plugin};
use crate::meter::{Memory, family, size, wake_ups, written};
use crate::table::{Goal, Table};

pub(super) const DEVICES: u16 = 6;
pub(super) const REGISTERS: u16 = 20;
pub(super) const EVERY: Duration = Duration::from_secs(1);

const MIB: f64 = 1024.0 * 1024.0;

/// A hub watched, with its memory at the end and its disk use over the time.
#[derive(Debug)]
struct Resident {
    watched: Watched,
    daemon: Memory,
    /// The plugin host's, if there is one.
    host: Option<Memory>,
    /// Bytes to storage, by daemon and host.
    written: u64,
    /// Times that a thread was woken, in a second.
    wake_ups: f64,
    /// What the state folder has grown by; negative if it has shrunk.
    grown: f64,
}

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let devices = Devices::start(DEVICES).await?;
    progress("street hub, curb")?;
    let bare = curb(bed, &devices, "street", Plugin::None, times).await?;
    progress("street hub, curb with the deadband plugin")?;
    let with_plugin = curb(bed, &devices, "street-plugin", Plugin::Deadband, times).await?;
    progress("street hub, C loop")?;
    let (peer, peer_memory) = watch_loop(bed, &devices, REGISTERS, EVERY, times).await?;

    let mib = |bytes: u64| bytes as f64 / MIB;
    let (rss, pss) = (("C loop", mib(peer_memory.rss)), ("C loop", mib(peer_memory.pss)));
    let setting = format!("street hub, {DEVICES} × {REGISTERS} registers at 1 Hz");
    let cpu = ("C loop", peer.cpu_share());
    table.add(format!("{setting}: CPU"), "% of one", bare.watched.cpu_share(), cpu, Goal::AtMost(0.25));
    table.add(
        "street hub with deadband: CPU, host included",
        "% of one",
        with_plugin.watched.cpu_share(),
        cpu,
        Goal::None,
    );
    // A poll costs two: its moment, and its answer.
    let polls = f64::from(DEVICES) / EVERY.as_secs_f64();
    table.add("street hub: wake-ups of all threads", "1/s", bare.wake_ups, ("polls", polls), Goal::None);
    table.add("street hub: memory, RSS", "MiB", mib(bare.daemon.rss), rss, Goal::AtMost(12.0));
    table.add("street hub: memory, PSS", "MiB", mib(bare.daemon.pss), pss, Goal::None);
    table.add("street hub with deadband: daemon, RSS", "MiB", mib(with_plugin.daemon.rss), rss, Goal::AtMost(12.0));
    table.add("street hub with deadband: daemon, PSS", "MiB", mib(with_plugin.daemon.pss), pss, Goal::None);
    if let Some(host) = with_plugin.host {
        table.add("street hub with deadband: plugin host, RSS", "MiB", mib(host.rss), rss, Goal::AtMost(10.0));
        table.add("street hub with deadband: plugin host, PSS", "MiB", mib(host.pss), pss, Goal::None);
    } else {
        table.note("no plugin host was running beside curb with a plugin");
    }
    let per_thousand = |bytes: f64| 1e3 * bytes / bare.watched.tally.readings as f64;
    let payload = ("payload", per_thousand(bare.watched.tally.payload as f64));
    table.add(
        "street hub: bytes to disk",
        "1 / 1,000 readings",
        per_thousand(bare.written as f64),
        payload,
        Goal::AtMost(2000.0),
    );
    table.add(
        "street hub: growth of the state folder",
        "1 / 1,000 readings",
        per_thousand(bare.grown),
        payload,
        Goal::None,
    );
    delays("street hub", &bare.watched, &peer, table);
    bare.watched.note_oddities("street hub", table);
    with_plugin.watched.note_oddities("street hub with deadband", table);
    Ok(())
}

/// The hub's buses.
pub(super) fn buses(devices: &Devices) -> Vec<Bus> {
    devices.ports.iter().map(|port| Bus::tcp(port, REGISTERS, EVERY)).collect()
}

async fn curb(bed: &Bed, devices: &Devices, name: &str, plugin: Plugin, times: Times) -> Result<Resident, Error> {
    let mut core = Core::listen(bed, From::Served).await?;
    let hub = Hub::start(bed, name, &buses(devices), plugin)?;
    core.first_reading(|| hub.log()).await?;
    core.collect(times.warm_up, &mut Tally::default()).await?;
    let daemon = hub.id()?;
    let processes = family(daemon)?;
    let all_written = || processes.iter().map(|pid| written(*pid)).sum::<Result<u64, Error>>();
    let (written_before, size_before, woken_before) = (all_written()?, size(&hub.state)?, wake_ups(daemon)?);
    let watched = Watched::new(&mut core, daemon, times.street).await?.correct("curb on a street hub")?;
    let woken = wake_ups(daemon)?.saturating_sub(woken_before);
    let resident = Resident {
        wake_ups: woken as f64 / watched.time.as_secs_f64(),
        watched,
        daemon: Memory::of(daemon)?,
        host: processes.iter().find(|pid| **pid != daemon).map(|host| Memory::of(*host)).transpose()?,
        written: all_written()? - written_before,
        grown: size(&hub.state)? as f64 - size_before as f64,
    };
    hub.end().await?;
    Ok(resident)
}
