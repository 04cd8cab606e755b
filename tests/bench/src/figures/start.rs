//! From exec to the first reading at the core, on a street hub. Each but the first start finds the state of the last one,
//! as a hub does after a night without power.

use std::time::Duration;

use super::{Times, progress, street_hub};
use crate::bed::{Bed, Devices};
use crate::clock;
use crate::core::Core;
use crate::counting::From;
use crate::error::Error;
use crate::hub::{Hub, Plugin};
use crate::table::{Goal, Table};

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let devices = Devices::start(street_hub::DEVICES).await?;
    let (mut bare, mut with_plugin, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=times.starts {
        progress(&format!("start-up, {number} of {}", times.starts))?;
        bare.push(curb(bed, &devices, "start", Plugin::None).await?);
        with_plugin.push(curb(bed, &devices, "start-plugin", Plugin::Deadband).await?);
        peer.push(c_loop(bed, &devices).await?);
    }
    table.note(
        "start-up on a hub that has been up for a while; one that has just got its power back waits for a random part of \
         core.reconnect_spread (30 s) before it connects",
    );
    let starts = times.starts;
    let goal = Goal::AtMost(0.3);
    let peer = ("C loop", median(peer));
    table.add(format!("start-up: exec → first reading at the core, median of {starts}"), "s", median(bare), peer, goal);
    table.add("start-up with deadband in the plugin host", "s", median(with_plugin), peer, goal);
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64()
}

async fn curb(bed: &Bed, devices: &Devices, name: &str, plugin: Plugin) -> Result<Duration, Error> {
    let mut core = Core::listen(bed, From::Served).await?;
    let hub = Hub::start(bed, name, &street_hub::buses(devices), plugin)?;
    let first = core.first_reading(|| hub.log()).await?;
    let took = first.saturating_sub(hub.started);
    hub.end().await?;
    Ok(took)
}

async fn c_loop(bed: &Bed, devices: &Devices) -> Result<Duration, Error> {
    let mut core = Core::listen(bed, From::Served).await?;
    let started = clock::now();
    let mut c_loop = bed.start_loop(street_hub::EVERY, street_hub::REGISTERS, &devices.as_arguments())?;
    let first = core.first_reading(|| c_loop.tail()).await?;
    c_loop.kill().await?;
    Ok(first.saturating_sub(started))
}
