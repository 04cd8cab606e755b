//! Modbus TCP under load: 10 devices × 100 registers at 10 Hz are 10,000 readings a second, at 100 Hz 100,000.

use std::time::Duration;

use super::{Times, Watched, delays, progress, watch_loop};
use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::{From, Tally};
use crate::error::Error;
use crate::hub::{Bus, Hub, Plugin};
use crate::meter::Memory;
use crate::table::{Goal, Table};

const DEVICES: u16 = 10;
const REGISTERS: u16 = 100;
const EVERY: Duration = Duration::from_millis(100);

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let devices = Devices::start(DEVICES).await?;
    progress("Modbus TCP under load, curb")?;
    let (curb, _) = curb(bed, &devices, "load", EVERY, times).await?;
    progress("Modbus TCP under load, C loop")?;
    let (c_loop, _) = watch_loop(bed, &devices, REGISTERS, EVERY, times).await?;

    let setting = format!("TCP load, {DEVICES} × {REGISTERS} registers at 10 Hz");
    let asked = f64::from(DEVICES * REGISTERS) / EVERY.as_secs_f64();
    let (curb_cpu, loop_cpu) = (curb.cpu_per_million(), c_loop.cpu_per_million());
    table.add(
        format!("{setting}: CPU time"),
        "CPU-s / million readings",
        curb_cpu,
        ("C loop", loop_cpu),
        Goal::AtMost(1.9),
    );
    table.add("TCP load: readings at the core", "1/s", curb.rate(), ("asked for", asked), Goal::AtLeast(0.99 * asked));
    delays("TCP load", &curb, &c_loop, table);
    curb.note_oddities("curb under load", table);
    if c_loop.rate() < 0.99 * asked {
        table.note(format!("the C loop brought {:.0} of {asked:.0} readings/s under load", c_loop.rate()));
    }
    Ok(())
}

/// As fast as the devices may be asked: 100,000 points a second.
pub(super) async fn take_fast(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    const EVERY: Duration = Duration::from_millis(10);
    let devices = Devices::start(DEVICES).await?;
    progress("Modbus TCP at 100,000 points/s, curb")?;
    let (curb, memory) = curb(bed, &devices, "fast", EVERY, times).await?;
    progress("Modbus TCP at 100,000 points/s, C loop")?;
    let (c_loop, loop_memory) = watch_loop(bed, &devices, REGISTERS, EVERY, times).await?;

    let setting = format!("TCP, {DEVICES} × {REGISTERS} registers at 100 Hz");
    let (curb_cpu, loop_cpu) = (curb.cpu_per_million(), c_loop.cpu_per_million());
    table.add(
        format!("{setting}: CPU time"),
        "CPU-s / million readings",
        curb_cpu,
        ("C loop", loop_cpu),
        Goal::AtMost(2.0 * loop_cpu),
    );
    let asked = f64::from(DEVICES * REGISTERS) / EVERY.as_secs_f64();
    table.add(
        "TCP at 100 Hz: readings at the core",
        "1/s",
        curb.rate(),
        ("C loop", c_loop.rate()),
        Goal::AtLeast(0.99 * asked),
    );
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    table.add(
        "TCP at 100 Hz: memory, RSS",
        "MiB",
        mib(memory.rss),
        ("C loop", mib(loop_memory.rss)),
        Goal::AtMost(20.0),
    );
    curb.note_oddities("curb at 100 Hz", table);
    Ok(())
}

async fn curb(
    bed: &Bed,
    devices: &Devices,
    name: &str,
    every: Duration,
    times: Times,
) -> Result<(Watched, Memory), Error> {
    let buses: Vec<Bus> = devices.ports.iter().map(|port| Bus::tcp(port, REGISTERS, every)).collect();
    let mut core = Core::listen(bed, From::Served).await?;
    let hub = Hub::start(bed, name, &buses, Plugin::None)?;
    core.first_reading(|| hub.log()).await?;
    core.collect(times.warm_up, &mut Tally::default()).await?;
    let watched = Watched::new(&mut core, hub.id()?, times.load).await?.correct("curb under load")?;
    let memory = Memory::of(hub.id()?)?;
    hub.end().await?;
    Ok((watched, memory))
}
