//! SenML CBOR (RFC 8428, section 6): an array of maps, both of known length. Labels of RFC 8428 are its numbers, Curb's
//! own are text, as that section says. `vd` is a byte string.
//!
//! A number is the shortest of: an integer; a decimal fraction (tag 4, RFC 8949, section 3.4.4); a single; a double. Each
//! is the same double as the number in JSON, which RFC 8428 asks for. Half floats are read, and not written: decimal
//! fractions are as short for what devices measure. Units are not written: the retained table of points has them.

use std::borrow::Cow;
use std::convert::Infallible;

use minicbor::data::{IanaTag, Type};
use minicbor::decode::{Decoder, Error as Fault};
use minicbor::encode::{Encoder, Error as Never};

use super::member::{Field, Label, Members, Outgoing, number};
use super::read::{Reader, Wire};
use super::{DOCUMENT, Pack};
use crate::Error;

/// About what the first record has beside its reading, and what a reading takes. Only saves growing.
const HEADER_BYTES: usize = 128;
const RECORD_BYTES: usize = 24;

/// Places behind the point that a decimal fraction has at most. Guessed: no device scales finer.
const PLACES: usize = 9;

/// Bytes of a single and of a double, with their initial byte.
const SINGLE: usize = 5;
const DOUBLE: usize = 9;

pub(super) fn encode(pack: &Outgoing<'_>) -> Vec<u8> {
    let bytes = Vec::with_capacity(HEADER_BYTES + pack.len() * RECORD_BYTES);
    write(pack, Encoder::new(bytes)).expect("a Vec takes whatever it is given")
}

fn write(pack: &Outgoing<'_>, mut out: Encoder<Vec<u8>>) -> Result<Vec<u8>, Never<Infallible>> {
    out.array(pack.len() as u64)?;
    let mut map = Map { members: 0, body: Encoder::new(Vec::with_capacity(HEADER_BYTES + RECORD_BYTES)) };
    for record in pack.records() {
        record.write(&mut map)?;
        // The number of members stands before them.
        out.map(map.members)?;
        out.writer_mut().append(map.body.writer_mut());
        map.members = 0;
    }
    Ok(out.into_writer())
}

struct Map {
    members: u64,
    body: Encoder<Vec<u8>>,
}

impl Members for Map {
    type Error = Never<Infallible>;

    const UNITS: bool = false;

    fn member(&mut self, label: Label, field: Field<'_>) -> Result<(), Self::Error> {
        self.members += 1;
        let body = match label.number() {
            Some(number) => self.body.i8(number)?,
            None => self.body.str(label.as_str())?,
        };
        match field {
            Field::Text(text) => body.str(text)?,
            Field::Shown(text) => body.str(&text.to_string())?,
            Field::Count(count) => body.u64(count)?,
            Field::Int(int) => body.i64(int)?,
            Field::Number(x) => write_number(body, x)?,
            Field::Bool(b) => body.bool(b)?,
            Field::Octets(octets) => body.bytes(octets)?,
        };
        Ok(())
    }
}

fn write_number(body: &mut Encoder<Vec<u8>>, x: f64) -> Result<&mut Encoder<Vec<u8>>, Never<Infallible>> {
    if let Some(int) = number(x).as_i64() {
        return body.i64(int);
    }
    let decimal = decimal(x);
    let single = single(x);
    let room = if single.is_some() { SINGLE } else { DOUBLE };
    match (decimal.filter(|decimal| decimal.size() < room), single) {
        (Some(decimal), _) => body.tag(IanaTag::Decimal)?.array(2)?.i8(-decimal.places)?.i64(decimal.mantissa),
        (None, Some(single)) => body.f32(single),
        (None, None) => body.f64(x),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whether anything was lost is what is asked")]
#[expect(clippy::float_cmp, reason = "the same number to the last bit, or not")]
fn single(x: f64) -> Option<f32> {
    let single = x as f32;
    (f64::from(single) == x).then_some(single)
}

/// `mantissa` / 10^`places`.
struct Decimal {
    mantissa: i64,
    places: i8,
}

impl Decimal {
    /// Bytes: tag, array, exponent, mantissa.
    const fn size(&self) -> usize {
        let most = if self.mantissa < 0 { !self.mantissa } else { self.mantissa };
        3 + match most {
            0..=0x17 => 1,
            0x18..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        }
    }
}

/// The shortest decimal that is read as `x`, if it is short.
fn decimal(x: f64) -> Option<Decimal> {
    // Beyond, the text alone would be hundreds of digits.
    if !(1e-9..1e15).contains(&x.abs()) {
        return None;
    }
    let text = x.to_string();
    let (whole, places) = text.split_once('.')?;
    if places.len() > PLACES {
        return None;
    }
    let mantissa = format!("{whole}{places}").parse().ok()?;
    Some(Decimal { mantissa, places: i8::try_from(places.len()).ok()? })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Pack, Error> {
    let fault = |source| Error::Cbor { document: DOCUMENT, source };
    let mut input = Decoder::new(bytes);
    let mut reader = Reader::default();
    let mut left = input.array().map_err(fault)?;
    while more(&mut input, &mut left).map_err(fault)? {
        reader.push(&read_record(&mut input).map_err(fault)?)?;
    }
    if input.position() < bytes.len() {
        return Err(fault(Fault::message("bytes behind the last record").at(input.position())));
    }
    reader.finish()
}

/// Whether another element comes of an array or map that has this many left; `None`: until the break.
fn more(input: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Fault> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if input.datatype()? == Type::Break => {
            input.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn read_record<'b>(input: &mut Decoder<'b>) -> Result<Wire<'b>, Fault> {
    let mut record = Wire::default();
    let mut left = input.map()?;
    while more(input, &mut left)? {
        let Some(label) = read_label(input)? else {
            input.skip()?;
            continue;
        };
        match label {
            Label::BaseName => record.bn = Some(text(input)?),
            Label::BaseTime => record.bt = read_number(input)?.as_f64(),
            Label::Hub => record.hub = Some(text(input)?),
            Label::Run => record.run = Some(text(input)?),
            Label::Stream => record.stream = Some(text(input)?),
            Label::Seq => record.seq = Some(input.u64()?),
            Label::Read => record.read = Some(input.u64()?),
            Label::Filtered => record.filtered = Some(input.u64()?),
            Label::Refused => record.refused = Some(input.u64()?),
            Label::Name => record.n = Some(text(input)?),
            Label::Unit => record.u = Some(text(input)?),
            Label::Time => record.t = read_number(input)?.as_f64(),
            Label::HubTime => record.ht = Some(text(input)?),
            Label::Value => record.v = Some(read_number(input)?),
            Label::Bool => record.vb = Some(input.bool()?),
            Label::Text => record.vs = Some(text(input)?),
            Label::Data => record.octets = Some(input.bytes()?),
            Label::Type => record.value_type = Some(text(input)?),
        }
    }
    Ok(record)
}

fn text<'b>(input: &mut Decoder<'b>) -> Result<Cow<'b, str>, Fault> {
    input.str().map(Cow::Borrowed)
}

/// `None`: a label that is none of ours, to be passed over with its value.
fn read_label(input: &mut Decoder<'_>) -> Result<Option<Label>, Fault> {
    let mut labels = Label::ALL.iter().copied();
    if input.datatype()? == Type::String {
        let text = input.str()?;
        return Ok(labels.find(|label| label.number().is_none() && label.as_str() == text));
    }
    let number = i128::from(input.int()?);
    Ok(labels.find(|label| label.number().is_some_and(|own| i128::from(own) == number)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is no number, and the decoder says so")]
fn read_number(input: &mut Decoder<'_>) -> Result<serde_json::Number, Fault> {
    let at = input.position();
    let float = match input.datatype()? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => return Ok(input.u64()?.into()),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => return Ok(input.i64()?.into()),
        Type::F16 => half(input)?,
        Type::Tag => fraction(input)?,
        _ => input.f64()?,
    };
    serde_json::Number::from_f64(float).ok_or_else(|| Fault::message("no finite number").at(at))
}

/// A decimal fraction. Reading it as text rounds correctly, whatever the exponent.
fn fraction(input: &mut Decoder<'_>) -> Result<f64, Fault> {
    let at = input.position();
    let not = || Fault::message("no decimal fraction").at(at);
    if input.tag()? != IanaTag::Decimal.tag() || input.array()? != Some(2) {
        return Err(not());
    }
    let (exponent, mantissa) = (input.i64()?, input.i64()?);
    format!("{mantissa}e{exponent}").parse().map_err(|_| not())
}

/// RFC 8949, appendix D.
fn half(input: &mut Decoder<'_>) -> Result<f64, Fault> {
    let at = input.position();
    let Some(&[_, high, low]) = input.input().get(at..at + 3) else {
        return Err(Fault::end_of_input());
    };
    input.set_position(at + 3);
    let bits = u16::from_be_bytes([high, low]);
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2_f64.powi(exponent - 25),
    };
    Ok(if bits >> 15 == 1 { -size } else { size })
}
