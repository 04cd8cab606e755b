//! How the profiles tell one kind of device from another: those in the binary, and those of the site's own folder. Pure, but
//! for reading them.

use std::collections::BTreeSet;
use std::sync::Arc;

use curb_model::{Sample, Value};
use curb_profiles::{Profile, Weight};
use curb_source::{Bits, Encoding, Half, ModbusPoint, Order, Table};
use serde::Serialize;

use super::super::notation;
use crate::config::{Library, ProfileSource};

/// What a unit says of itself: object 0 and object 1 of its identification.
pub(super) type Words<'a> = (Option<&'a str>, Option<&'a str>);

/// How much speaks for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strength {
    /// One fact, which other devices may share.
    Possible,
    /// More than one.
    Likely,
    /// One that no other device has.
    Sure,
}

/// One way to know a kind of device.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint {
    /// Whom it names.
    pub(super) profile: Arc<str>,
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
    /// Where it looks; `None` for the device's own words.
    fn place(&self) -> Option<(Table, u16)> {
        self.point.as_ref().map(|point| (point.table, point.address))
    }

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

/// Every fingerprint that is understood, the sure ones first, and of equals the site's own. `serial`: of devices on a line;
/// else of those on a network. A profile that cannot be read has none; `curb profiles` says why.
pub(super) fn known(library: &Library, serial: bool) -> Vec<Fingerprint> {
    let mut known = Vec::new();
    for name in library.names() {
        let Some((source, Ok(text))) = library.text(&name) else { continue };
        let Ok(profile) = Profile::parse(&name, &text) else { continue };
        let fits = if serial { profile.about.serial.is_some() } else { profile.about.tcp_port.is_some() };
        if fits {
            let name: Arc<str> = name.into();
            let understood = profile.fingerprints.iter().filter_map(|fingerprint| understood(&name, fingerprint));
            known.extend(understood.map(|fingerprint| (source == ProfileSource::BuiltIn, fingerprint)));
        }
    }
    known.sort_by_key(|(built_in, fingerprint)| (!fingerprint.sure, *built_in));
    known.into_iter().map(|(_, fingerprint)| fingerprint).collect()
}

/// What all fingerprints say of a unit, each of which fits or not: whose profile it is, and how much speaks for it. A sure
/// one is enough; of the others two different facts make it likely, one alone possible.
pub(super) fn weigh<'a>(known: &'a [Fingerprint], fits: &[bool]) -> Option<(&'a str, Strength)> {
    let fitting = || known.iter().zip(fits).filter(|(_, fits)| **fits).map(|(fingerprint, _)| fingerprint);
    if let Some(sure) = fitting().find(|fingerprint| fingerprint.sure) {
        return Some((&sure.profile, Strength::Sure));
    }
    // What stands in one place is one fact.
    let facts = |profile: &str| {
        let of = fitting().filter(|fingerprint| *fingerprint.profile == *profile);
        of.map(Fingerprint::place).collect::<BTreeSet<_>>().len()
    };
    // The first of those with the most.
    let best = fitting().rev().max_by_key(|fingerprint| facts(&fingerprint.profile))?;
    let strength = if facts(&best.profile) > 1 { Strength::Likely } else { Strength::Possible };
    Some((&best.profile, strength))
}

fn understood(profile: &Arc<str>, from: &curb_profiles::Fingerprint) -> Option<Fingerprint> {
    let test = match (&from.equals, from.range, &from.text, &from.identification) {
        (Some(numbers), None, None, None) => Test::Equals(numbers.clone()),
        (None, Some((least, most)), None, None) => Test::Range(least, most),
        (None, None, Some(text), None) => Test::Text(text.clone()),
        (None, None, None, Some(words)) => Test::Words { vendor: words.vendor.clone(), product: words.product.clone() },
        _ => return None,
    };
    let sure = from.weight == Weight::Sure;
    let profile = Arc::clone(profile);
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
                assert!(understood(&name.into(), &fingerprint).is_some(), "{name}: {fingerprint:?}");
            }
        }
        let built_in = Library::new("/nonexistent");
        assert!(known(&built_in, true).len() > 5 && !known(&built_in, false).is_empty());
    }

    #[test]
    fn a_sites_own_profile_is_known_and_takes_the_place_of_its_namesake() {
        let folder = tempfile::tempdir().unwrap();
        let own = |equals: u16| {
            let of = curb_profiles::embedded().find(|(name, _)| *name == "eastron-sdm120").unwrap().1;
            let (before, _) = of.split_once("[[fingerprint]]").unwrap();
            let (before, _) = before.split_once("[[example]]").unwrap_or((before, ""));
            format!(
                "{before}\n[[fingerprint]]\nregister = \"holding:7\"\ntype = \"u16\"\nequals = [{equals}]\nweight = \"sure\"\n"
            )
        };
        std::fs::write(folder.path().join("our-box.toml"), own(4711)).unwrap();
        std::fs::write(folder.path().join("eastron-sdm120.toml"), own(4712)).unwrap();
        std::fs::write(folder.path().join("torn.toml"), "[profile").unwrap();
        let known = known(&Library::new(folder.path()), true);
        let of = |register: u16| -> Vec<&str> {
            let fitting = known.iter().filter(|fingerprint| fingerprint.fits(&[register]));
            fitting.filter(|fingerprint| fingerprint.sure).map(|fingerprint| &*fingerprint.profile).collect()
        };
        assert_eq!((of(4711), of(4712)), (vec!["our-box"], vec!["eastron-sdm120"]));
        assert_eq!(of(0x0020), Vec::<&str>::new(), "the one that is built in is not asked");
        assert_eq!(&*known[0].profile, "eastron-sdm120", "the site's own come first");
    }

    #[test]
    fn one_weak_fact_is_possible_two_are_likely_and_a_sure_one_decides() {
        let fingerprint = |profile: &str, sure: bool, address: u16| {
            let point = Some(notation::nameless(Table::Holding, address, Encoding::U16, Order::Abcd));
            Fingerprint { profile: profile.into(), sure, point, test: Test::Range(0.0, 1.0) }
        };
        let weak = |profile, address| fingerprint(profile, false, address);
        let known = [fingerprint("s", true, 0), weak("a", 0), weak("b", 1), weak("b", 2), weak("b", 2)];
        let check = |fits: [bool; 5], expected| assert_eq!(weigh(&known, &fits), expected, "{fits:?}");
        check([false; 5], None);
        check([false, true, false, false, false], Some(("a", Strength::Possible)));
        check([false, true, true, false, false], Some(("a", Strength::Possible)));
        check([false, false, false, true, true], Some(("b", Strength::Possible)));
        check([false, true, true, true, false], Some(("b", Strength::Likely)));
        check([true; 5], Some(("s", Strength::Sure)));
        let built_in = super::known(&Library::new("/nonexistent"), true);
        let weak: Vec<bool> = built_in.iter().map(|fingerprint| &*fingerprint.profile == "vaisala-wxt530").collect();
        assert_eq!(
            weigh(&built_in, &weak),
            Some(("vaisala-wxt530", Strength::Possible)),
            "a model from 1 to 6 is no proof"
        );
    }

    #[test]
    fn a_device_is_known_by_its_registers_or_its_words() {
        let library = Library::new("/nonexistent");
        let of = |profile: &str, serial| -> Vec<Fingerprint> {
            known(&library, serial).into_iter().filter(|fingerprint| *fingerprint.profile == *profile).collect()
        };
        let eastron = of("eastron-sdm120", true);
        assert!(eastron[0].sure && eastron[0].fits(&[0x0020]) && !eastron[0].fits(&[0x0089]));
        let text = of("abb-b23", true);
        assert!(text[0].fits(&[0x4232, 0x3320]) && !text[0].fits(&[0x4232, 0x3420]));
        let point = notation::nameless(Table::Holding, 0, Encoding::U16, Order::Abcd);
        let words = Test::Words { vendor: Some("Acme".to_owned()), product: None };
        let acme = Fingerprint { profile: "x".into(), sure: true, point: None, test: words };
        assert!(acme.fits_words((Some("ACME Ltd"), None)) && !acme.fits_words((None, Some("Acme"))));
        let range = Fingerprint { point: Some(point), test: Test::Range(45.0, 65.0), ..acme };
        assert!(range.fits(&[50]) && !range.fits(&[66]) && !range.fits_words((Some("acme"), None)));
    }
}
