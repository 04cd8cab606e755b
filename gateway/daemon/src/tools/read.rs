//! `curb read`: registers of a unit, or points of a device, as they stand there now.

use std::io::Write;
use std::time::Duration;

use curb_model::{Access, Reason, Sample};
use curb_source::{Encoding, ModbusPoint, Outcome, Probe, Question, Table};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ReadArgs;
use super::line::Line;
use super::notation::{self, Misread, both, numbered, words};
use super::target::{Bus, Device, Known};
use super::{Error, guess, quality, trouble};
use crate::cli::{FINE, FOUND};
use crate::field::json_value;

/// What one request may ask for (Modbus Application Protocol 1.1b3, sections 6.1 and 6.3).
const MAX_REGISTERS: u16 = 125;
const MAX_BITS: u16 = 2_000;

/// How long the line is kept for the next of several requests.
const HOLD: Duration = Duration::from_millis(20);

/// One value to read.
#[derive(Debug, Clone)]
struct Wanted {
    unit: u8,
    point: ModbusPoint,
    /// `device/point`, where the config names it.
    name: Option<String>,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Line1<'a> {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<&'a str>,
    unit_id: u8,
    register: String,
    /// The same, counted from 1 behind the table's digit.
    number: String,
    raw: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    quality: String,
}

/// `curb read`.
pub(crate) async fn run(args: &ReadArgs, out: &mut impl Write) -> Result<u8, Error> {
    let known = Known::load(&args.line);
    let run_dir = super::run_dir(&args.line, &known);
    let (bus, wanted) = if args.register.is_none() && args.units.is_none() {
        let Device { bus, device, points, .. } = known.device(&args.target, Some(&args.line))?;
        let name = |point: &ModbusPoint| Some(point.point.name.to_string());
        let wanted = |point: ModbusPoint| Wanted { unit: device.unit_id, name: name(&point), point };
        let read: Vec<_> = points.into_iter().filter(|point| point.access == Access::Read).map(wanted).collect();
        if read.is_empty() {
            return Err(Error::Usage(
                "its config says that it can only be written (access); -a and -r read it all the same",
            ));
        }
        (bus, read)
    } else {
        let bus = known.bus(&args.target, &args.line)?;
        let wanted = registers(args, &bus)?;
        (bus, wanted)
    };
    let line = Line::to(&bus, run_dir)?;
    let result = rounds(args, &line, &wanted, out).await;
    line.close().await;
    result
}

/// Registers that the command line asks for.
fn registers(args: &ReadArgs, bus: &Bus) -> Result<Vec<Wanted>, Error> {
    let option = |source: Misread| Error::Option { option: "-r", source };
    let text = args.register.as_deref().ok_or(Error::Usage("say which register: -r holding:100"))?;
    let kind = args.kind;
    let (table, first) = notation::register(text, kind.and_then(|kind| kind.table), args.from_zero).map_err(option)?;
    let encoding = match kind.and_then(|kind| kind.encoding) {
        Some(encoding) if !table.is_bits() => encoding,
        Some(Encoding::Bool) | None if table.is_bits() => Encoding::Bool,
        Some(_) => return Err(Error::Usage("coils and discrete inputs are bits: leave -t away, or -t bool")),
        None => Encoding::U16,
    };
    let width = if table.is_bits() { 1 } else { encoding.registers() };
    let units = match (&args.units, bus.units().as_slice()) {
        (Some(units), _) => units.0.clone(),
        (None, [unit]) => vec![*unit],
        (None, _) => return Err(Error::Usage("say which unit: -a 3")),
    };
    units.iter().try_for_each(|&unit| bus.takes(unit))?;
    let beyond = || option(Misread::Register("the last of these lies beyond register 65535".to_owned()));
    let mut wanted = Vec::new();
    for &unit in &units {
        for n in 0..args.count {
            let offset = n.checked_mul(width).and_then(|offset| first.checked_add(offset)).ok_or_else(beyond)?;
            offset.checked_add(width - 1).ok_or_else(beyond)?;
            let point = notation::nameless(table, offset, encoding, args.order);
            wanted.push(Wanted { unit, point, name: None });
        }
    }
    Ok(wanted)
}

/// Reads as often as it was asked for.
async fn rounds(args: &ReadArgs, line: &Line, wanted: &[Wanted], out: &mut impl Write) -> Result<u8, Error> {
    if let Some(shown) = &args.guess {
        let [one] = wanted else { return Err(Error::Usage("--guess looks at one register of one unit")) };
        return guess::run(line, shown, one.unit, &one.point, &args.line, out).await;
    }
    // Kept over all rounds: none is missed, whatever we are at.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut code = FINE;
    loop {
        let began = tokio::time::Instant::now();
        let mut rest = wanted;
        while !rest.is_empty() {
            let together = together(rest);
            let (now, later) = rest.split_at(together);
            let good = tokio::select! {
                good = one_request(args, line, now, out) => good?,
                _ = interrupt.recv() => {
                    out.flush()?;
                    // Of a single round, not all was read.
                    return Ok(if args.every.is_some() { code } else { FOUND });
                }
            };
            if !good {
                code = FOUND;
            }
            rest = later;
        }
        out.flush()?;
        let Some(every) = args.every else { return Ok(code) };
        tokio::select! {
            () = tokio::time::sleep_until(began + every) => {}
            _ = interrupt.recv() => return Ok(code),
        }
    }
}

/// How many of the first ones lie one behind the other, and go into one request.
fn together(wanted: &[Wanted]) -> usize {
    let [first, rest @ ..] = wanted else { return 0 };
    let (start, mut len) = first.point.span();
    let most = if first.point.table.is_bits() { MAX_BITS } else { MAX_REGISTERS };
    // Points of a device may have limits of its own: each is asked for by itself.
    let follows = rest.iter().take_while(|next| {
        let (at, more) = next.point.span();
        let fits = next.name.is_none()
            && next.unit == first.unit
            && next.point.table == first.point.table
            && u32::from(at) == u32::from(start) + u32::from(len)
            && len + more <= most;
        if fits {
            len += more;
        }
        fits
    });
    1 + follows.count()
}

/// Asks for values that lie together and prints them. Says whether all are good.
async fn one_request(args: &ReadArgs, line: &Line, wanted: &[Wanted], out: &mut impl Write) -> Result<bool, Error> {
    let [Wanted { unit, point: first, .. }, ..] = wanted else { return Ok(true) };
    let (start, _) = first.span();
    let len: u16 = wanted.iter().map(|one| one.point.span().1).sum();
    let outcome = ask(line, *unit, first.table, start, len, args.line.timeout).await?;
    let registers = as_registers(&outcome);
    let mut good = true;
    for one in wanted {
        let (at, span) = one.point.span();
        let own = registers.as_ref().and_then(|all| {
            let offset = usize::from(at - start);
            all.get(offset..offset + usize::from(span))
        });
        let sample = own.map_or(Sample::Bad(Reason::Decode), |own| curb_source::decode(&one.point, own));
        good &= own.is_some() && sample.is_good();
        print(args.line.json, one, own, &sample, &outcome, out)?;
    }
    Ok(good)
}

fn print(
    json: bool,
    wanted: &Wanted,
    own: Option<&[u16]>,
    sample: &Sample,
    outcome: &Outcome,
    out: &mut impl Write,
) -> Result<(), Error> {
    let Wanted { unit, point, name } = wanted;
    let word = match (own, sample.value(), sample.reason()) {
        (None, ..) => quality(outcome),
        (Some(_), _, None) => "good".to_owned(),
        (Some(_), Some(_), Some(reason)) => format!("uncertain:{reason}"),
        (Some(_), None, Some(reason)) => format!("bad:{reason}"),
    };
    if json {
        let line = Line1 {
            v: 1,
            point: name.as_deref(),
            unit_id: *unit,
            register: format!("{}:{}", point.table.as_str(), point.address),
            number: numbered(point.table, point.address),
            raw: own.unwrap_or_default().iter().map(|word| format!("{word:04X}")).collect(),
            value: sample.value().filter(|_| own.is_some()).map(json_value),
            unit: point.point.unit.as_deref(),
            quality: word,
        };
        serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let who = name.clone().unwrap_or_else(|| format!("unit {unit}"));
    let place = both(point.table, point.address);
    let Some(own) = own else {
        let why = trouble(outcome).unwrap_or_else(|| "an answer of another kind".to_owned());
        let why = super::red(&why, super::colour());
        writeln!(out, "{who}  {place}  {why}")?;
        return Ok(());
    };
    let value = sample.value().map_or_else(|| "-".to_owned(), ToString::to_string);
    let measure = point.point.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let doubt = if word == "good" { String::new() } else { format!("  {}", super::red(&word, super::colour())) };
    let raw = if point.table.is_bits() { String::new() } else { format!("  {}", words(own)) };
    writeln!(out, "{who}  {place}{raw}  {value}{measure}{doubt}")?;
    Ok(())
}

/// Asks for registers or bits.
pub(super) async fn ask(
    line: &Line,
    unit: u8,
    table: Table,
    address: u16,
    quantity: u16,
    timeout: Option<Duration>,
) -> Result<Outcome, Error> {
    let question = Question::Read { table, address, quantity };
    let outcome = line.probe(Probe { unit, question, settings: None, timeout, hold: HOLD }).await?.outcome;
    if let Outcome::Unusable(why) = outcome { Err(Error::Unusable(why)) } else { Ok(outcome) }
}

/// An answer's registers; bits as 0 and 1.
pub(super) fn as_registers(outcome: &Outcome) -> Option<Vec<u16>> {
    match outcome {
        Outcome::Registers(registers) => Some(registers.clone()),
        Outcome::Bits(bits) => Some(bits.iter().map(|&bit| u16::from(bit)).collect()),
        Outcome::Identity(_)
        | Outcome::ServerId(_)
        | Outcome::Done
        | Outcome::Exception(_)
        | Outcome::Failed(_)
        | Outcome::Unusable(_) => None,
    }
}
