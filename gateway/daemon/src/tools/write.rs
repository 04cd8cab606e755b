//! `curb write`: a granted point by its name, or, with the daemon stopped, registers.
//!
//! A point goes through the same grant, order and read-back as a write of the core, with the daemon or without. Registers
//! (`--raw`) pass no grant: then who may open the port is the only guard, and the daemon must not have it.
//!
//! Settings that wear their device are `setting`'s.
//!
//! Each write has its audit record: of the daemon, or, alone, in the [`Spool`] that the next daemon takes up.

mod setting;

use std::io::Write;
use std::time::Duration;

use curb_model::{PointName, Value};
use curb_source::{Encoding, ModbusPoint, Outcome, Probe, Question, Table};
use curb_wire::command::{Proof, Refusal, WRITE};
use serde::Serialize;

use super::args::WriteArgs;
use super::line::{self, Line};
use super::notation::{self, Misread, both, words};
use super::target::{Bus, Device, Known};
use super::{Error, trouble};
use crate::cli::{DENIED, FINE, FOUND, USAGE};
use crate::field::{WriteForm, value_for};
use crate::spool::{self, Noted, Spool};

/// Bytes of a value's text in a record at most (`curb_wire::command`); of more registers the first are told.
const VALUE_MAX: usize = 256;

/// What one request may write (Modbus Application Protocol 1.1b3, section 6.12).
const MAX_REGISTERS: usize = 123;

/// `curb write`.
pub(crate) async fn run(args: &WriteArgs, out: &mut impl Write) -> Result<u8, Error> {
    let known = Known::load(&args.line);
    match &args.setting {
        Some(name) => setting::run(args, name, &known, out).await,
        None if args.raw => raw(args, &known, out).await,
        None => point(args, &known, out).await,
    }
}

async fn point(args: &WriteArgs, known: &Known, out: &mut impl Write) -> Result<u8, Error> {
    let name = PointName::parse(&args.target)
        .map_err(|_no_point| Error::Usage("say which point, DEVICE/POINT; registers need --raw"))?;
    let [text] = args.values.as_slice() else { return Err(Error::Usage("a point takes one value")) };
    let Device { bus, device, .. } = known.device(&args.target, Some(&args.line))?;
    let line = Line::to(&bus, super::run_dir(&args.line, known))?;
    if line.is_shared() && args.line.resets_line() {
        return Err(Error::Usage("the daemon writes a point at the line's own settings: leave -b, -P and -s away"));
    }
    let mut kept = Kept::Beside;
    if !line.is_shared() {
        let value = value_for(known.point(&name), &text.as_str().into());
        kept = Kept::note(args, known, WRITE, Some(&name), value).await?;
    }
    let written = line.write(&name, known.point(&name), text).await;
    line.close().await;
    kept.finish(|| told(written.as_ref().ok()));
    let form = written?;
    let place = known.point(&name).map(|point| place(&bus, device.unit_id, point));
    print(args, &name, &place.unwrap_or_default(), &form, out)?;
    Ok(match form {
        WriteForm::Done { .. } => FINE,
        WriteForm::Refused { word, .. } => match word.as_str() {
            "not-granted" => DENIED,
            "unknown-point" | "out-of-bounds" | "not-representable" => USAGE,
            _ => FOUND,
        },
    })
}

/// The record of a write.
enum Kept {
    /// The daemon keeps it.
    Beside,
    /// It waits for the next daemon.
    Spool(Box<Spool>),
    /// The user said that none is needed.
    Nowhere,
}

impl Kept {
    /// Notes a write that is about to be sent; where that cannot be, it is not sent, unless the user says so.
    async fn note(
        args: &WriteArgs,
        known: &Known,
        command: &str,
        point: Option<&PointName>,
        value: Option<Value>,
    ) -> Result<Self, Error> {
        let noted = Noted { command: command.to_owned(), point: point.cloned(), value, time_ms: known.time_ms().await };
        let spool = Spool::open(known.state()).and_then(|mut spool| spool.note(noted).map(|()| spool));
        match spool {
            Ok(spool) => Ok(Self::Spool(Box::new(spool))),
            Err(error @ spool::Error::Folder { .. }) if args.unrecorded => {
                writeln!(std::io::stderr(), "this write is not recorded: cannot {}", crate::chain(&error))?;
                Ok(Self::Nowhere)
            }
            Err(error) => Err(Error::Unrecorded(error)),
        }
    }

    /// What came of it. If that cannot be kept, it stays unconfirmed in the record.
    fn finish(self, result: impl FnOnce() -> Result<Proof, Refusal>) {
        if let Self::Spool(mut spool) = self
            && let Err(error) = spool.finish(result())
        {
            let text = format!("it is recorded as unconfirmed: failed to {}", crate::chain(&error));
            // A terminal that is gone needs no notice.
            drop(writeln!(std::io::stderr(), "{text}"));
        }
    }
}

/// What came of a write, as the record tells it; `None` if that is not known.
fn told(form: Option<&WriteForm>) -> Result<Proof, Refusal> {
    match form {
        Some(WriteForm::Done { proof, .. }) if proof == "echo" => Ok(Proof::Echo),
        Some(WriteForm::Done { .. }) => Ok(Proof::ReadBack),
        Some(WriteForm::Refused { word, why }) => Err(Refusal { word: word.clone(), detail: why.clone() }),
        None => {
            Err(Refusal { word: "unconfirmed".to_owned(), detail: "the bus ended while it was written".to_owned() })
        }
    }
}

/// The same of registers, which are not read back.
fn told_raw(outcome: Option<&Outcome>) -> Result<Proof, Refusal> {
    let refusal = |word: &str, detail| Err(Refusal { word: word.to_owned(), detail });
    match outcome {
        Some(Outcome::Unusable(why)) => refusal("not-sent", why.clone()),
        Some(outcome @ Outcome::Exception(_)) => refusal("refused-by-device", trouble(outcome).unwrap_or_default()),
        Some(outcome @ Outcome::Failed(_)) => refusal("unconfirmed", trouble(outcome).unwrap_or_default()),
        Some(
            Outcome::Registers(_) | Outcome::Bits(_) | Outcome::Identity(_) | Outcome::ServerId(_) | Outcome::Done,
        ) => Ok(Proof::Echo),
        None => told(None),
    }
}

/// Bus, unit and register.
fn place(bus: &Bus, unit: u8, point: &ModbusPoint) -> String {
    format!("{} unit {unit}  {}", bus.label, both(point.table, point.address))
}

/// What became of a write that was not done, or is not known to be, by its word.
fn not_done(word: &str) -> &'static str {
    match word {
        "unconfirmed" | "differs" => "not confirmed",
        _ => "not written",
    }
}

fn print(args: &WriteArgs, name: &PointName, place: &str, form: &WriteForm, out: &mut impl Write) -> Result<(), Error> {
    if args.line.json {
        #[derive(Serialize)]
        struct Document<'a> {
            v: u32,
            point: String,
            result: &'a WriteForm,
        }
        let document = Document { v: 1, point: name.to_string(), result: form };
        serde_json::to_writer(&mut *out, &document).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    match form {
        WriteForm::Done { value, proof } => {
            let proof = if proof == "echo" { "the device said so; it cannot be read back" } else { "read back" };
            writeln!(out, "{name} = {value}  ({proof})")?;
        }
        WriteForm::Refused { word, why } => writeln!(out, "{name} ({place}) was {}: {why}", not_done(word))?,
    }
    Ok(())
}

async fn raw(args: &WriteArgs, known: &Known, out: &mut impl Write) -> Result<u8, Error> {
    let option = |source| Error::Option { option: "-r", source };
    let (Some(unit), Some(text)) = (args.unit, &args.register) else {
        return Err(Error::Usage("say where: -a UNIT -r holding:N"));
    };
    let (table, address) = notation::register(text, None, false).map_err(option)?;
    let question = question(args, table, address)?;
    let bus = known.bus(&args.target, &args.line)?;
    bus.takes(unit)?;
    let run_dir = super::run_dir(&args.line, known);
    line::needs_no_daemon(&run_dir, known.state())?;
    let line = Line::to(&bus, run_dir)?;
    let what = match &question {
        Question::WriteCoil { on, .. } => on.to_string(),
        Question::Write { registers, .. } => words(registers),
        Question::Read { .. } | Question::Identify | Question::ServerId | Question::Listen => String::new(),
    };
    let command = format!("write --raw {} unit {unit} {}:{address}", bus.label, table.as_str());
    let value = Value::Text(what[..what.floor_char_boundary(VALUE_MAX)].into());
    let kept = Kept::note(args, known, &command, None, Some(value)).await?;
    let probe = Probe { unit, question, settings: None, timeout: args.line.timeout, hold: Duration::ZERO };
    let probed = line.probe(probe).await;
    line.close().await;
    kept.finish(|| told_raw(probed.as_ref().ok().map(|probed| &probed.outcome)));
    let outcome = probed?.outcome;
    if let Outcome::Unusable(why) = outcome {
        return Err(Error::Unusable(why));
    }
    let why = trouble(&outcome);
    if args.line.json {
        let quality = super::quality(&outcome);
        let line = serde_json::json!({ "v": 1, "unit_id": unit, "register": text, "raw": what, "quality": quality });
        writeln!(out, "{line}")?;
    } else if let Some(why) = &why {
        let told = told_raw(Some(&outcome));
        let head = told.as_ref().err().map_or("not confirmed", |refusal| not_done(&refusal.word));
        let place = both(table, address);
        let doubt = if head == "not confirmed" { "; it may or may not have taken effect" } else { "" };
        writeln!(out, "{} unit {unit}  {place}  {what}  {head}: {why}{doubt}", bus.label)?;
    } else {
        writeln!(out, "unit {unit}  {}  {what}  written", both(table, address))?;
    }
    Ok(if outcome == Outcome::Done { FINE } else { FOUND })
}

/// The request that writes what stands on the command line.
fn question(args: &WriteArgs, table: Table, address: u16) -> Result<Question, Error> {
    match (table, args.values.as_slice()) {
        (Table::Coil, [text]) => match text.as_str() {
            "1" | "true" | "on" => Ok(Question::WriteCoil { address, on: true }),
            "0" | "false" | "off" => Ok(Question::WriteCoil { address, on: false }),
            _ => Err(Error::Usage("a coil takes on or off")),
        },
        (Table::Coil, _) => Err(Error::Usage("one coil at a time")),
        (Table::Holding, values) => {
            let kind = args.kind.and_then(|kind| kind.encoding).unwrap_or(Encoding::U16);
            let mut registers = Vec::new();
            for text in values {
                let point = notation::nameless(table, address, kind, args.order);
                let value = value_for(Some(&point), &text.as_str().into())
                    .ok_or(Error::Usage("a value is a number or a text"))?;
                let encoded = encode(&point, &value)?;
                registers.extend(encoded);
            }
            within(address, registers.len())?;
            Ok(Question::Write { address, registers })
        }
        (Table::Input | Table::Discrete, _) => Err(Error::Usage("only holding registers and coils can be written")),
    }
}

/// Whether so many registers fit behind `address` and into one request.
fn within(address: u16, registers: usize) -> Result<(), Error> {
    if registers > MAX_REGISTERS {
        return Err(Error::Usage("write fewer registers: one request takes 123"));
    }
    if usize::from(address) + registers > usize::from(u16::MAX) + 1 {
        let beyond = Misread::Register("the last of these lies beyond register 65535".to_owned());
        return Err(Error::Option { option: "-r", source: beyond });
    }
    Ok(())
}

fn encode(point: &curb_source::ModbusPoint, value: &Value) -> Result<Vec<u16>, Error> {
    let encoded = curb_source::encode(point, value, None);
    let encoded =
        encoded.map_err(|error| Error::Option { option: "the value", source: Misread::Register(error.to_string()) })?;
    // A half of a register cannot be written without knowing the other.
    if encoded.mask.is_some() { Err(Error::Usage("whole registers only: -t u16")) } else { Ok(encoded.registers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_called_not_written() {
        let head = |outcome: Outcome| told_raw(Some(&outcome)).map_err(|refusal| not_done(&refusal.word));
        assert_eq!(head(Outcome::Failed(curb_model::Reason::Timeout)), Err("not confirmed"));
        assert_eq!(head(Outcome::Exception(2)), Err("not written"));
        assert_eq!(head(Outcome::Unusable("no such file".to_owned())), Err("not written"));
        assert_eq!(head(Outcome::Done), Ok(Proof::Echo));
    }

    #[test]
    fn registers_are_written_only_where_registers_are() {
        assert!(within(65_534, 2).is_ok() && within(0, 123).is_ok());
        assert!(within(65_535, 2).is_err() && within(65_534, 3).is_err() && within(0, 124).is_err());
    }
}
