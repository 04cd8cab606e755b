//! What people type to the tools, and how registers are shown. Pure, one function each.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, Point, PointName, Stream};
use curb_source::{Encoding, ModbusPoint, Order, Parity, Table};

use crate::config::ENCODINGS;

/// Modbus addresses to ask, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Units(pub(crate) Vec<u8>);

/// `-t`: a type of ours, or mbpoll's number of a table with its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The table that mbpoll's number means.
    pub(crate) table: Option<Table>,
    /// `None`: one bit or one unsigned register.
    pub(crate) encoding: Option<Encoding>,
}

/// What cannot be read, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misread {
    #[error("expected units as 3, 1-20 or 1,2,3, each from 0 to 255")]
    Units,
    #[error("expected none, even or odd")]
    Parity,
    #[error("expected ABCD, CDAB, BADC or DCBA")]
    Order,
    #[error(
        "expected bool u8 i8 u16 i16 u24 i24 u32 i32 u64 i64 f32 f64 bcd16 bcd32 bcd64 or text:N, or mbpoll's 0, 1, 3, \
         4, 4:int, 4:float"
    )]
    Kind,
    #[error("expected a time: \"500ms\", \"2s\", or a number of {0}")]
    Time(&'static str),
    #[error("{0}")]
    Register(String),
    #[error("{text:?} is holding:{from_one} in most manuals, and holding:{as_said} by mbpoll's counting: say which")]
    TwoMeanings { text: String, from_one: u32, as_said: u32 },
}

pub(crate) fn units(text: &str) -> Result<Units, Misread> {
    let mut units = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(['-', ':']).unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u8>().map_err(|_no_number| Misread::Units);
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(Misread::Units);
        }
        units.extend(first..=last);
    }
    Ok(Units(units))
}

pub(crate) fn parity(text: &str) -> Result<Parity, Misread> {
    match text {
        "none" | "n" | "N" => Ok(Parity::None),
        "even" | "e" | "E" => Ok(Parity::Even),
        "odd" | "o" | "O" => Ok(Parity::Odd),
        _ => Err(Misread::Parity),
    }
}

pub(crate) fn order(text: &str) -> Result<Order, Misread> {
    let known = Order::ALL.into_iter().find(|order| order.as_str().eq_ignore_ascii_case(text));
    known.ok_or(Misread::Order)
}

pub(crate) fn kind(text: &str) -> Result<Kind, Misread> {
    let ours = |encoding| Ok(Kind { table: None, encoding: Some(encoding) });
    if let Some((_, encoding)) = ENCODINGS.iter().find(|(word, _)| *word == text) {
        return ours(*encoding);
    }
    if let Some(len) = text.strip_prefix("text:") {
        return match len.parse::<u8>() {
            Ok(len @ 1..=128) => ours(Encoding::Text(len)),
            Ok(_) | Err(_) => Err(Misread::Kind),
        };
    }
    let (table, format) = text.split_once(':').map_or((text, None), |(table, format)| (table, Some(format)));
    let table = match table {
        "0" => Table::Coil,
        "1" => Table::Discrete,
        "3" => Table::Input,
        "4" => Table::Holding,
        _ => return Err(Misread::Kind),
    };
    let encoding = match format {
        None | Some("hex") => None,
        Some("int") if !table.is_bits() => Some(Encoding::I32),
        Some("float") if !table.is_bits() => Some(Encoding::F32),
        Some(_) => return Err(Misread::Kind),
    };
    Ok(Kind { table: Some(table), encoding })
}

/// A time that is in seconds where it has no unit.
pub(crate) fn seconds(text: &str) -> Result<Duration, Misread> {
    let bare = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    positive(text, bare).ok_or(Misread::Time("seconds"))
}

/// A time that is in milliseconds where it has no unit.
pub(crate) fn millis(text: &str) -> Result<Duration, Misread> {
    positive(text, text.parse().ok().map(Duration::from_millis)).ok_or(Misread::Time("milliseconds"))
}

fn positive(text: &str, bare: Option<Duration>) -> Option<Duration> {
    bare.or_else(|| humantime::parse_duration(text).ok()).filter(|time| !time.is_zero())
}

/// A register: `holding:100`, or a bare number as mbpoll counts, in the table that `-t` names.
pub(crate) fn register(text: &str, table: Option<Table>, from_zero: bool) -> Result<(Table, u16), Misread> {
    let Ok(number) = text.parse::<u32>() else {
        return crate::config::register(text).map_err(Misread::Register);
    };
    let said = |number: u32| u16::try_from(number).ok();
    let from_table = number.checked_sub(40_001).filter(|_| table.is_none() && !from_zero);
    if let Some(from_one) = from_table.filter(|&from_one| from_one < 10_000) {
        return Err(Misread::TwoMeanings { text: text.to_owned(), from_one, as_said: number - 1 });
    }
    let Some(table) = table else {
        let help = format!("say which table: holding:{text}, or -t 0, 1, 3 or 4 to count as mbpoll does");
        return Err(Misread::Register(help));
    };
    let address = if from_zero { said(number) } else { number.checked_sub(1).and_then(said) };
    let least = u8::from(!from_zero);
    address.map(|address| (table, address)).ok_or_else(|| {
        Misread::Register(format!("expected a register from {least} to {}", u32::from(u16::MAX) + u32::from(least)))
    })
}

/// A register in both ways of counting: `holding:100 = 40101`.
pub(crate) fn both(table: Table, address: u16) -> String {
    format!("{}:{address} = {}", table.as_str(), numbered(table, address))
}

/// The number that most manuals give a register: the table's digit, then the place counted from 1.
pub(crate) fn numbered(table: Table, address: u16) -> String {
    let digit = match table {
        Table::Coil => 0,
        Table::Discrete => 1,
        Table::Input => 3,
        Table::Holding => 4,
    };
    let place = u32::from(address) + 1;
    if place <= 9_999 { format!("{digit}{place:04}") } else { format!("{digit}{place:05}") }
}

/// Registers as they stand on the wire, for people.
pub(crate) fn words(registers: &[u16]) -> String {
    registers.iter().map(|word| format!("{word:04X}")).collect::<Vec<_>>().join(" ")
}

/// A point that no config has.
pub(crate) fn nameless(table: Table, address: u16, encoding: Encoding, order: Order) -> ModbusPoint {
    let name = PointName::parse("bus/register").expect("a constant name is right");
    let stream = Stream::device(name.owner());
    let value_type = encoding.value_type();
    let point = Point { name, stream, class: Class::Data, unit: None, value_type, range: None };
    ModbusPoint { order, ..ModbusPoint::new(Arc::new(point), table, address, encoding) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_mbpolls_lists() {
        let check = |text: &str, expected: &[u8]| assert_eq!(units(text), Ok(Units(expected.to_vec())), "{text}");
        check("3", &[3]);
        check("1-4", &[1, 2, 3, 4]);
        check("32,33,36:38", &[32, 33, 36, 37, 38]);
        for wrong in ["", "a", "4-1", "256", "1,,2"] {
            assert_eq!(units(wrong), Err(Misread::Units), "{wrong}");
        }
    }

    #[test]
    fn registers_are_the_configs_or_mbpolls_and_never_a_guess() {
        let check = |text, table, from_zero, expected| {
            assert_eq!(register(text, table, from_zero), Ok(expected), "{text}");
        };
        check("holding:100", None, false, (Table::Holding, 100));
        check("input:0", Some(Table::Holding), false, (Table::Input, 0));
        check("101", Some(Table::Holding), false, (Table::Holding, 100));
        check("101", Some(Table::Input), true, (Table::Input, 101));
        check("65536", Some(Table::Holding), false, (Table::Holding, 65_535));
        let refused = |text, table, words: &str| {
            let error = register(text, table, false).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        };
        refused("40101", None, "holding:100");
        refused("100", None, "holding:100");
        refused("0", Some(Table::Holding), "from 1");
        refused("65537", Some(Table::Holding), "to 65536");
        refused("holdin:3", None, "holding:3");
    }

    #[test]
    fn an_address_is_shown_in_both_ways_of_counting() {
        let check = |table, address, expected: &str| assert_eq!(both(table, address), expected);
        check(Table::Holding, 100, "holding:100 = 40101");
        check(Table::Holding, 9_999, "holding:9999 = 410000");
        check(Table::Input, 0, "input:0 = 30001");
        check(Table::Coil, 0, "coil:0 = 00001");
        check(Table::Discrete, 65_535, "discrete:65535 = 165536");
    }

    #[test]
    fn types_are_ours_or_mbpolls() {
        let check = |text, table, encoding| assert_eq!(kind(text), Ok(Kind { table, encoding }), "{text}");
        check("f32", None, Some(Encoding::F32));
        check("text:12", None, Some(Encoding::Text(12)));
        check("4", Some(Table::Holding), None);
        check("3:float", Some(Table::Input), Some(Encoding::F32));
        check("4:int", Some(Table::Holding), Some(Encoding::I32));
        for wrong in ["text:0", "text:200", "2", "0:float", "float", ""] {
            assert_eq!(kind(wrong), Err(Misread::Kind), "{wrong}");
        }
    }

    #[test]
    fn times_have_a_unit_or_the_letters_own() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(millis("250"), Ok(Duration::from_millis(250)));
        assert!(seconds("0").is_err() && seconds("-1").is_err() && millis("soon").is_err() && seconds("1e99").is_err());
    }
}
