//! `[device.*]` with `decode`: a device that talks by itself or when it is asked, and what is taken from its frames.

use std::error::Error as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use curb_model::{PointName, ValueType};
use curb_source::{
    Bits, Checksum, ChecksumKind, Conversion, Decode, DeviceConfig, Encoding, Half, Order, Pattern, Place, Request,
    STALE_AFTER, TalkerDevice, TalkerPoint,
};

use super::Part;
use super::device::{EVERY, EVERY_BOUNDS, TIMEOUT};
use super::point::{At, Raw, value_type};
use crate::config::notation;
use crate::config::problem::{Misfit, did_you_mean};
use crate::config::report::Report;
use crate::config::schema;

/// Talkers speak at most ten times a second.
const STALE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);

/// How long an answer may take, where the request says nothing: sensors that measure when they are asked take some
/// hundred milliseconds.
const ANSWER: Duration = Duration::from_millis(500);

/// Bytes of a request at most; those of sensors have ten.
const REQUEST: usize = 256;

/// Bytes that a check sum does not cover, at most: as many as the longest frame with a mark has.
const BESIDE: u16 = 4096;

/// What a frame holds, and the key of a point that says where its value stands in it.
const PLACES: [(schema::Decode, &str); 5] = [
    (schema::Decode::Csv, "column"),
    (schema::Decode::Json, "pointer"),
    (schema::Decode::Regex, "group"),
    (schema::Decode::Nmea, "field"),
    (schema::Decode::Binary, "at"),
];

/// The keys of points that only talkers have.
pub(super) const PLACE_KEYS: [&str; 5] = ["column", "pointer", "group", "field", "at"];

/// Reads the device and its points.
pub(super) fn build(part: &Part<'_, schema::Device>, names: &[PointName], report: &mut Report) -> Option<DeviceConfig> {
    let raw = &part.raw;
    let asked = ["unit_id", "every", "timeout", "min_gap", "max_registers", "max_bits", "max_hole", "mask_write"];
    for field in asked.into_iter().chain(["write_with", "setup", "profile", "points", "settings"]) {
        let why = "no such key: a device with decode talks by itself, or when it is asked by request = { send, every, timeout }";
        part.misplaced(&[field], why, report);
    }
    let stale_after = part.duration("stale_after", raw.stale_after.as_ref(), &STALE, report);
    let is_asked = part.value(&["request"]).is_some();
    if is_asked {
        part.misplaced(&["stale_after"], "no such key: a device that is asked is bad when it does not answer", report);
    }
    let request = raw.request.as_ref().map(|request| self::request(part, request, report));
    let kind = raw.decode?;
    let own =
        [("separator", schema::Decode::Csv), ("pattern", schema::Decode::Regex), ("checksum", schema::Decode::Binary)];
    for (field, of) in own.into_iter().filter(|(_, of)| *of != kind) {
        part.misplaced(&[field], &format!("no such key: it goes with decode = {:?}", of.as_str()), report);
    }
    let decode = decode(part, kind, report);
    let groups = match &decode {
        Some(Decode::Regex(pattern)) => Some(pattern.names().map(str::to_owned).collect()),
        _ => None,
    };
    let groups: Option<Vec<String>> = groups;
    let point = |name| {
        let at = At::point(part, name)?;
        point(&at, name, kind, groups.as_deref(), report)
    };
    let points = names.iter().filter_map(point).collect();
    let request = match request {
        Some(request) => Some(request?),
        None if is_asked => return None,
        None => None,
    };
    let stale_after = stale_after.unwrap_or(STALE_AFTER);
    Some(DeviceConfig::Talker(TalkerDevice { decode: decode?, stale_after, request, points }))
}

fn decode(part: &Part<'_, schema::Device>, kind: schema::Decode, report: &mut Report) -> Option<Decode> {
    match kind {
        schema::Decode::Csv => {
            let one = |text: &str| {
                let mut characters = text.chars();
                let separator = characters.next().filter(|_| characters.next().is_none());
                separator.ok_or_else(|| Misfit::expected("one character, such as \";\"; \" \" is any run of blanks"))
            };
            let separator = part.notation(&["separator"], part.raw.separator.as_deref(), one, report);
            let stands = part.value(&["separator"]).is_some();
            Some(Decode::Csv { separator: if stands { separator? } else { ',' } })
        }
        schema::Decode::Json => Some(Decode::Json),
        schema::Decode::Regex => {
            let expected = "a regular expression with named groups: pattern = '^R(?<range>\\d{4})$'";
            part.missing(&["pattern"], Misfit::expected(expected), report);
            part.notation(&["pattern"], part.raw.pattern.as_deref(), pattern, report).map(Decode::Regex)
        }
        schema::Decode::Nmea => Some(Decode::Nmea),
        schema::Decode::Binary => {
            let checksum = part.raw.checksum.as_ref().map(|checksum| self::checksum(part, checksum, report));
            match checksum {
                Some(checksum) => Some(Decode::Binary { checksum: Some(checksum?) }),
                None if part.value(&["checksum"]).is_some() => None,
                None => Some(Decode::Binary { checksum: None }),
            }
        }
    }
}

fn pattern(text: &str) -> Result<Pattern, Misfit> {
    let pattern = Pattern::new(text).map_err(|error| {
        // The last line says what; those before it draw where.
        let detail = error.source().map(ToString::to_string).unwrap_or_default();
        let detail = detail.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Misfit::expected("a regular expression").help(detail)
    })?;
    if pattern.names().next().is_none() {
        return Err(Misfit::expected("a regular expression with a named group").help("(?<range>\\d+) is one"));
    }
    Ok(pattern)
}

fn checksum(part: &Part<'_, schema::Device>, raw: &schema::Checksum, report: &mut Report) -> Option<Checksum> {
    let expected = "how it is computed: kind = \"sum8\", \"sum16\", \"xor8\", \"lrc8\" or \"crc16-modbus\"";
    part.missing(&["checksum", "kind"], Misfit::expected(expected), report);
    let mut beside = |field, number: Option<i64>, what| {
        let read = part.number(&["checksum", field], number, 0..=BESIDE, what, report);
        if number.is_some() { read.map(usize::from) } else { Some(0) }
    };
    let skip = beside("skip", raw.skip, "bytes before those that are covered");
    let behind = beside("behind", raw.behind, "bytes behind the check sum");
    let kind = raw.kind.map(|kind| match kind {
        schema::ChecksumKind::Sum8 => ChecksumKind::Sum8,
        schema::ChecksumKind::Sum16 => ChecksumKind::Sum16,
        schema::ChecksumKind::Xor8 => ChecksumKind::Xor8,
        schema::ChecksumKind::Lrc8 => ChecksumKind::Lrc8,
        schema::ChecksumKind::Crc16Modbus => ChecksumKind::Crc16Modbus,
    });
    let order = match raw.order {
        None | Some(schema::Order::Abcd) => Order::Abcd,
        Some(schema::Order::Dcba) => Order::Dcba,
        Some(schema::Order::Badc | schema::Order::Cdab) => {
            let expected = "\"ABCD\", most significant byte first, or \"DCBA\"";
            part.wrong(&["checksum", "order"], Misfit::expected(expected), report);
            return None;
        }
    };
    Some(Checksum { kind: kind?, skip: skip?, behind: behind?, order })
}

fn request(part: &Part<'_, schema::Device>, raw: &schema::Request, report: &mut Report) -> Option<Request> {
    part.missing(&["request", "send"], Misfit::expected("what is sent: send = \"R?\\r\" or \"0xFF0186\""), report);
    let bytes = part.notation(&["request", "send"], raw.send.as_deref(), |text| notation::bytes(text, REQUEST), report);
    let mut duration = |field, text: Option<&schema::Quantity>, bounds, default| {
        let text = text.map(|text| text.0.as_str());
        let read = part.notation(&["request", field], text, |text| notation::duration(text, bounds), report);
        if text.is_some() { read } else { Some(default) }
    };
    let every = duration("every", raw.every.as_ref(), &EVERY_BOUNDS, EVERY);
    let timeout = duration("timeout", raw.timeout.as_ref(), &TIMEOUT, ANSWER);
    Some(Request { bytes: bytes?, every: every?, timeout: timeout? })
}

/// A value of a frame. `groups` are those of the pattern, where that is right.
fn point(
    at: &At<'_, '_>,
    name: &PointName,
    decode: schema::Decode,
    groups: Option<&[String]>,
    report: &mut Report,
) -> Option<TalkerPoint> {
    let raw = at.raw;
    let (_, own) = PLACES.into_iter().find(|(of, _)| *of == decode)?;
    let why = format!("no such key: with decode = {:?} a point has {own}", decode.as_str());
    for field in PLACE_KEYS.into_iter().filter(|field| *field != own).chain(["register", "access"]) {
        at.misplaced(&[field], &why, report);
    }
    at.misplaced(&["byte", "radix", "exponent", "write"], "no such key: only points in registers have it", report);
    at.misplaced(&["every"], "no such key: all points come with their frame", report);
    if decode == schema::Decode::Binary {
        return bytes(at, name, report);
    }
    at.misplaced(&["order", "bits"], "no such key: the value stands there as text", report);
    let place = match decode {
        schema::Decode::Csv => {
            at.missing("column", "a column of the line, from 1: column = 1", report);
            at.number("column", raw.column, 1..=1_000_u16, "a column", report).map(Place::Column)
        }
        schema::Decode::Json => {
            at.missing("pointer", "where the value stands: pointer = \"/sensors/0/pm25\"", report);
            at.notation("pointer", raw.pointer.as_deref(), notation::pointer, report).map(Place::Pointer)
        }
        schema::Decode::Regex => {
            at.missing("group", "a named group of the pattern: group = \"range\"", report);
            at.notation("group", raw.group.as_deref(), |text| group(text, groups), report).map(Place::Group)
        }
        schema::Decode::Nmea => {
            at.missing("field", "a sentence and a field of it, from 1: field = \"WIMWV:1\"", report);
            let field = at.notation("field", raw.field.as_deref(), notation::nmea_field, report);
            field.map(|(sentence, field)| Place::Field { sentence, field })
        }
        schema::Decode::Binary => None,
    };
    at.missing("type", notation::TEXT_TYPES, report);
    let kind = at.notation("type", raw.r#type.as_deref(), notation::text_type, report);
    let conversion = at.conversion(kind.map(Raw::of_text), report);
    let value_type = if conversion.names.is_empty() { kind? } else { ValueType::Text };
    Some(TalkerPoint { point: at.describe(name, value_type, report), place: place?, conversion })
}

/// A value in the bytes of a binary frame.
fn bytes(at: &At<'_, '_>, name: &PointName, report: &mut Report) -> Option<TalkerPoint> {
    at.missing("at", "the byte that the value begins at, from 0: at = 4", report);
    let offset = at.number("at", at.raw.at, 0..=BESIDE - 1, "a byte of the frame, counted from 0,", report);
    at.missing("type", notation::TYPES, report);
    let encoding = at.notation("type", at.raw.r#type.as_deref(), notation::encoding, report)?;
    // A bool is one byte; a bit of it is a bit of that.
    let whole = if encoding == Encoding::Bool { Encoding::U8(Half::Low) } else { encoding };
    let bits = at.bits(whole, report).map(|(_, bits)| bits);
    if encoding == Encoding::Bool && bits.is_some_and(|bits: Bits| bits.width > 1) {
        at.wrong(&["bits"], Misfit::expected("one bit, since the type is bool"), report);
    }
    let encoding = if bits.is_some() { whole } else { encoding };
    let order = at.order();
    if matches!(order, Order::Badc | Order::Cdab) && !matches!(encoding.bytes(), 4 | 8) {
        let misfit = Misfit::expected("\"ABCD\", most significant byte first, or \"DCBA\"");
        at.wrong(&["order"], misfit.help("the mixed orders are for values of 4 and 8 bytes"), report);
    }
    let conversion: Conversion = at.conversion(Some(Raw::of_bytes(encoding, bits)), report);
    let point = at.describe(name, value_type(encoding, bits, &conversion), report);
    Some(TalkerPoint { point, place: Place::Bytes { at: offset?.into(), encoding, order, bits }, conversion })
}

fn group(text: &str, groups: Option<&[String]>) -> Result<String, Misfit> {
    match groups {
        Some(groups) if !groups.iter().any(|group| group == text) => {
            let expected = format!("a named group of the pattern: {}", groups.join(", "));
            Err(Misfit { expected, help: did_you_mean(text, groups.iter().map(String::as_str)) })
        }
        Some(_) | None => Ok(text.to_owned()),
    }
}
