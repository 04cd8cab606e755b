//! `[[device.*.setup]]`: what a device is told at each connect, or by hand only.
//!
//! An entry lies in the device as a point does, and has a value. It is encoded here: what the device cannot hold is a
//! mistake in the file, not in the night when the cabinet loses power.

use curb_model::{Name, PointName, Value};
use curb_profiles::Scalar;
use curb_source::Setup;

use super::Part;
use super::point::At;
use super::register;
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;
use crate::config::settings::ByHand;

/// Entries of one device at most: each costs two frames whenever the device comes back.
const MOST: usize = 32;

/// The entries for each connect that are right, in their order.
pub(super) fn build(device: &Name, part: &Part<'_, schema::Device>, report: &mut Report) -> Vec<Setup> {
    let entries = part.raw.setup.as_deref().unwrap_or_default();
    if entries.len() > MOST {
        part.wrong(&["setup"], Misfit::expected(format!("at most {MOST} entries")), report);
    }
    let entries = entries.iter().enumerate().filter(|(_, entry)| !is_by_hand(entry));
    let right = entries.filter_map(|(index, entry)| one(device, part, &index.to_string(), entry, report));
    let setup = |ByHand { lies, registers }| {
        let name = lies.point.name.point().clone();
        Setup { name, table: lies.table, address: lies.address, registers }
    };
    right.map(setup).collect()
}

/// Those for a person's hand.
pub(super) fn by_hand(device: &Name, part: &Part<'_, schema::Device>, report: &mut Report) -> Vec<ByHand> {
    let entries = part.raw.setup.as_deref().unwrap_or_default().iter().enumerate();
    let entries = entries.filter(|(_, entry)| is_by_hand(entry));
    entries.filter_map(|(index, entry)| one(device, part, &index.to_string(), entry, report)).collect()
}

fn is_by_hand(entry: &schema::Setup) -> bool {
    entry.by_hand == Some(true)
}

fn one(
    device: &Name,
    part: &Part<'_, schema::Device>,
    index: &str,
    entry: &schema::Setup,
    report: &mut Report,
) -> Option<ByHand> {
    let place = lies(entry);
    let at = At::new(part, ["setup", index], &place);
    let name = match entry.name.as_deref() {
        Some(text) => at.notation("name", Some(text), notation::name, report)?,
        None => Name::new(&format!("setup-{index}")).expect("a word and a number are a name"),
    };
    at.missing("value", "what is written: value = 7", report);
    let point = register::value(&at, &PointName::new(device.clone(), name), u16::MAX, report)?;
    if !point.table.is_writable() {
        at.wrong(&["register"], Misfit::expected("a holding register or a coil: others cannot be written"), report);
        return None;
    }
    let value = value(entry.value.as_ref()?);
    match curb_source::encode(&point, &value, None) {
        Ok(encoded) if encoded.mask.is_none() => Some(ByHand { lies: point, registers: encoded.registers }),
        Ok(_) => {
            at.wrong(&["type"], Misfit::expected("a whole register: what is beside the value would be lost"), report);
            None
        }
        Err(error) => {
            let kind = entry.r#type.as_deref().unwrap_or("bool");
            at.wrong(&["value"], Misfit::expected(format!("a value for {kind}")).help(error.to_string()), report);
            None
        }
    }
}

/// The part of an entry that says where and how its value lies.
fn lies(entry: &schema::Setup) -> schema::Point {
    schema::Point {
        register: entry.register.clone(),
        r#type: entry.r#type.clone(),
        order: entry.order,
        radix: entry.radix,
        scale: entry.scale,
        offset: entry.offset,
        names: entry.names.clone(),
        ..schema::Point::default()
    }
}

/// A value as it stands in a file.
pub(super) fn value(written: &Scalar) -> Value {
    match written {
        Scalar::Bool(truth) => Value::Bool(*truth),
        Scalar::Int(number) => Value::I64(*number),
        Scalar::Uint(number) => Value::U64(*number),
        Scalar::Float(number) => Value::from_f64(*number).expect("numbers of a file are finite"),
        Scalar::Text(text) => Value::Text(text.as_str().into()),
    }
}
