//! The members of a record: their labels, and which of them a reading makes. Every form writes these, in this order.
//!
//! Deliberately absent: bytes. `json` and `cbor` have them.

use std::fmt;

use curb_model::{Batch, HubTime, Point, Reading, Reason, Sample, UtcOffset, Value};

use super::Header;

/// Integers up to here are exact in a JSON number, and in the double that RFC 8428 has every reader use.
pub(crate) const EXACT: u64 = 1 << 53;

/// RFC 8428, section 4.5.3: a time below 2²⁸ s is relative to now. Such a wall clock cannot be right either.
const LEAST_MILLIS: i64 = (1 << 28) * 1_000;

/// A label with its text, and its number in CBOR if RFC 8428 gives it one.
macro_rules! labels {
    ($($label:ident $text:literal $number:expr,)*) => {
        /// What a member is called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Label {
            $($label,)*
        }

        impl Label {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$label,)*];

            /// The text, in JSON.
            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$label => $text,)*
                }
            }

            /// The number, in CBOR. RFC 8428, section 6: the table of numbers is closed, all other labels are text.
            pub(super) const fn number(self) -> Option<i8> {
                match self {
                    $(Self::$label => $number,)*
                }
            }
        }
    };
}

labels! {
    BaseName "bn" Some(-2),
    BaseTime "bt" Some(-3),
    Hub "hub" None,
    Run "run" None,
    Stream "stream" None,
    Seq "seq" None,
    Read "read" None,
    Filtered "filtered" None,
    Refused "refused" None,
    Name "n" Some(0),
    Unit "u" Some(1),
    Time "t" Some(6),
    HubTime "ht" None,
    Value "v" Some(2),
    Bool "vb" Some(4),
    Text "vs" Some(3),
    Data "vd" Some(8),
    Type "type" None,
}

/// What stands behind a label.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Text(&'a str),
    /// Text that is made while it is written.
    Shown(fmt::Arguments<'a>),
    Count(u64),
    /// Within ±2⁵³.
    Int(i64),
    /// Finite.
    Number(f64),
    Bool(bool),
    Octets(&'a [u8]),
}

/// Takes the members of one record.
pub(super) trait Members {
    type Error;

    /// Whether this form carries the unit of each value, or leaves it to the retained table of points.
    const UNITS: bool;

    fn member(&mut self, label: Label, field: Field<'_>) -> Result<(), Self::Error>;
}

/// A message as it is written: record by record, without a copy of it in between.
pub(super) struct Outgoing<'a> {
    header: &'a Header,
    /// Milliseconds; `None`: undated.
    base: Option<i64>,
    offset: Option<UtcOffset>,
    readings: &'a [Reading],
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(header: &'a Header, batch: &'a Batch) -> Self {
        let dated =
            |offset: UtcOffset, at: HubTime| Some(at.utc_millis(offset)).filter(|&millis| millis > LEAST_MILLIS);
        let base = batch.readings.first().and_then(|first| dated(batch.offset?, first.at));
        Self { header, base, offset: batch.offset, readings: &batch.readings }
    }

    /// The records, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Outline<'a>> {
        let mut header = Some((self.header, self.base));
        let (base, offset) = (self.base, self.offset);
        let contents = self.readings.iter().flat_map(move |reading| {
            let time = match (base, offset) {
                (Some(base), Some(offset)) => Stamp::Relative(reading.at.utc_millis(offset) - base),
                _ => Stamp::Hub(reading.at),
            };
            let (value, quality) = match &reading.sample {
                Sample::Good(value) => (Some(value), None),
                Sample::Uncertain(value, reason) => (Some(value), Some(("uncertain", *reason))),
                Sample::Bad(reason) => (None, Some(("bad", *reason))),
            };
            let value = value.map(Content::Value);
            let quality = quality.map(|(word, reason)| Content::Quality(word, reason));
            value.into_iter().chain(quality).map(move |content| (&*reading.point, time, content))
        });
        contents.map(move |(point, time, content)| Outline { header: header.take(), point, time, content })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        let uncertain = |reading: &&Reading| matches!(reading.sample, Sample::Uncertain(..));
        self.readings.len() + self.readings.iter().filter(uncertain).count()
    }
}

/// A record as it is written.
pub(super) struct Outline<'a> {
    /// Stands in the first record only.
    header: Option<(&'a Header, Option<i64>)>,
    point: &'a Point,
    time: Stamp,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Value(&'a Value),
    /// Which word, and why.
    Quality(&'static str, Reason),
}

#[derive(Clone, Copy)]
enum Stamp {
    /// Milliseconds after the base time.
    Relative(i64),
    Hub(HubTime),
}

impl Outline<'_> {
    pub(super) fn write<M: Members>(&self, to: &mut M) -> Result<(), M::Error> {
        if let Some((header, base)) = self.header {
            to.member(Label::BaseName, Field::Shown(format_args!("{}/", header.stream.owner())))?;
            if let Some(base) = base {
                to.member(Label::BaseTime, Field::Number(seconds(base)))?;
            }
            to.member(Label::Hub, Field::Text(header.hub.as_str()))?;
            to.member(Label::Run, Field::Shown(format_args!("{}", header.run)))?;
            to.member(Label::Stream, Field::Text(header.stream.as_str()))?;
            to.member(Label::Seq, Field::Count(header.seq))?;
            to.member(Label::Read, Field::Count(header.read))?;
            to.member(Label::Filtered, Field::Count(header.filtered))?;
            to.member(Label::Refused, Field::Count(header.refused))?;
        }
        let name = self.point.name.point();
        match self.content {
            Content::Value(_) => to.member(Label::Name, Field::Text(name.as_str()))?,
            Content::Quality(..) => to.member(Label::Name, Field::Shown(format_args!("{name}/quality")))?,
        }
        if let (true, Content::Value(_), Some(unit)) = (M::UNITS, self.content, self.point.unit.as_deref()) {
            to.member(Label::Unit, Field::Text(unit))?;
        }
        match self.time {
            Stamp::Relative(0) => {}
            Stamp::Relative(millis) => to.member(Label::Time, Field::Number(seconds(millis)))?,
            Stamp::Hub(at) => to.member(Label::HubTime, Field::Shown(format_args!("{}", at.as_nanos())))?,
        }
        match self.content {
            Content::Value(value) => write_value(to, value),
            Content::Quality(word, reason) => to.member(Label::Text, Field::Shown(format_args!("{word}:{reason}"))),
        }
    }
}

fn write_value<M: Members>(to: &mut M, value: &Value) -> Result<(), M::Error> {
    match value {
        Value::Bool(b) => to.member(Label::Bool, Field::Bool(*b)),
        Value::I64(i) if i.unsigned_abs() <= EXACT => to.member(Label::Value, Field::Int(*i)),
        Value::I64(i) => write_wide(to, format_args!("{i}"), "i64"),
        Value::U64(u) if *u <= EXACT => to.member(Label::Value, Field::Count(*u)),
        Value::U64(u) => write_wide(to, format_args!("{u}"), "u64"),
        Value::F64(x) => to.member(Label::Value, Field::Number(x.get())),
        Value::Text(text) => to.member(Label::Text, Field::Text(text)),
        Value::Bytes(bytes) => to.member(Label::Data, Field::Octets(bytes)),
    }
}

/// An integer that a JSON number cannot carry.
fn write_wide<M: Members>(to: &mut M, digits: fmt::Arguments<'_>, kind: &str) -> Result<(), M::Error> {
    to.member(Label::Text, Field::Shown(digits))?;
    to.member(Label::Type, Field::Text(kind))
}

/// Whole numbers lose their `.0`: two bytes less, and the same number to every reader.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within ±2⁵³ are cast")]
#[expect(clippy::cast_precision_loss, reason = "2⁵³ is exact in f64")]
pub(crate) fn number(x: f64) -> serde_json::Number {
    let whole = x.trunc() == x && x.abs() <= EXACT as f64 && !(x == 0.0 && x.is_sign_negative());
    if whole { (x as i64).into() } else { serde_json::Number::from_f64(x).expect("Finite excludes NaN and infinities") }
}

/// Milliseconds as decimal seconds. The division rounds correctly, so the shortest decimal has three places at most.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2⁵³ for 285,000 years")]
pub(crate) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates; a time that far off is refused by its reader"
)]
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}
