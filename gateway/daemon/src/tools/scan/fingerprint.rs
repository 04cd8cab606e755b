//! How the profiles tell one kind of device from another. Pure, but for the profiles that are compiled in.
//!
//! Deliberately absent: profiles of the installer's own folder; who has written one knows the device.

use curb_model::{Sample, Value};
use curb_profiles::{Profile, Weight};
use curb_source::{Bits, Encoding, Half, ModbusPoint, Order};

use super::super::notation;

/// What a unit says of itself: object 0 and object 1 of its identification.
pub(super) type Words<'a> = (Option<&'a str>, Option<&'a str>);

/// One way to know a kind of device.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint {
    /// Whom it names.
    pub(super) profile: &'static str,
    /// Whether it is such a device, or only one of its kind.
    pub(super) sure: bool,
    /// What to read; `None` where the device's own words are looked at.
    pub(super) point: Option<ModbusPoint>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Vec<i64>),
    Range(f64, f64),
    Text(String),
    Words { vendor: Option<String>, product: Option<String> },
}

impl Fingerprint {
    /// Whether registers that were read for [`Fingerprint::point`] fit.
    pub(super) fn fits(&self, registers: &[u16]) -> bool {
        let Some(point) = &self.point else { return false };
        let (Sample::Good(value) | Sample::Uncertain(value, _)) = curb_source::decode(point, registers) else {
            return false;
        };
        match (&self.test, &value) {
            (Test::Equals(numbers), Value::I64(found)) => numbers.contains(found),
            (Test::Equals(numbers), Value::U64(found)) => {
                i64::try_from(*found).is_ok_and(|found| numbers.contains(&found))
            }
            (Test::Range(least, most), value) => value.as_f64().is_some_and(|found| (*least..=*most).contains(&found)),
            (Test::Text(start), Value::Text(found)) => found.starts_with(start.as_str()),
            (Test::Equals(_) | Test::Text(_) | Test::Words { .. }, _) => false,
        }
    }

    /// Whether the device's own words fit.
    pub(super) fn fits_words(&self, (vendor, product): Words<'_>) -> bool {
        let has = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| {
                found.is_some_and(|found| found.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase()))
            })
        };
        match &self.test {
            Test::Words { vendor: v, product: p } => has(v, vendor) && has(p, product) && (v.is_some() || p.is_some()),
            Test::Equals(_) | Test::Range(..) | Test::Text(_) => false,
        }
    }
}

/// Every fingerprint that is understood, the sure ones first. `serial`: of devices on a line; else of those on a network.
pub(super) fn known(serial: bool) -> Vec<Fingerprint> {
    let mut known = Vec::new();
    for (name, text) in curb_profiles::embedded() {
        let Ok(profile) = Profile::parse(name, text) else { continue };
        let fits = if serial { profile.about.serial.is_some() } else { profile.about.tcp_port.is_some() };
        if fits {
            known.extend(profile.fingerprints.iter().filter_map(|fingerprint| understood(name, fingerprint)));
        }
    }
    known.sort_by_key(|fingerprint| !fingerprint.sure);
    known
}

fn understood(profile: &'static str, from: &curb_profiles::Fingerprint) -> Option<Fingerprint> {
    let test = match (&from.equals, from.range, &from.text, &from.identification) {
        (Some(numbers), None, None, None) => Test::Equals(numbers.clone()),
        (None, Some((least, most)), None, None) => Test::Range(least, most),
        (None, None, Some(text), None) => Test::Text(text.clone()),
        (None, None, None, Some(words)) => Test::Words { vendor: words.vendor.clone(), product: words.product.clone() },
        _ => return None,
    };
    let sure = from.weight == Weight::Sure;
    let Some(register) = &from.register else { return Some(Fingerprint { profile, sure, point: None, test }) };
    let (table, address) = crate::config::register(register).ok()?;
    let encoding = match &from.r#type {
        Some(word) => notation::kind(word).ok()?.encoding?,
        None => Encoding::Bool,
    };
    let encoding = match (encoding, from.byte.as_deref()) {
        (Encoding::U8(_), Some("high")) => Encoding::U8(Half::High),
        (Encoding::I8(_), Some("high")) => Encoding::I8(Half::High),
        (encoding, _) => encoding,
    };
    let order = from.order.as_deref().map_or(Ok(Order::Abcd), notation::order).ok()?;
    let bits = match &from.bits {
        None => None,
        Some(text) => Some(bits(text)?),
    };
    let point = ModbusPoint { bits, ..notation::nameless(table, address, encoding, order) };
    Some(Fingerprint { profile, sure, point: Some(point), test })
}

/// `4..7` or `3`.
fn bits(text: &str) -> Option<Bits> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last): (u8, u8) = (first.parse().ok()?, last.parse().ok()?);
    Some(Bits { first, width: last.checked_sub(first)?.checked_add(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fingerprint_of_the_profiles_is_understood() {
        for (name, text) in curb_profiles::embedded() {
            for fingerprint in Profile::parse(name, text).unwrap().fingerprints {
                assert!(understood(name, &fingerprint).is_some(), "{name}: {fingerprint:?}");
            }
        }
        assert!(known(true).len() > 5 && !known(false).is_empty());
    }

    #[test]
    fn a_device_is_known_by_its_registers_or_its_words() {
        let of = |profile: &str, serial| -> Vec<Fingerprint> {
            known(serial).into_iter().filter(|fingerprint| fingerprint.profile == profile).collect()
        };
        let eastron = of("eastron-sdm120", true);
        assert!(eastron[0].sure && eastron[0].fits(&[0x0020]) && !eastron[0].fits(&[0x0089]));
        let text = of("abb-b23", true);
        assert!(text[0].fits(&[0x4232, 0x3320]) && !text[0].fits(&[0x4232, 0x3420]));
        let point = notation::nameless(curb_source::Table::Holding, 0, Encoding::U16, Order::Abcd);
        let words = Test::Words { vendor: Some("Acme".to_owned()), product: None };
        let acme = Fingerprint { profile: "x", sure: true, point: None, test: words };
        assert!(acme.fits_words((Some("ACME Ltd"), None)) && !acme.fits_words((None, Some("Acme"))));
        let range = Fingerprint { point: Some(point), test: Test::Range(45.0, 65.0), ..acme };
        assert!(range.fits(&[50]) && !range.fits(&[66]) && !range.fits_words((Some("acme"), None)));
    }
}
