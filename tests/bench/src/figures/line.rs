//! A paced RS-485 line, 19,200 8E1, 4 units × 20 registers, polled as fast as it goes. The line's own counters are the
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

const BAUD: u32 = 19_200;
const REGISTERS: u16 = 20;
/// Start bit, 8 data bits, parity, stop bit.
const BITS: f64 = 11.0;
/// Unit, function, address, count, check sum.
const REQUEST: f64 = 8.0;
/// Unit, function, bytes, registers, check sum.
const ANSWER: f64 = 5.0 + 2.0 * REGISTERS as f64;
/// The silence before a request, in characters (Modbus over serial line, 2.5.1.1).
const SILENCE: f64 = 3.5;
/// [`Behaviour::Alive`] units take 2 to 5 ms, evenly spread.
const MEAN_THOUGHT_S: f64 = 0.003_5;

/// Three units at this pace ask for twice what the line can do.
const EVERY: Duration = Duration::from_millis(50);
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
    progress("RTU line, four alive, curb")?;
    let four = measure(bed, Master::Curb, &ALL, None, times, table).await?;
    progress("RTU line, four alive, C loop")?;
    let loop_four = measure(bed, Master::Loop, &ALL, None, times, table).await?;
    progress("RTU line, three alone, curb")?;
    let three = measure(bed, Master::Curb, &HEALTHY, None, times, table).await?;
    progress("RTU line, one of four dead, curb")?;
    let dead = measure(bed, Master::Curb, &ALL, Some(4), times, table).await?;
    progress("RTU line, one of four dead, C loop")?;
    let loop_dead = measure(bed, Master::Loop, &ALL, Some(4), times, table).await?;

    let character = BITS / f64::from(BAUD);
    let limit = 1.0 / ((REQUEST + ANSWER + SILENCE) * character + MEAN_THOUGHT_S);
    let polls = four.polls_per_second;
    table.add(
        format!("RTU line, 19,200 8E1, {} × {REGISTERS} registers: polls", ALL.len()),
        "polls/s",
        polls,
        ("line with its silences", limit),
        Goal::AtLeast(0.95 * limit),
    );
    table.add(
        "RTU line: polls, beside a master that ignores silences",
        "polls/s",
        polls,
        ("C loop", loop_four.polls_per_second),
        Goal::None,
    );
    let violations = |seen: &Seen| seen.gap_violations as f64;
    table.add(
        "RTU line: silences cut short",
        "requests",
        violations(&four),
        ("C loop", violations(&loop_four)),
        Goal::AtMost(0.0),
    );
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

async fn measure(
    bed: &Bed,
    master: Master,
    units: &[u8],
    dead: Option<u8>,
    times: Times,
    table: &mut Table,
) -> Result<Seen, Error> {
    let port = bed.folder.join("line");
    let mut line = RtuLine::new(&port, BAUD, Parity::Even, &Log::new());
    for &unit in units {
        let behaviour = if dead == Some(unit) { Behaviour::Dead } else { Behaviour::Alive };
        line = line.unit(unit, device(unit), behaviour);
    }
    line.plug()?;
    let mut core = Core::listen(bed, From::Others).await?;
    let path = port.display().to_string();
    let (polled, tally) = match master {
        Master::Curb => {
            let name = format!("line-{}-{}", units.len(), if dead.is_some() { "dead" } else { "alive" });
            let bus = Bus::rtu(&path, units, REGISTERS, EVERY, TIMEOUT);
            let hub = Hub::start(bed, &name, &[bus], Plugin::None)?;
            core.first_reading(|| hub.log()).await?;
            let watched = watch(&mut core, &line, times).await?;
            hub.end().await?;
            watched
        }
        Master::Loop => {
            let mut arguments = vec!["rtu".to_owned(), path];
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
    (0..REGISTERS).fold(Device::new(&format!("b0u{unit}")), |device, register| {
        let signal = Signal::new(i64::from(register) * 1000, 1, 1000);
        device.with(Register::new(&format!("r{register}"), Registers::Input, register, Kind::U16, signal))
    })
}
