//! Frames of talkers → samples. Pure.
//!
//! A frame *speaks of* a point or it does not. Only what a frame speaks of makes a reading: a boot banner, a comment, or
//! a sentence that nobody wants is passed over and counted as foreign, and makes nothing bad.
//!
//! | decode | a frame speaks of | which is bad when |
//! |---|---|---|
//! | csv | all points, if it has the column of any | the column is missing, or is no such value (*decode*); it is empty (*absent*) |
//! | json | the points whose pointer it has; all, if it begins as a document and is none | it is no such value, or no document (*decode*); it is null (*absent*) |
//! | regex | the points whose groups took part in the match | the group's text is no such value (*decode*); it is empty (*absent*) |
//! | nmea | the points of its sentence | its check sum is missing or wrong (*crc*); the field is empty or missing (*absent*) |
//! | binary | all points | the frame is too short (*framing*); the bytes are no such value (*decode*) |
//!
//! What was left of a broken frame speaks of all points, for it might have been theirs; only on a line with many kinds
//! of NMEA sentences nobody's sentence is the likelier, and it is counted alone. A point that nobody speaks of for its
//! device's `stale_after` is told as *stale* by the talker, be its device silent or only it.
//!
//! Deliberately absent: the last value of anything, quotes in CSV, and positions in degrees (NMEA's `4916.45` is passed
//! on as it is).

use curb_model::{Reason, Sample};

use crate::codec;
use crate::config::{Decode, Pattern, Place, TalkerDevice, TalkerPoint};

mod nmea;

/// What a frame says, by the point's place in the config. Empty where it speaks of none.
pub(crate) type Said = Vec<(usize, Sample)>;

/// What a frame says.
pub(crate) fn read(device: &TalkerDevice, frame: &[u8]) -> Said {
    match &device.decode {
        Decode::Csv { separator } => read_csv(device, frame, *separator),
        Decode::Json => read_json(device, frame),
        Decode::Regex(pattern) => read_groups(device, frame, pattern),
        Decode::Nmea => read_nmea(device, frame),
        Decode::Binary { .. } => of_all(device, |point| Some(codec::from_bytes(point, frame))),
    }
}

/// What a frame says of which only this is left.
pub(crate) fn read_broken(device: &TalkerDevice, reason: Reason) -> Said {
    match &device.decode {
        Decode::Nmea => Vec::new(),
        Decode::Csv { .. } | Decode::Json | Decode::Regex(_) | Decode::Binary { .. } => {
            of_all(device, |_| Some(Sample::Bad(reason)))
        }
    }
}

fn of_all(device: &TalkerDevice, sample: impl Fn(&TalkerPoint) -> Option<Sample>) -> Said {
    let points = device.points.iter().enumerate();
    points.filter_map(|(index, point)| Some((index, sample(point)?))).collect()
}

fn value(point: &TalkerPoint, text: &[u8]) -> Sample {
    match str::from_utf8(text) {
        Ok(text) => codec::from_text(&point.point, &point.conversion, text),
        Err(_not_text) => Sample::Bad(Reason::Decode),
    }
}

fn read_csv(device: &TalkerDevice, frame: &[u8], separator: char) -> Said {
    let Ok(line) = str::from_utf8(frame) else { return of_all(device, |_| Some(Sample::Bad(Reason::Decode))) };
    // Blanks pad columns: any run of them parts two.
    let columns: Vec<&str> =
        if separator == ' ' { line.split_whitespace().collect() } else { line.split(separator).collect() };
    let column = |point: &TalkerPoint| match point.place {
        Place::Column(column) => columns.get(usize::from(column).checked_sub(1)?),
        Place::Pointer(_) | Place::Group(_) | Place::Field { .. } | Place::Bytes { .. } => None,
    };
    if device.points.iter().all(|point| column(point).is_none()) {
        return Vec::new();
    }
    let sample = |point: &TalkerPoint| {
        column(point)
            .map_or(Sample::Bad(Reason::Decode), |text| codec::from_text(&point.point, &point.conversion, text))
    };
    of_all(device, |point| Some(sample(point)))
}

fn read_json(device: &TalkerDevice, frame: &[u8]) -> Said {
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(frame) else {
        let begins = frame.iter().find(|byte| !byte.is_ascii_whitespace());
        let was_document = matches!(begins, Some(b'{' | b'['));
        return of_all(device, |_| was_document.then_some(Sample::Bad(Reason::Decode)));
    };
    of_all(device, |point| {
        let Place::Pointer(pointer) = &point.place else { return None };
        let text = match document.pointer(pointer)? {
            serde_json::Value::Null => String::new(),
            serde_json::Value::Bool(bit) => bit.to_string(),
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => return Some(Sample::Bad(Reason::Decode)),
        };
        Some(codec::from_text(&point.point, &point.conversion, &text))
    })
}

fn read_groups(device: &TalkerDevice, frame: &[u8], pattern: &Pattern) -> Said {
    let Some(groups) = pattern.groups_of(frame) else { return Vec::new() };
    of_all(device, |point| {
        let Place::Group(group) = &point.place else { return None };
        Some(value(point, groups.name(group)?.as_bytes()))
    })
}

fn read_nmea(device: &TalkerDevice, frame: &[u8]) -> Said {
    let Some(sentence) = nmea::Sentence::find(frame) else { return Vec::new() };
    of_all(device, |point| {
        let Place::Field { sentence: wanted, field } = &point.place else { return None };
        if !sentence.is(wanted) {
            return None;
        }
        Some(match sentence.field(*field) {
            Ok(field) => value(point, field),
            Err(reason) => Sample::Bad(reason),
        })
    })
}

#[cfg(test)]
mod tests;
