//! `curb write DEVICE --setting NAME VALUE`: a setting that wears its device with each write, once.
//!
//! The config is the grant: the setting stands in it with this very value (`settings` of a device with a profile, or an entry
//! of `setup` with `by_hand`). What stands in the device already is not written again, and each write is counted in the state
//! folder before it is sent, so that somebody who wonders about a worn-out memory finds a number.
//!
//! Deliberately absent: a way beside the daemon. Settings are for the day on which a cabinet is put into service.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use curb_durable::File;
use curb_model::{Name, Value};
use curb_source::{Outcome, Probe, Question};
use curb_wire::command::{Proof, Refusal};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::super::args::WriteArgs;
use super::super::line::{self, Line};
use super::super::notation::both;
use super::super::read::as_registers;
use super::super::target::{Device, Known};
use super::super::{Error, trouble};
use super::{Kept, encode, not_done, told_raw};
use crate::cli::{FINE, FOUND};
use crate::config::ByHand;
use crate::field::{json_value, value_for};

/// The count's file in the state folder.
const FILE: &str = "setting-writes";

/// The version of its form.
const VERSION: u32 = 1;

/// How often it is read back before it is called another one.
const READ_BACK_TRIES: u32 = 3;

/// The rest between: a memory of this kind takes some milliseconds to be written. Guessed at ten times that.
const READ_BACK_REST: Duration = Duration::from_millis(100);

/// What came of it, and how often it was written from here.
#[derive(Debug)]
enum Came {
    /// It stood there, and was not touched.
    Stood(Option<u64>),
    /// Whether it stands there already could not be read, so it was not touched.
    Unread(String),
    /// It was written: as what, as the record tells it.
    Written(Result<Proof, Refusal>, Option<u64>),
}

/// Writes it.
pub(super) async fn run(args: &WriteArgs, name: &str, known: &Known, out: &mut impl Write) -> Result<u8, Error> {
    let [text] = args.values.as_slice() else { return Err(Error::Usage("a setting takes one value")) };
    let Device { bus, name: device_name, device, .. } = known.device(&args.target, Some(&args.line))?;
    let by_hand = granted(known, &device_name, name)?;
    let value = value_for(Some(&by_hand.lies), &text.as_str().into());
    let value = value.ok_or(Error::Usage("a value is a number or a text"))?;
    if encode(&by_hand.lies, &value)? != by_hand.registers {
        let why = format!("the config gives {name} of {device_name} another value: change it there first");
        return Err(Error::NotGranted(why));
    }
    let run_dir = super::super::run_dir(&args.line, known);
    line::needs_no_daemon(&run_dir, known.state())?;
    let line = Line::to(&bus, run_dir)?;
    let timeout = args.line.timeout.or(device.timeout);
    let probe = |question| Probe { unit: device.unit_id, question, settings: None, timeout, hold: Duration::ZERO };
    let came = write(args, known, by_hand, &value, &line, probe).await;
    line.close().await;
    let came = came?;
    let lies = both(by_hand.lies.table, by_hand.lies.address);
    let place = format!("{} unit {}  {lies}", bus.label, device.unit_id);
    print(args, &format!("{device_name} {name}"), &place, &value, &came, out)?;
    Ok(if matches!(came, Came::Unread(_) | Came::Written(Err(_), _)) { FOUND } else { FINE })
}

fn granted<'a>(known: &'a Known, device: &Name, name: &str) -> Result<&'a ByHand, Error> {
    let by_hand = &known.settings()?.by_hand;
    let of_device = || by_hand.iter().filter(|one| one.lies.point.name.owner() == device);
    of_device().find(|one| one.lies.point.name.point().as_str() == name).ok_or_else(|| {
        let names: Vec<String> = of_device().map(|one| one.lies.point.name.point().to_string()).collect();
        let has = if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) };
        Error::NotGranted(format!(
            "the config of {device} gives no setting {name} that is for the hand: settings.{name} = VALUE, if its profile \
             says eeprom{has}"
        ))
    })
}

async fn write(
    args: &WriteArgs,
    known: &Known,
    ByHand { lies, registers }: &ByHand,
    value: &Value,
    line: &Line,
    probe: impl Fn(Question) -> Probe,
) -> Result<Came, Error> {
    let (address, quantity) = lies.span();
    let read = Question::Read { table: lies.table, address, quantity };
    let full_name = lies.point.name.to_string();
    let before = line.probe(probe(read.clone())).await?.outcome;
    if let Outcome::Unusable(why) = before {
        return Err(Error::Unusable(why));
    }
    if let Some(why) = unread(&before) {
        return Ok(Came::Unread(why));
    }
    let count = Count::load(known.state());
    if as_registers(&before).as_ref() == Some(registers) {
        return Ok(Came::Stood(count.writes.get(&full_name).copied()));
    }
    let command = format!("write --setting {} {}", lies.point.name.owner(), lies.point.name.point());
    let kept = Kept::note(args, known, &command, None, Some(value.clone())).await?;
    let count = match &kept {
        Kept::Spool(_) => Some(count.one_more(known.state(), &full_name)?),
        Kept::Beside | Kept::Nowhere => None,
    };
    let put = match registers.as_slice() {
        [bit] if lies.table.is_bits() => Question::WriteCoil { address, on: *bit != 0 },
        words => Question::Write { address, registers: words.to_vec() },
    };
    let sent = line.probe(probe(put)).await?.outcome;
    let result = match told_raw(Some(&sent)) {
        Ok(_) => read_back(line, probe(read), registers).await?,
        refused => refused,
    };
    kept.finish(|| result.clone());
    Ok(Came::Written(result, count))
}

async fn read_back(line: &Line, read: Probe, wanted: &Vec<u16>) -> Result<Result<Proof, Refusal>, Error> {
    let mut refusal = Refusal { word: String::new(), detail: String::new() };
    for attempt in 0..READ_BACK_TRIES {
        if attempt > 0 {
            sleep(READ_BACK_REST).await;
        }
        let outcome = line.probe(read.clone()).await?.outcome;
        match as_registers(&outcome) {
            Some(found) if found == *wanted => return Ok(Ok(Proof::ReadBack)),
            found => refusal = not_read_back(found.is_some(), &trouble(&outcome).unwrap_or_default()),
        }
    }
    Ok(Err(refusal))
}

/// Why what was written is not known to stand there; whether anything was read, or else why not.
fn not_read_back(read: bool, trouble: &str) -> Refusal {
    let (word, detail) = if read {
        ("differs", "the device says yes, and another value stands there".to_owned())
    } else {
        ("unconfirmed", format!("it cannot be read back: {trouble}"))
    };
    Refusal { word: word.to_owned(), detail }
}

/// Why it is not known what stands there, if another try may tell. A device that has no such function or register to read
/// never will; one that is busy, or behind a gateway that does not reach it, may.
fn unread(before: &Outcome) -> Option<String> {
    let is_known = as_registers(before).is_some() || matches!(before, Outcome::Exception(1..=3));
    (!is_known).then(|| trouble(before).unwrap_or_else(|| "an answer of another kind".to_owned()))
}

fn print(
    args: &WriteArgs,
    what: &str,
    place: &str,
    value: &Value,
    came: &Came,
    out: &mut impl Write,
) -> Result<(), Error> {
    let value = json_value(value);
    let count = match came {
        Came::Stood(count) | Came::Written(_, count) => *count,
        Came::Unread(_) => None,
    };
    if args.line.json {
        let (result, why) = match came {
            Came::Stood(_) => ("stood", None),
            Came::Unread(why) => ("not-read", Some(why)),
            Came::Written(Ok(_), _) => ("written", None),
            Came::Written(Err(refusal), _) => (refusal.word.as_str(), Some(&refusal.detail)),
        };
        let document = serde_json::json!({
            "v": 1, "setting": what, "value": value, "result": result, "why": why, "writes": count,
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let worn = match count {
        Some(count) => format!("each write wears the device: {count} from this hub"),
        None => "each write wears the device; this one is not counted".to_owned(),
    };
    match came {
        Came::Stood(_) => writeln!(out, "{what} = {value} stands there already: not written")?,
        Came::Written(Ok(_), _) => writeln!(out, "{what} = {value}  (read back; {worn})")?,
        Came::Unread(why) => {
            writeln!(out, "{what} ({place}) was not written: the device could not be read first ({why})")?;
        }
        Came::Written(Err(Refusal { word, detail }), _) => {
            writeln!(out, "{what} ({place}) was {}: {detail}; {worn}", not_done(word))?;
        }
    }
    Ok(())
}

/// How often each setting was written from this hub: `{"v":1,"writes":{"tracer/battery-type":3}}`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Count {
    v: u32,
    writes: BTreeMap<String, u64>,
}

impl Count {
    /// One that cannot be read begins anew: it is for people, and nothing depends on it.
    fn load(state: &Path) -> Self {
        let read = File::new(state.join(FILE)).read().ok().flatten();
        let count: Option<Self> = read.and_then(|read| serde_json::from_slice(&read.bytes).ok());
        count.filter(|count| count.v == VERSION).unwrap_or_default()
    }

    /// Durable when this returns: how many there are now.
    fn one_more(mut self, state: &Path, name: &str) -> Result<u64, Error> {
        self.v = VERSION;
        let writes = self.writes.entry(name.to_owned()).or_default();
        *writes += 1;
        let writes = *writes;
        let bytes = serde_json::to_vec(&self).expect("text keys and whole numbers always serialize");
        File::new(state.join(FILE)).write(&bytes).map_err(Error::Uncounted)?;
        Ok(writes)
    }
}

#[cfg(test)]
mod tests {
    use curb_model::Reason;

    use super::*;

    #[test]
    fn a_setting_is_written_only_where_it_is_known_what_stands_there_or_that_it_never_can_be() {
        let check = |before: Outcome, known: bool| assert_eq!(unread(&before).is_none(), known, "{before:?}");
        check(Outcome::Registers(vec![3]), true);
        check(Outcome::Bits(vec![true]), true);
        check(Outcome::Exception(2), true);
        for reason in [Reason::Timeout, Reason::Crc, Reason::Framing, Reason::Port, Reason::Decode] {
            check(Outcome::Failed(reason), false);
        }
        check(Outcome::Exception(6), false);
        check(Outcome::Exception(11), false);
        check(Outcome::Done, false);
    }

    #[test]
    fn only_what_was_read_back_differs() {
        assert_eq!(not_read_back(true, "").word, "differs");
        assert_eq!(not_read_back(false, "no answer").word, "unconfirmed");
    }

    #[test]
    fn writes_are_counted_for_each_setting() {
        let folder = tempfile::tempdir().unwrap();
        let one_more = |name: &str| Count::load(folder.path()).one_more(folder.path(), name).unwrap();
        assert_eq!((one_more("a/x"), one_more("a/x"), one_more("a/y")), (1, 2, 1));
        std::fs::remove_file(folder.path().join(format!("{FILE}.previous"))).unwrap();
        std::fs::write(folder.path().join(FILE), b"torn").unwrap();
        assert_eq!(one_more("a/x"), 1, "what is torn begins anew");
    }
}
