//! Who a unit is: in its own words (functions 43 / 14 and 17), and by the profiles' fingerprints.
//!
//! Deliberately absent: a guess. A unit that says nothing of itself and fits no fingerprint is a unit.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use curb_model::Reason;
use curb_source::{Outcome, Probe, Question, Table};
use serde::Serialize;

use super::super::Error;
use super::super::line::Line;
use super::super::read::as_registers;
use super::fingerprint::{Fingerprint, Strength, weigh};

/// Longest text that is shown of a unit's words.
const LONGEST: usize = 60;

/// A unit that lets so many reads go by in silence is not asked on: some answer only what they know.
const MOST_SILENT: u32 = 2;

/// What is known of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    /// Vendor, product and revision: objects 0 to 2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) identification: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_id: Option<String>,
    /// A register that can be read, for a first point: `holding:0` or `input:0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) readable: Option<&'static str>,
    /// The profile that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// How much speaks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fit: Option<Strength>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.identification.as_slice(), &self.server_id, &self.profile) {
            ([], None, None) => f.write_str("says nothing of itself")?,
            ([], None, Some(_)) => {}
            ([], Some(id), _) => write!(f, "server id {id}  ")?,
            (objects, ..) => write!(f, "{}  ", objects.join(" "))?,
        }
        match (&self.profile, self.fit) {
            (Some(profile), Some(Strength::Sure)) => write!(f, "profile {profile}"),
            (Some(profile), Some(Strength::Likely)) => write!(f, "likely profile {profile}"),
            (Some(profile), _) => write!(f, "possible profile {profile}"),
            (None, _) => Ok(()),
        }
    }
}

/// Asks a unit who it is. `first` is the table that it was found by, and what it said to a read of its first register.
pub(super) async fn identify(
    line: &Line,
    with: impl Fn(Question) -> Probe,
    (table, first): &(Table, Outcome),
    known: &[Fingerprint],
) -> Result<Identity, Error> {
    let mut identity = Identity::default();
    let mut objects: Vec<(u8, String)> = Vec::new();
    if let Outcome::Identity(found) = line.probe(with(Question::Identify)).await?.outcome {
        objects = found.iter().map(|(id, value)| (*id, text(value))).collect();
        let words = objects.iter().map(|(_, text)| text.clone());
        identity.identification = words.filter(|text| !text.is_empty()).collect();
    }
    if identity.identification.is_empty()
        && let Outcome::ServerId(bytes) = line.probe(with(Question::ServerId)).await?.outcome
    {
        identity.server_id = Some(text(&bytes)).filter(|text| !text.is_empty());
    }
    identity.readable = if matches!(first, Outcome::Registers(_)) {
        Some(if *table == Table::Input { "input:0" } else { "holding:0" })
    } else {
        let input = Question::Read { table: Table::Input, address: 0, quantity: 1 };
        let outcome = line.probe(with(input)).await?.outcome;
        matches!(outcome, Outcome::Registers(_)).then_some("input:0")
    };
    let object = |wanted: u8| objects.iter().find(|(id, _)| *id == wanted).map(|(_, text)| text.as_str());
    let words = (object(0), object(1));
    let mut read: BTreeMap<(Table, u16, u16), Option<Vec<u16>>> = BTreeMap::new();
    let mut silent = 0;
    let mut fits = Vec::new();
    for fingerprint in known {
        let fit = match &fingerprint.point {
            None => fingerprint.fits_words(words),
            Some(point) => {
                let (address, quantity) = point.span();
                let key = (point.table, address, quantity);
                if silent < MOST_SILENT && !read.contains_key(&key) {
                    let question = Question::Read { table: point.table, address, quantity };
                    let outcome = line.probe(with(question)).await?.outcome;
                    silent += u32::from(outcome == Outcome::Failed(Reason::Timeout));
                    read.insert(key, as_registers(&outcome));
                }
                read.get(&key).and_then(Option::as_ref).is_some_and(|registers| fingerprint.fits(registers))
            }
        };
        fits.push(fit);
        if fit && fingerprint.sure {
            break;
        }
    }
    if let Some((profile, strength)) = weigh(known, &fits) {
        identity.profile = Some(profile.to_owned());
        identity.fit = Some(strength);
    }
    Ok(identity)
}

/// Printable text as it stands, other bytes as digits: a device's words are not to steer a terminal or a config.
fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes.iter().take(LONGEST) {
        match byte {
            b' '..=b'~' => text.push(char::from(byte)),
            0 => {}
            _ => write!(text, "<{byte:02X}>").expect("a String takes all"),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_words_cannot_steer_a_terminal() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(text(bytes), expected);
        check(b" Acme EM-1 ", "Acme EM-1");
        check(b"\x11\xFFPump\0\0", "<11><FF>Pump");
        check(b"a\x1b[31m\nb", "a<1B>[31m<0A>b");
        assert_eq!(text(&[b'x'; 300]).len(), LONGEST);
    }
}
