//! `curb read --guess 200.6`: which address, type, order and scale give the number that a person reads on the display.
//!
//! Manuals count from 0 or from 1, and leave out the order of registers. Everything that a register nearby could mean is
//! tried with the daemon's own codec, and what gives the number is listed, the plainest first.
//!
//! Deliberately absent: bits, texts and scales that are no power of ten; a display shows none of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::str::FromStr;

use curb_model::Sample;
use curb_source::{Conversion, Encoding, Half, ModbusPoint, Order, Outcome, Table};
use serde::Serialize;

use super::args::LineArgs;
use super::line::Line;
use super::notation::{both, nameless, words};
use super::{Error, read};
use crate::cli::{FINE, FOUND};
use crate::config::ENCODINGS;

/// How far beside the asked address is looked: manuals that count from 1.
const BESIDE: u16 = 1;

/// The widest type.
const WIDEST: u16 = 4;

/// Scales that are tried, the plainest first.
const SCALES: [Option<f64>; 5] = [None, Some(0.1), Some(0.01), Some(0.001), Some(10.0)];

/// How many are listed for people; the rest is noise that happens to fit.
const LISTED: usize = 12;

/// A number as a display shows it: its value, and what its last digit is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shown {
    value: f64,
    step: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number as the display shows it: 200.6")]
pub(crate) struct NoNumber;

impl FromStr for Shown {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let value: f64 = text.parse().map_err(|_no_number| NoNumber)?;
        if !value.is_finite() || text.contains(['e', 'E']) {
            return Err(NoNumber);
        }
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let decimals = i32::try_from(decimals).map_err(|_too_many| NoNumber)?;
        Ok(Self { value, step: 10_f64.powi(-decimals) })
    }
}

impl Shown {
    /// Whether a display would show `value` so: rounded, or with the digits behind cut off.
    fn fits(self, value: f64) -> bool {
        // Steps like 0.1 are no binary fractions.
        const NOISE: f64 = 1e-6;
        let (shown, value) = if self.value < 0.0 { (-self.value, -value) } else { (self.value, value) };
        let beyond = (value - shown) / self.step;
        (-0.5 - NOISE..1.0 - NOISE).contains(&beyond)
    }
}

/// A meaning that gives the number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    pub(crate) address: u16,
    pub(crate) encoding: Encoding,
    pub(crate) order: Order,
    pub(crate) scale: Option<f64>,
    pub(crate) value: f64,
}

/// Everything in `registers` around `asked` that a display would show as `shown`, the most likely first.
pub(crate) fn fits(shown: Shown, asked: u16, table: Table, registers: &BTreeMap<u16, u16>) -> Vec<Fit> {
    let mut fits: Vec<(u32, Fit)> = Vec::new();
    for address in asked.saturating_sub(BESIDE)..=asked.saturating_add(BESIDE) {
        for (type_rank, encoding) in (0_u32..).zip(candidates()) {
            let addresses = (0..encoding.registers()).map(|n| address.checked_add(n));
            let own: Option<Vec<u16>> = addresses.map(|at| at.and_then(|at| registers.get(&at)).copied()).collect();
            let Some(own) = own else { continue };
            for (order_rank, order) in (0_u32..).zip(orders(encoding)) {
                for (scale_rank, scale) in (0_u32..).zip(SCALES) {
                    let point = with_scale(nameless(table, address, encoding, order), scale);
                    let Sample::Good(value) = curb_source::decode(&point, &own) else { continue };
                    let Some(value) = value.as_f64().filter(|&value| shown.fits(value)) else { continue };
                    if is_chance(value, scale) {
                        continue;
                    }
                    let fit = Fit { address, encoding, order, scale, value };
                    // The asked address before its neighbours, no scale before one, plain orders and types first.
                    let far = u32::from(address.abs_diff(asked));
                    let rank = far * 20 + scale_rank * 12 + order_rank * 6 + type_rank;
                    fits.push((rank, fit));
                }
            }
        }
    }
    fits.sort_by_key(|(rank, _)| *rank);
    fits.into_iter().map(|(_, fit)| fit).collect()
}

/// Whether a float this small comes of registers that hold something else: whole numbers read as floats are subnormal, or
/// next to it, and no device measures so little. Nought itself is meant.
fn is_chance(value: f64, scale: Option<f64>) -> bool {
    /// Far below what is measured in any unit, far above what small whole numbers look like.
    const LEAST: f64 = 1e-12;
    value != 0.0 && (value / scale.unwrap_or(1.0)).abs() < LEAST
}

/// Numbers that a display may show, the most usual first.
fn candidates() -> impl Iterator<Item = Encoding> {
    const USUAL: [Encoding; 5] = [Encoding::F32, Encoding::U16, Encoding::I16, Encoding::U32, Encoding::I32];
    let rest = ENCODINGS.into_iter().map(|(_, encoding)| encoding);
    let rest = rest.filter(|encoding| !USUAL.contains(encoding) && *encoding != Encoding::Bool);
    let halves = [Encoding::U8(Half::High), Encoding::I8(Half::High)];
    USUAL.into_iter().chain(rest).chain(halves)
}

/// Orders that make a difference to a type.
fn orders(encoding: Encoding) -> Vec<Order> {
    // The other half has an entry of its own.
    if matches!(encoding, Encoding::U8(_) | Encoding::I8(_)) {
        return vec![Order::Abcd];
    }
    if encoding.registers() == 1 { vec![Order::Abcd, Order::Badc] } else { Order::ALL.to_vec() }
}

fn with_scale(point: ModbusPoint, scale: Option<f64>) -> ModbusPoint {
    ModbusPoint { conversion: Conversion { scale, ..Conversion::default() }, ..point }
}

/// The config's words for a type: `type`, and `byte` where it is the high one.
fn words_of(encoding: Encoding) -> (&'static str, Option<&'static str>) {
    let (plain, byte) = if encoding == Encoding::U8(Half::High) {
        (Encoding::U8(Half::Low), Some("high"))
    } else if encoding == Encoding::I8(Half::High) {
        (Encoding::I8(Half::Low), Some("high"))
    } else {
        (encoding, None)
    };
    let known = ENCODINGS.iter().find(|(_, other)| *other == plain);
    (known.map_or("text", |(word, _)| *word), byte)
}

/// Reads around a register and lists what fits.
pub(super) async fn run(
    line: &Line,
    shown: &Shown,
    unit: u8,
    point: &ModbusPoint,
    args: &LineArgs,
    out: &mut impl Write,
) -> Result<u8, Error> {
    if point.table.is_bits() {
        return Err(Error::Usage("--guess looks at registers: holding or input"));
    }
    let (table, asked) = (point.table, point.address);
    let registers = around(line, unit, table, asked, args).await?;
    let fits = fits(*shown, asked, table, &registers);
    if args.json {
        #[derive(Serialize)]
        struct Entry {
            v: u32,
            register: String,
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            byte: Option<&'static str>,
            order: &'static str,
            scale: Option<f64>,
            value: f64,
        }
        for Fit { address, encoding, order, scale, value } in fits.iter().cloned() {
            let register = format!("{}:{address}", table.as_str());
            let (r#type, byte) = words_of(encoding);
            let entry = Entry { v: 1, register, r#type, byte, order: order.as_str(), scale, value };
            serde_json::to_writer(&mut *out, &entry).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        return Ok(if fits.is_empty() { FOUND } else { FINE });
    }
    for (&address, &register) in &registers {
        writeln!(out, "  {}  {}", both(table, address), words(&[register]))?;
    }
    if fits.is_empty() {
        writeln!(out, "nothing around {} gives that number", both(table, asked))?;
        return Ok(FOUND);
    }
    for Fit { address, encoding, order, scale, value } in fits.iter().take(LISTED) {
        let scale = scale.map(|scale| format!(", scale = {scale}")).unwrap_or_default();
        let order = if *order == Order::Abcd { String::new() } else { format!(", order = \"{}\"", order.as_str()) };
        let (place, (word, byte)) = (table.as_str(), words_of(*encoding));
        let byte = byte.map(|byte| format!(", byte = \"{byte}\"")).unwrap_or_default();
        writeln!(out, "{value}  register = \"{place}:{address}\", type = \"{word}\"{byte}{order}{scale}")?;
    }
    if let Some(more) = fits.len().checked_sub(LISTED).filter(|&more| more > 0) {
        writeln!(out, "and {more} less likely ones (--json lists all)")?;
    }
    Ok(FINE)
}

/// The registers around one. A device that refuses the block is asked for each by itself.
async fn around(line: &Line, unit: u8, table: Table, asked: u16, args: &LineArgs) -> Result<BTreeMap<u16, u16>, Error> {
    let first = asked.saturating_sub(BESIDE);
    let last = asked.saturating_add(BESIDE).saturating_add(WIDEST - 1);
    let outcome = read::ask(line, unit, table, first, last - first + 1, args.timeout).await?;
    if let Some(registers) = read::as_registers(&outcome) {
        return Ok((first..=last).zip(registers).collect());
    }
    let mut found = BTreeMap::new();
    if matches!(outcome, Outcome::Exception(_)) {
        for address in first..=last {
            let outcome = read::ask(line, unit, table, address, 1, args.timeout).await?;
            if let Some([register]) = read::as_registers(&outcome).as_deref() {
                found.insert(address, *register);
            }
        }
    }
    if found.is_empty() {
        let why = super::trouble(&outcome).unwrap_or_default();
        return Err(Error::Unusable(format!("unit {unit}, {}: {why}", both(table, asked))));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use curb_model::Value;
    use proptest::prelude::*;

    use super::*;

    fn around(first: u16, registers: &[u16]) -> BTreeMap<u16, u16> {
        (first..=u16::MAX).zip(registers.iter().copied()).collect()
    }

    fn shown(text: &str) -> Shown {
        text.parse().unwrap()
    }

    #[test]
    fn a_number_is_as_exact_as_it_is_written() {
        let check = |text: &str, value: f64, expected| assert_eq!(shown(text).fits(value), expected, "{text} {value}");
        check("200.6", 200.6, true);
        check("200.6", 200.55, true);
        check("200.6", 200.54, false);
        check("200.6", 200.69, true);
        check("200.6", 200.7, false);
        check("-5", -5.4, true);
        check("-5", -4.4, false);
        check("7", 7.0, true);
        assert!("1e3".parse::<Shown>().is_err() && "inf".parse::<Shown>().is_err() && "x".parse::<Shown>().is_err());
    }

    #[test]
    fn known_answers() {
        let check = |text: &str, asked: u16, first: u16, registers: &[u16], expected: (u16, Encoding, Order, _)| {
            let found = fits(shown(text), asked, Table::Holding, &around(first, registers));
            let (address, encoding, order, scale) = expected;
            let best = found.first().map(|fit| (fit.address, fit.encoding, fit.order, fit.scale));
            assert_eq!(best, Some((address, encoding, order, scale)), "{text}: {found:?}");
        };
        // openems#86: floats were nonsense in all four orders, because the address was off by one. 200.6 is 0x4348999A.
        check("200.6", 100, 99, &[0x4348, 0x999A, 0x4120, 0x0001, 0, 0], (99, Encoding::F32, Order::Abcd, None));
        check("230.1", 100, 99, &[7, 0x4366, 0x199A, 7, 7, 7], (100, Encoding::F32, Order::Abcd, None));
        check("230.1", 100, 99, &[7, 0x199A, 0x4366, 7, 7, 7], (100, Encoding::F32, Order::Cdab, None));
        check("230.1", 100, 99, &[7, 0x6643, 0x9A19, 7, 7, 7], (100, Encoding::F32, Order::Badc, None));
        check("230.1", 100, 99, &[7, 0x9A19, 0x6643, 7, 7, 7], (100, Encoding::F32, Order::Dcba, None));
        check("230.1", 100, 99, &[7, 2301, 7, 7, 7, 7], (100, Encoding::U16, Order::Abcd, Some(0.1)));
        check("-12.5", 100, 99, &[7, 0xFF83, 7, 7, 7, 7], (100, Encoding::I16, Order::Abcd, Some(0.1)));
        check("123456", 100, 99, &[7, 0x0001, 0xE240, 7, 7, 7], (100, Encoding::U32, Order::Abcd, None));
        check("123456", 100, 99, &[7, 0xE240, 0x0001, 7, 7, 7], (100, Encoding::U32, Order::Cdab, None));
    }

    #[test]
    fn nought_is_nought_and_no_float_of_chance() {
        // As floats these are subnormal, or nearly: 7 is 1e-44, 0x0002_0007 2e-40, 0x0A00_0000 6e-33.
        let found = fits(shown("0"), 100, Table::Holding, &around(99, &[7, 0, 7, 2, 0x0A00, 0, 0, 9]));
        assert!(found.iter().any(|fit| fit.encoding == Encoding::U16 && fit.address == 100));
        assert!(found.iter().all(|fit| fit.value == 0.0 || fit.value.abs() >= 0.001), "{found:?}");
        let floats = fits(shown("0"), 100, Table::Holding, &around(99, &[7, 0, 0, 0, 0, 7]));
        assert!(floats.iter().any(|fit| fit.encoding == Encoding::F32), "a float that is nought is one: {floats:?}");
    }

    #[test]
    fn what_gives_no_such_number_is_not_listed() {
        assert_eq!(fits(shown("200.6"), 100, Table::Holding, &around(99, &[1, 2, 3, 4, 5, 6])), []);
        assert_eq!(fits(shown("0"), 65_535, Table::Holding, &around(65_534, &[])), []);
        // The last two registers of all.
        let last = fits(shown("3.5"), 65_535, Table::Holding, &around(65_534, &[7, 35]));
        assert_eq!(last.first().map(|fit| (fit.address, fit.encoding)), Some((65_535, Encoding::U16)));
    }

    proptest! {
        /// Whatever a device holds, in whatever type and order: what a display would show is found there.
        #[test]
        fn what_is_there_is_found(
            encoding in prop::sample::select(vec![Encoding::F32, Encoding::U16, Encoding::I16, Encoding::U32, Encoding::I64]),
            order in prop::sample::select(Order::ALL.to_vec()),
            scale in prop::sample::select(SCALES[..3].to_vec()),
            beside in 0_u16..3,
            number in 1_i32..30_000,
        ) {
            // A single register knows only two orders.
            let order = if encoding.registers() == 1 && order.reverses_registers() { Order::Abcd } else { order };
            let address = 99 + beside;
            let point = with_scale(nameless(Table::Input, address, encoding, order), scale);
            let value = f64::from(number) * scale.unwrap_or(1.0);
            let value = Value::from_f64(format!("{value:.3}").parse().unwrap()).unwrap();
            let own = curb_source::encode(&point, &value, None).unwrap().registers;
            let Sample::Good(read) = curb_source::decode(&point, &own) else { unreachable!("it was encoded") };
            let text = format!("{:.2}", read.as_f64().unwrap());
            let found = fits(shown(&text), 100, Table::Input, &around(address, &own));
            prop_assert!(
                found.iter().any(|fit| fit.address == address && fit.encoding == encoding && fit.order == order),
                "{text} {own:04X?} {found:?}"
            );
            for fit in &found {
                prop_assert!(shown(&text).fits(fit.value));
            }
        }
    }
}
