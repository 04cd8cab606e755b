//! Paced RS-485 lines of three rates, 8E1, 4 units × 20 registers, polled as fast as they go. The line's own counters are the
//! figures: it knows what was asked, what it answered, and whether it was silent long enough before a request.

use std::time::Duration;

use street::{Behaviour, Device, Kind, LineCounters, Log, Parity, Register, RtuLine, Signal, Table as Registers};

use super::{Times, progress};
use crate::bed::Bed;
use crate::core::Core;
use crate::counting::{From, Tally};
use crate::error::Error;
use crate::hub::{Bus, Hub, Plugin};
use crate::table::{Goal, Table};

/// What cabinets have; at the middle one a unit dies.
const RATES: [u32; 3] = [9_600, 19_200, 115_200];
const WITH_A_DEAD_UNIT: u32 = 19_200;
const REGISTERS: u16 = 20;
/// Start bit, 8 data bits, parity, stop bit.
const BITS: f64 = 11.0;
/// Unit, function, address, count, check sum.
const REQUEST: f64 = 8.0;
/// Unit, function, bytes, registers, check sum.
const ANSWER: f64 = 5.0 + 2.0 * REGISTERS as f64;
/// The silence before a request, in characters (Modbus over serial line, 2.5.1.1).
const SILENCE: f64 = 3.5;
/// The same above 19,200 bit/s, in seconds.
const SILENCE_OF_FAST_LINES_S: f64 = 0.001_75;
/// [`Behaviour::Alive`] units take 2 to 5 ms, evenly spread.
const MEAN_THOUGHT_S: f64 = 0.003_5;
const MOST_THOUGHT_S: f64 = 0.005;
/// The answer to a write repeats it.
const WRITE_ANSWER: f64 = 8.0;
/// The answer to a read of one register.
const ONE_REGISTER: f64 = 7.0;
/// Writes that are timed.
const WRITES: u16 = 60;

/// Three units at this pace ask for three times what the fastest line can do.
const EVERY: Duration = Duration::from_millis(10);
/// What libmodbus waits for an answer.
const TIMEOUT: Duration = Duration::from_millis(500);

const ALL: [u8; 4] = [1, 2, 3, 4];
const HEALTHY: [u8; 3] = [1, 2, 3];

/// Who polls the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Master {
    Curb,
    Loop,
}

/// What was seen on the line in some time.
#[derive(Debug)]
struct Seen {
    polls_per_second: f64,
    gap_violations: u64,
}

pub(super) async fn take(bed: &Bed, times: Times, table: &mut Table) -> Result<(), Error> {
    for baud in RATES {
        let rig = Rig { bed, baud, times };
        progress(&format!("RTU line at {baud}, four alive, curb"))?;
        let four = rig.measure(Master::Curb, &ALL, None, table).await?;
        progress(&format!("RTU line at {baud}, four alive, C loop"))?;
        let loop_four = rig.measure(Master::Loop, &ALL, None, table).await?;
        let limit = limit(baud);
        table.add(
            format!("RTU line, {baud} 8E1, {} × {REGISTERS} registers: polls", ALL.len()),
            "polls/s",
            four.polls_per_second,
            ("line with its silences", limit),
            Goal::AtLeast(0.95 * limit),
        );
        table.add(
            format!("RTU line, {baud}: polls, beside a master that ignores silences"),
            "polls/s",
            four.polls_per_second,
            ("C loop", loop_four.polls_per_second),
            Goal::None,
        );
        table.add(
            format!("RTU line, {baud}: silences cut short"),
            "requests",
            violations(&four),
            ("C loop", violations(&loop_four)),
            Goal::AtMost(0.0),
        );
        if baud == WITH_A_DEAD_UNIT {
            rig.take_dead(&loop_four, table).await?;
            rig.take_writes(table).await?;
        }
    }
    Ok(())
}

/// Polls in a second that a line of this rate can carry at most.
fn limit(baud: u32) -> f64 {
    let character = BITS / f64::from(baud);
    let silence = if baud > 19_200 { SILENCE_OF_FAST_LINES_S } else { SILENCE * character };
    1.0 / ((REQUEST + ANSWER) * character + silence + MEAN_THOUGHT_S)
}

fn violations(seen: &Seen) -> f64 {
    seen.gap_violations as f64
}

/// A line of one rate.
#[derive(Debug, Clone, Copy)]
struct Rig<'a> {
    bed: &'a Bed,
    baud: u32,
    times: Times,
}

impl Rig<'_> {
    async fn take_dead(&self, loop_four: &Seen, table: &mut Table) -> Result<(), Error> {
        progress("RTU line, three alone, curb")?;
        let three = self.measure(Master::Curb, &HEALTHY, None, table).await?;
        progress("RTU line, one of four dead, curb")?;
        let dead = self.measure(Master::Curb, &ALL, Some(4), table).await?;
        progress("RTU line, one of four dead, C loop")?;
        let loop_dead = self.measure(Master::Loop, &ALL, Some(4), table).await?;
        // The C loop polls back to back, so that four or three alive make no difference to its rate.
        let share = dead.polls_per_second / three.polls_per_second;
        let loop_share = loop_dead.polls_per_second / loop_four.polls_per_second;
        table.add(
            "RTU line, fourth unit dead: polls of the other three",
            "of three alone",
            share,
            ("C loop", loop_share),
            Goal::AtLeast(0.98),
        );
        table.add(
            "RTU line, fourth unit dead: silences cut short",
            "requests",
            violations(&dead),
            ("C loop", violations(&loop_dead)),
            Goal::AtMost(0.0),
        );
        Ok(())
    }

    /// How long a write takes from its request on the control socket to its answer, which comes when it was read back.
    async fn take_writes(&self, table: &mut Table) -> Result<(), Error> {
        let Self { bed, baud, times } = *self;
        progress("RTU line, writes under full polling")?;
        let (_line, path) = self.line(&ALL, None)?;
        let mut core = Core::listen(bed, From::Others).await?;
        let bus = Bus::rtu(&path, baud, &ALL, REGISTERS, EVERY, TIMEOUT).dims();
        let hub = Hub::start(bed, "line-writes", &[bus], Plugin::None)?;
        core.first_reading(|| hub.log()).await?;
        core.collect(times.warm_up, &mut Tally::default()).await?;
        let mut took = Vec::new();
        for value in 0..WRITES {
            took.push(1e3 * hub.write("b0u1/dim", value).await?.as_secs_f64());
            // At another place of the poll cycle each time.
            core.collect(Duration::from_millis(u64::from(value) * 7 % 100), &mut Tally::default()).await?;
        }
        hub.end().await?;
        took.sort_by(f64::total_cmp);
        let character = BITS / f64::from(baud);
        let exchange = |characters: f64| 1e3 * ((characters + SILENCE) * character + MOST_THOUGHT_S);
        // One frame that was on its way, the write, and the read that proves it.
        let limit = exchange(REQUEST + ANSWER) + exchange(REQUEST + WRITE_ANSWER) + exchange(REQUEST + ONE_REGISTER);
        let of = ("one frame + its own two", limit);
        table.add(
            "RTU line, 19200: write under full polling, read back, median",
            "ms",
            took[took.len() / 2],
            of,
            Goal::None,
        );
        table.add(
            "RTU line, 19200: write under full polling, longest",
            "ms",
            took[took.len() - 1],
            of,
            Goal::AtMost(limit),
        );
        Ok(())
    }

    /// A line with these units, plugged in.
    fn line(&self, units: &[u8], dead: Option<u8>) -> Result<(RtuLine, String), Error> {
        let port = self.bed.folder.join("line");
        let mut line = RtuLine::new(&port, self.baud, Parity::Even, &Log::new());
        for &unit in units {
            let behaviour = if dead == Some(unit) { Behaviour::Dead } else { Behaviour::Alive };
            line = line.unit(unit, device(unit), behaviour);
        }
        line.plug()?;
        Ok((line, port.display().to_string()))
    }

    async fn measure(&self, master: Master, units: &[u8], dead: Option<u8>, table: &mut Table) -> Result<Seen, Error> {
        let Self { bed, baud, times } = *self;
        let (line, path) = self.line(units, dead)?;
        let mut core = Core::listen(bed, From::Others).await?;
        let (polled, tally) = match master {
            Master::Curb => {
                let name = format!("line-{baud}-{}-{}", units.len(), if dead.is_some() { "dead" } else { "alive" });
                let bus = Bus::rtu(&path, baud, units, REGISTERS, EVERY, TIMEOUT);
                let hub = Hub::start(bed, &name, &[bus], Plugin::None)?;
                core.first_reading(|| hub.log()).await?;
                let watched = watch(&mut core, &line, times).await?;
                hub.end().await?;
                watched
            }
            Master::Loop => {
                let mut arguments = vec!["rtu".to_owned(), path, baud.to_string()];
                arguments.extend(units.iter().map(u8::to_string));
                let mut c_loop = bed.start_loop(Duration::ZERO, REGISTERS, &arguments)?;
                core.first_reading(|| c_loop.tail()).await?;
                let watched = watch(&mut core, &line, times).await?;
                c_loop.kill().await?;
                watched
            }
        };
        let delivered = tally.readings as f64 / f64::from(REGISTERS) / times.line.as_secs_f64();
        let polls_per_second = polled.answers as f64 / times.line.as_secs_f64();
        // A poll or two are on their way at either end.
        if (delivered - polls_per_second).abs() * times.line.as_secs_f64() > 3.0 {
            table.note(format!(
                "{master:?}, {} units: {polls_per_second:.2} answers/s on the line, {delivered:.2} polls/s at the core",
                units.len(),
            ));
        }
        Ok(Seen { polls_per_second, gap_violations: polled.gap_violations })
    }
}

/// What happens on the line and at the core in the time that counts.
async fn watch(core: &mut Core, line: &RtuLine, times: Times) -> Result<(LineCounters, Tally), Error> {
    core.collect(times.warm_up, &mut Tally::default()).await?;
    let before = line.counters();
    let mut tally = Tally::default();
    core.collect(times.line, &mut tally).await?;
    let mut counters = line.counters();
    counters.answers -= before.answers;
    counters.gap_violations -= before.gap_violations;
    Ok((counters, tally))
}

fn device(unit: u8) -> Device {
    let dim = Register::new("dim", Registers::Holding, 100, Kind::U16, Signal::new(0, 0, 1));
    (0..REGISTERS).fold(Device::new(&format!("b0u{unit}")).with(dim), |device, register| {
        let signal = Signal::new(i64::from(register) * 1000, 1, 1000);
        device.with(Register::new(&format!("r{register}"), Registers::Input, register, Kind::U16, signal))
    })
}
