//! `curb bus play`: what `curb bus dump` has seen, decoded again.
//!
//! [`Player`] pairs requests with answers (pure): over the daemon's own frames by their direction, over overheard ones by
//! their order. With the config it prints readings, without it registers; and each thing that was wrong.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::path::Path;

use curb_model::{Access, Sample};
use curb_source::{DeviceConfig, Direction, ModbusDevice, Table};
use serde::Serialize;

use super::Error;
use super::args::PlayArgs;
use super::frames::{Check, Frame};
use super::notation::words;
use crate::cli::{FINE, FOUND};
use crate::field::json_value;

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    unit: u8,
    pdu: Vec<u8>,
}

/// What a dump tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A point of the config.
    Reading {
        point: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<serde_json::Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        quality: String,
    },
    /// Registers, or bits as 0 and 1.
    Registers { unit_id: u8, register: String, raw: Vec<String> },
    /// A request that is no read, and was answered.
    Answered { unit_id: u8, request: String },
    /// Something that should not be.
    Wrong { what: String },
}

/// Pairs requests with answers.
#[derive(Debug, Default)]
pub(crate) struct Player<'a> {
    devices: BTreeMap<(&'a str, u8), &'a ModbusDevice>,
    /// By bus.
    waiting: BTreeMap<String, Request>,
}

impl<'a> Player<'a> {
    /// A player that knows these devices, by bus and unit.
    pub(crate) fn new(devices: impl IntoIterator<Item = (&'a str, &'a ModbusDevice)>) -> Self {
        let devices = devices.into_iter().map(|(bus, device)| ((bus, device.unit_id), device));
        Self { devices: devices.collect(), waiting: BTreeMap::new() }
    }

    /// The next frame, and what it tells.
    pub(crate) fn take(&mut self, frame: &Frame) -> Vec<Event> {
        let wrong = |what: String| Event::Wrong { what };
        if frame.check == Check::None {
            // What a talker says has no registers, and is no fault.
            return Vec::new();
        }
        let Some((unit, pdu)) = frame.pdu() else {
            // Whoever was asked has said something.
            self.waiting.remove(&frame.bus);
            let what = if frame.check == Check::Wrong { "wrong check sum" } else { "cut off" };
            return vec![wrong(format!("{what}: {} bytes", frame.bytes.len()))];
        };
        let waiting = self.waiting.remove(&frame.bus);
        let may_answer = frame.direction == Direction::Received;
        match waiting {
            Some(request) if may_answer && request.unit == unit && answers(&request.pdu, pdu) => {
                self.answer(&frame.bus, &request, pdu)
            }
            waiting => {
                let mut events: Vec<Event> = Vec::new();
                events.extend(waiting.map(|request| wrong(format!("no answer to {}", request.text()))));
                let request = Request { unit, pdu: pdu.to_vec() };
                if is_request(pdu) {
                    self.waiting.insert(frame.bus.clone(), request);
                } else {
                    events.push(wrong(format!("an answer that nobody waits for, from unit {unit}")));
                }
                events
            }
        }
    }

    fn answer(&self, bus: &str, request: &Request, pdu: &[u8]) -> Vec<Event> {
        if let [function, code] = *pdu
            && function & 0x80 != 0
        {
            let why = super::exception(code);
            return vec![Event::Wrong { what: format!("{} is refused with exception {code}: {why}", request.text()) }];
        }
        let Some((table, first, quantity)) = request.read() else {
            return vec![Event::Answered { unit_id: request.unit, request: request.text() }];
        };
        let data = pdu.get(2..).unwrap_or_default();
        let registers: Vec<u16> = if table.is_bits() {
            let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
            bits.take(usize::from(quantity)).collect()
        } else {
            data.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
        };
        let device = self.devices.get(&(bus, request.unit));
        let readings: Vec<Event> = device.map_or_else(Vec::new, |device| readings(device, table, first, &registers));
        if !readings.is_empty() {
            return readings;
        }
        let raw = registers.iter().map(|word| if table.is_bits() { word.to_string() } else { words(&[*word]) });
        vec![Event::Registers { unit_id: request.unit, register: place(table, first, quantity), raw: raw.collect() }]
    }
}

/// The device's points that lie within what was read.
fn readings(device: &ModbusDevice, table: Table, first: u16, registers: &[u16]) -> Vec<Event> {
    let here = |point: &&curb_source::ModbusPoint| point.table == table && point.access == Access::Read;
    let within = device.points.iter().filter(here).filter_map(|point| {
        let (at, span) = point.span();
        let offset = usize::from(at.checked_sub(first)?);
        Some((point, registers.get(offset..offset + usize::from(span))?))
    });
    let event = |(point, own): (&curb_source::ModbusPoint, &[u16])| {
        let sample = curb_source::decode(point, own);
        let quality = match (&sample, sample.reason()) {
            (Sample::Uncertain(..), Some(reason)) => format!("uncertain:{reason}"),
            (Sample::Bad(_), Some(reason)) => format!("bad:{reason}"),
            _ => "good".to_owned(),
        };
        let unit = point.point.unit.as_deref().map(ToOwned::to_owned);
        Event::Reading { point: point.point.name.to_string(), value: sample.value().map(json_value), unit, quality }
    };
    within.map(event).collect()
}

impl Request {
    /// What is read, if anything is.
    fn read(&self) -> Option<(Table, u16, u16)> {
        let [function, a, b, c, d] = *self.pdu.as_slice() else { return None };
        let table = match function {
            1 => Table::Coil,
            2 => Table::Discrete,
            3 => Table::Holding,
            4 => Table::Input,
            _ => return None,
        };
        Some((table, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    fn text(&self) -> String {
        let unit = self.unit;
        match (self.read(), self.pdu.as_slice()) {
            (Some((table, first, quantity)), _) => format!("unit {unit} {}", place(table, first, quantity)),
            (None, [5, a, b, ..]) => format!("unit {unit} write coil:{}", u16::from_be_bytes([*a, *b])),
            (None, [6 | 16 | 22, a, b, ..]) => format!("unit {unit} write holding:{}", u16::from_be_bytes([*a, *b])),
            (None, [function, ..]) => format!("unit {unit} function {function}"),
            (None, []) => format!("unit {unit}"),
        }
    }
}

fn place(table: Table, first: u16, quantity: u16) -> String {
    let last = u32::from(first) + u32::from(quantity.max(1)) - 1;
    if quantity <= 1 { format!("{}:{first}", table.as_str()) } else { format!("{}:{first}..{last}", table.as_str()) }
}

/// Whether `pdu` may be the answer to `request`.
fn answers(request: &[u8], pdu: &[u8]) -> bool {
    let (Some(&asked), Some(&function)) = (request.first(), pdu.first()) else { return false };
    if function == asked | 0x80 {
        return pdu.len() == 2;
    }
    if function != asked {
        return false;
    }
    match function {
        1..=4 => {
            let [_, _, _, high, low] = *request else { return false };
            let quantity = usize::from(u16::from_be_bytes([high, low]));
            let len = if function <= 2 { quantity.div_ceil(8) } else { quantity * 2 };
            pdu.len() == 2 + len && pdu.get(1).is_some_and(|&count| usize::from(count) == len)
        }
        5 | 6 | 15 | 16 => pdu.len() == 5 && pdu.get(..3) == request.get(..3),
        _ => true,
    }
}

/// Whether `pdu` may be a request.
fn is_request(pdu: &[u8]) -> bool {
    match pdu {
        [1..=6, rest @ ..] => rest.len() == 4,
        [15 | 16, _, _, _, _, count, data @ ..] => data.len() == usize::from(*count),
        [15 | 16 | 0x80..=0xFF, ..] | [] => false,
        _ => true,
    }
}

/// `curb bus play`.
pub(crate) fn run(args: &PlayArgs, out: &mut impl Write) -> Result<u8, Error> {
    let text = read(&args.file)?;
    let loaded = crate::config::load(&crate::sources(&args.config));
    let settings = loaded.settings.filter(|_| !args.raw);
    let buses = settings.iter().flat_map(|settings| &settings.source.buses);
    let devices = buses.flat_map(|(bus, config)| {
        config.devices.values().filter_map(move |device| match device {
            DeviceConfig::Modbus(device) => Some((bus.as_str(), device)),
            DeviceConfig::Talker(_) => None,
        })
    });
    let mut player = Player::new(devices);
    let (mut frames, mut faults) = (0_u64, 0_u64);
    for (number, line) in (1_u64..).zip(text.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (time_us, bus, events) = match line.parse::<Frame>() {
            Ok(frame) => {
                frames += 1;
                let events = player.take(&frame);
                (frame.at_us, frame.bus, events)
            }
            Err(error) => (0, String::new(), vec![Event::Wrong { what: format!("line {number}: {error}") }]),
        };
        for event in events {
            faults += u64::from(matches!(event, Event::Wrong { .. }));
            print(args.json, time_us, &bus, &event, out)?;
        }
    }
    if !args.json {
        writeln!(out, "{frames} frames, {faults} faults")?;
    }
    Ok(if faults == 0 { FINE } else { FOUND })
}

fn read(path: &Path) -> Result<String, Error> {
    let error = |source| Error::File { path: path.to_owned(), source };
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(error)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(error)
}

fn print(json: bool, time_us: u64, bus: &str, event: &Event, out: &mut impl Write) -> Result<(), Error> {
    if json {
        #[derive(Serialize)]
        struct Entry<'a> {
            v: u32,
            time_us: u64,
            bus: &'a str,
            event: &'a Event,
        }
        serde_json::to_writer(&mut *out, &Entry { v: 1, time_us, bus, event }).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let time = format!("({}.{:06})", time_us / 1_000_000, time_us % 1_000_000);
    match event {
        Event::Reading { point, value, unit, quality } => {
            let value = value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let unit = unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
            let doubt = if quality == "good" { String::new() } else { format!("  {quality}") };
            writeln!(out, "{time} {point} = {value}{unit}{doubt}")?;
        }
        Event::Registers { unit_id, register, raw } => {
            writeln!(out, "{time} {bus} unit {unit_id} {register} = {}", raw.join(" "))?;
        }
        Event::Answered { request, .. } => writeln!(out, "{time} {bus} {request}: done")?,
        Event::Wrong { what } => writeln!(out, "{time} {bus} {}", super::red(what, super::colour()))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use curb_source::{Encoding, Order};

    use super::super::frames::crc16;
    use super::super::notation::nameless;
    use super::*;

    fn frame(direction: Direction, body: &[u8]) -> Frame {
        let bytes = [body, &crc16(body).to_le_bytes()].concat();
        Frame { at_us: 0, bus: "cabinet".to_owned(), direction, bytes, check: Check::Right, gap_us: None }
    }

    fn played(player: &mut Player<'_>, frames: &[(Direction, &[u8])]) -> Vec<Event> {
        frames.iter().flat_map(|(direction, body)| player.take(&frame(*direction, body))).collect()
    }

    const READ: &[u8] = &[3, 3, 0, 100, 0, 2];
    const ANSWER: &[u8] = &[3, 3, 4, 0x43, 0x66, 0x33, 0x33];

    #[test]
    fn requests_meet_their_answers_whoever_sent_them() {
        for from_hub in [Direction::Sent, Direction::Received] {
            let events = played(&mut Player::default(), &[(from_hub, READ), (Direction::Received, ANSWER)]);
            let raw = vec!["4366".to_owned(), "3333".to_owned()];
            assert_eq!(events, [Event::Registers { unit_id: 3, register: "holding:100..101".to_owned(), raw }]);
        }
    }

    #[test]
    fn with_a_config_registers_become_readings() {
        let mut device = ModbusDevice::new(3, Duration::from_secs(1));
        device.points.push(nameless(Table::Holding, 100, Encoding::F32, Order::Abcd));
        let mut player = Player::new([("cabinet", &device)]);
        let events = played(&mut player, &[(Direction::Sent, READ), (Direction::Received, ANSWER)]);
        let quality = "good".to_owned();
        let value = Some(230.2.into());
        assert_eq!(events, [Event::Reading { point: "bus/register".to_owned(), value, unit: None, quality }]);
    }

    #[test]
    fn what_was_wrong_is_said() {
        let check = |frames: &[(Direction, &[u8])], expected: &[&str]| {
            let events = played(&mut Player::default(), frames);
            let said: Vec<String> = events
                .into_iter()
                .map(|event| if let Event::Wrong { what } = event { what } else { format!("{event:?}") })
                .collect();
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, expected) in said.iter().zip(expected) {
                assert!(said.contains(expected), "{said}");
            }
        };
        use Direction::{Received, Sent};
        check(
            &[(Sent, READ), (Sent, READ), (Received, ANSWER)],
            &["no answer to unit 3 holding:100..101", "Registers"],
        );
        check(&[(Sent, READ), (Received, &[3, 0x83, 2])], &["exception 2"]);
        check(&[(Received, ANSWER)], &["nobody waits for"]);
        check(&[(Sent, READ), (Received, &[4, 3, 4, 1, 2, 3, 4])], &["no answer", "from unit 4"]);
        check(&[(Sent, &[3, 6, 0, 5, 0, 7]), (Received, &[3, 6, 0, 5, 0, 7])], &["Answered"]);
        let bad = Frame { check: Check::Wrong, ..frame(Received, ANSWER) };
        let mut player = Player::default();
        player.take(&frame(Sent, READ));
        assert!(matches!(player.take(&bad).as_slice(), [Event::Wrong { what }] if what.contains("check sum")));
    }
}
