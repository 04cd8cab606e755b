//! What plugins cost: a reading's share as native code, as a component alone, and through the host; starts, memory, a plugin that
//! does not stop, settings that change under load. Most of it is measured by two programs that may know our crates, `figures`
//! (gateway/pipeline) and `native` (plugins/deadband); here it is put side by side. And a whole hub with three plugins, and without.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use street::{Process, binary};

use super::{Times, Watched, progress};
use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::{From, Tally};
use crate::error::Error;
use crate::hub::{Bus, Hub, Plugin};
use crate::table::{Goal, Table};

/// For `figures`, which takes half a minute.
const DEADLINE: Duration = Duration::from_secs(300);

/// 10 × 100 registers at 1 Hz: 1,000 readings a second.
const DEVICES: u16 = 10;
const REGISTERS: u16 = 100;
const EVERY: Duration = Duration::from_secs(1);

/// Address space of a process on a kernel with 39 bits of it, as a Raspberry Pi has: half is the process's.
const ADDRESSES_MIB: f64 = (1_u64 << 38) as f64 / MIB;

const MIB: f64 = 1024.0 * 1024.0;

/// What a program has printed.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    async fn of(bed: &Bed, program: &'static str, arguments: &[&Path]) -> Result<Self, Error> {
        let path: PathBuf = binary(program)?;
        let (ended, said) = Process::run(program, &path, arguments, &bed.folder, DEADLINE).await?;
        if !ended.success() {
            let log = std::fs::read_to_string(bed.folder.join(format!("{program}.log"))).unwrap_or_default();
            return Err(Error::Run { program, ended, log });
        }
        let text = String::from_utf8_lossy(&said).into_owned();
        let pair = |line: &str| {
            let pair = line.split_once(' ').and_then(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?)));
            pair.ok_or_else(|| Error::Line { program, line: line.to_owned() })
        };
        Ok(Self(text.lines().map(pair).collect::<Result<_, _>>()?))
    }

    fn get(&self, name: &str) -> Result<f64, Error> {
        self.0.get(name).copied().ok_or_else(|| Error::Line { program: "figures", line: format!("{name} (missing)") })
    }
}

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    progress("plugins: native code")?;
    let native = Figures::of(bed, "native", &[]).await?;
    progress("plugins: as components, and through the host")?;
    let components = bed.plugin.parent().unwrap_or(Path::new("."));
    let ours = Figures::of(bed, "figures", &[&bed.curb, components]).await?;
    a_reading(&native, &ours, table)?;
    a_host(&ours, table)?;
    a_hub(bed, times, table).await
}

fn a_reading(native: &Figures, ours: &Figures, table: &mut Table) -> Result<(), Error> {
    for rows in [1, 10, 100, 1000] {
        let native = native.get(&format!("native-ns.{rows}"))?;
        let alone = ours.get(&format!("in-process-ns.cranelift.{rows}"))?;
        let at_hundred = |goal: f64| if rows == 100 { Goal::AtMost(goal) } else { Goal::None };
        let name = |what: &str| format!("plugin, {rows} rows: a reading, {what}");
        table.add(name("in process"), "ns", alone, ("native", native), at_hundred(25.0));
        table.add(
            name("in process, all rows kept"),
            "ns",
            ours.get(&format!("keep-all-ns.cranelift.{rows}"))?,
            ("deadband", alone),
            Goal::None,
        );
        table.add(
            name("pulley, in process"),
            "ns",
            ours.get(&format!("in-process-ns.pulley.{rows}"))?,
            ("cranelift", alone),
            Goal::None,
        );
        let none = ours.get(&format!("no-plugin-ns.{rows}"))?;
        let host = ours.get(&format!("through-host-ns.{rows}"))?;
        table.add(name("through the host"), "ns", host, ("no plugin", none), at_hundred(100.0));
        table.add(
            name("through three in one host"),
            "ns",
            ours.get(&format!("through-host-of-three-ns.{rows}"))?,
            ("one", host),
            Goal::None,
        );
    }
    Ok(())
}

fn a_host(ours: &Figures, table: &mut Table) -> Result<(), Error> {
    let pair =
        |name: &str| Ok::<_, Error>((ours.get(&format!("{name}.cranelift"))?, ours.get(&format!("{name}.pulley"))?));
    let (compile, pulley) = pair("compile-ms")?;
    table.add("plugin: compiled", "ms", compile, ("pulley", pulley), Goal::None);
    let (instantiate, pulley) = pair("instantiate-us")?;
    table.add("plugin: a fresh instance", "µs", instantiate, ("pulley", pulley), Goal::None);
    let (cached, compiled) = (ours.get("start-ms.cached")?, ours.get("start-ms.compiled")?);
    table.add("plugin: host started to first reading, cached", "ms", cached, ("compiled", compiled), Goal::None);
    let mib = |name: &str| Ok::<_, Error>(ours.get(name)? / 1024.0);
    let pss = ("PSS", mib("host-pss-kb.1")?);
    table.add("plugin host with one cached: memory, RSS", "MiB", mib("host-rss-kb.1")?, pss, Goal::AtMost(10.0));
    let one = ("with one", mib("host-rss-kb.1")?);
    table.add("plugin host with ten: memory, RSS", "MiB", mib("host-rss-kb.10")?, one, Goal::None);
    let one = ("with one", mib("host-own-kb.1")?);
    table.add("plugin host with ten: memory of its own", "MiB", mib("host-own-kb.10")?, one, Goal::None);
    table.add(
        "plugin host with twenty: address space",
        "MiB",
        mib("host-virtual-kb.20")?,
        ("39 bits", ADDRESSES_MIB),
        Goal::AtMost(ADDRESSES_MIB / 2.0),
    );
    let epochs = ours.get("spinner-epochs")?;
    table.add("plugin that spins: stopped behind its limit", "epochs", epochs, ("limit", 50.0), Goal::AtMost(2.0));
    table.add(
        "settings changed under load: lost, repeated or in disorder",
        "readings",
        ours.get("swap-wrong")?,
        ("readings", ours.get("swap-readings")?),
        Goal::AtMost(0.0),
    );
    table.add(
        "settings changed under load: longest delay",
        "ms",
        ours.get("swap-longest-ms")?,
        ("changes", ours.get("swap-changes")?),
        Goal::None,
    );
    Ok(())
}

async fn a_hub(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    let devices = Devices::start(DEVICES).await?;
    progress("plugins: a hub at 1,000 readings/s without any")?;
    let bare = hub(bed, &devices, "no-plugins", Plugin::None, times).await?;
    progress("plugins: a hub at 1,000 readings/s with three")?;
    let three = hub(bed, &devices, "three-plugins", Plugin::Three, times).await?;
    let (with, without) = (three.cpu_share(), ("no plugin", bare.cpu_share()));
    table.add("hub at 1,000 readings/s, three plugins: CPU", "% of one", with, without, Goal::None);
    let delay = ("no plugin", bare.delay_ms(99));
    table.add("hub with three plugins: delay device → core, p99", "ms", three.delay_ms(99), delay, Goal::None);
    let rate = ("no plugin", bare.rate());
    table.add("hub with three plugins: readings at the core", "1/s", three.rate(), rate, Goal::AtLeast(990.0));
    three.note_oddities("hub with three plugins", table);
    Ok(())
}

async fn hub(bed: &Bed, devices: &Devices, name: &str, plugin: Plugin, times: Times) -> Result<Watched, Error> {
    let buses: Vec<Bus> = devices.ports.iter().map(|port| Bus::tcp(port, REGISTERS, EVERY)).collect();
    let mut core = Core::listen(bed, From::Served).await?;
    let hub = Hub::start(bed, name, &buses, plugin)?;
    core.first_reading(|| hub.log()).await?;
    core.collect(times.warm_up, &mut Tally::default()).await?;
    let watched = Watched::new(&mut core, hub.id()?, times.load).await?.correct("curb with three plugins")?;
    hub.end().await?;
    Ok(watched)
}
