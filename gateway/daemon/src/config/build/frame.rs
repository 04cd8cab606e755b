//! `frame` of a bus: what parts the frames of its talker.

use std::ops::RangeInclusive;
use std::time::Duration;

use curb_source::{Framing, LengthPrefix, Order};

use super::Part;
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// Bytes of a talker's frame at most, where the bus says nothing: three times the longest sentence of the sensors on
/// streets today (NMEA 0183 has 82).
const MAX_FRAME: usize = 256;

/// Bytes of a mark at most; sensors have one or two.
const MARK: usize = 8;

/// A silence shorter than a few characters at 9,600 bit/s parts single bytes; after five seconds a frame is stale.
const SILENCE: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_secs(5);

/// The keys by which a frame ends, of which it has one, and what else goes with each.
const KINDS: [(&str, &[&str]); 5] = [
    ("delimiter", &["max"]),
    ("stop", &["start", "max"]),
    ("length", &["start"]),
    ("length_at", &["start", "length_bytes", "length_order", "length_extra", "max"]),
    ("silence", &["max"]),
];

/// What the bus says. `None` when it does not fit and is in the report.
pub(super) fn build(part: &Part<'_, schema::Bus>, report: &mut Report) -> Option<Framing> {
    let frame = part.raw.frame.as_ref()?;
    let mut stands = KINDS.iter().filter(|(key, _)| part.value(&["frame", key]).is_some());
    let Some((kind, others)) = stands.next() else {
        let expected = "what parts frames: delimiter = \"\\n\", or start and stop, length, length_at, silence";
        part.missing(&["frame", "delimiter"], Misfit::expected(expected), report);
        return None;
    };
    if let Some((second, _)) = stands.next() {
        let expected = format!("one of delimiter, stop, length, length_at and silence: {kind} is there already");
        part.wrong(&["frame", second], Misfit::expected(expected), report);
        return None;
    }
    for field in KINDS.iter().flat_map(|(_, others)| *others).filter(|field| !others.contains(field)) {
        part.misplaced(&["frame", field], &format!("no such key in a frame with {kind}"), report);
    }
    match *kind {
        "delimiter" => {
            let max = max(part, u16::MAX.into(), report);
            let delimiter = mark(part, "delimiter", frame.delimiter.as_deref(), report);
            Some(Framing::Delimiter { delimiter: delimiter?, max: max? })
        }
        "stop" => {
            let max = max(part, Framing::MOST_WITH_MARK, report);
            part.missing(&["frame", "start"], Misfit::expected("the mark before a frame: start = \"<\""), report);
            let start = mark(part, "start", frame.start.as_deref(), report);
            let stop = mark(part, "stop", frame.stop.as_deref(), report);
            let (start, stop) = (start?, stop?);
            if start == stop {
                let misfit = Misfit::expected("a mark that differs from start");
                part.wrong(&["frame", "stop"], misfit.help("where one mark parts frames, it is the delimiter"), report);
                return None;
            }
            Some(Framing::Marks { start, stop, max: max? })
        }
        "length" => {
            let start = start(part, report)?;
            let bounds = start.len() + 1..=Framing::MOST_WITH_MARK;
            let what = "bytes in a frame, its mark included,";
            let len = part.number(&["frame", "length"], frame.length, small(&bounds), what, report)?;
            Some(Framing::Fixed { start, len: len.into() })
        }
        "length_at" => length(part, frame, report),
        _ => {
            let max = max(part, u16::MAX.into(), report);
            let silence = frame.silence.as_ref().map(|text| text.0.as_str());
            let read = |text: &str| notation::duration(text, &SILENCE);
            let gap = part.notation(&["frame", "silence"], silence, read, report);
            Some(Framing::Silence { gap: gap?, max: max? })
        }
    }
}

fn length(part: &Part<'_, schema::Bus>, frame: &schema::Frame, report: &mut Report) -> Option<Framing> {
    let max = max(part, Framing::MOST_WITH_MARK, report);
    let start = start(part, report);
    let width = part.number(&["frame", "length_bytes"], frame.length_bytes, 1..=2_u8, "bytes of the length", report);
    let width = if frame.length_bytes.is_some() { width? } else { 1 };
    let extra = part.number(&["frame", "length_extra"], frame.length_extra, 0..=255_u16, "further bytes", report);
    let extra = if frame.length_extra.is_some() { extra? } else { 0 };
    let order = match frame.length_order {
        None | Some(schema::Order::Abcd) => Order::Abcd,
        Some(schema::Order::Dcba) => Order::Dcba,
        Some(schema::Order::Badc | schema::Order::Cdab) => {
            let expected = "\"ABCD\", most significant byte first, or \"DCBA\"";
            part.wrong(&["frame", "length_order"], Misfit::expected(expected), report);
            return None;
        }
    };
    let start = start?;
    let bounds = start.len()..=255;
    let what = "the byte that the length begins at, behind the mark,";
    let at = part.number(&["frame", "length_at"], frame.length_at, small(&bounds), what, report)?;
    let (at, width, max) = (usize::from(at), usize::from(width), max?);
    if max < at + width {
        let misfit = Misfit::expected(format!("room for the length, which ends at byte {}", at + width));
        part.wrong(&["frame", "max"], misfit, report);
        return None;
    }
    Some(Framing::Length(LengthPrefix { start, at, width, order, extra: extra.into(), max }))
}

fn max(part: &Part<'_, schema::Bus>, most: usize, report: &mut Report) -> Option<usize> {
    let written = part.raw.frame.as_ref()?.max;
    let max = part.number(&["frame", "max"], written, small(&(1..=most)), "bytes in a frame", report);
    if written.is_some() { max.map(usize::from) } else { Some(MAX_FRAME) }
}

/// A mark that may be left out.
fn start(part: &Part<'_, schema::Bus>, report: &mut Report) -> Option<Vec<u8>> {
    match part.raw.frame.as_ref()?.start.as_deref() {
        None if part.value(&["frame", "start"]).is_none() => Some(Vec::new()),
        start => mark(part, "start", start, report),
    }
}

fn mark(part: &Part<'_, schema::Bus>, field: &str, text: Option<&str>, report: &mut Report) -> Option<Vec<u8>> {
    part.notation(&["frame", field], text, |text| notation::bytes(text, MARK), report)
}

/// Bounds as the number type that settings are read in.
fn small(bounds: &RangeInclusive<usize>) -> RangeInclusive<u16> {
    let small = |bound: usize| u16::try_from(bound).unwrap_or(u16::MAX);
    small(*bounds.start())..=small(*bounds.end())
}
