//! Who a unit is, in its own words: device identification (function 43 / 14) and server id (function 17).
//!
//! Deliberately absent: a guess. A unit that says nothing of itself is a unit.

use std::fmt::{self, Write as _};

use curb_source::{Outcome, Probe, Question, Table};
use serde::Serialize;

use super::super::Error;
use super::super::line::Line;

/// Longest text that is shown of a unit's words.
const LONGEST: usize = 60;

/// What a unit says of itself.
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
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.identification.as_slice(), &self.server_id) {
            ([], None) => f.write_str("says nothing of itself"),
            ([], Some(id)) => write!(f, "server id {id}"),
            (objects, _) => f.write_str(&objects.join(" ")),
        }
    }
}

/// Asks a unit who it is. `first` is what it said to a read of holding:0.
pub(super) async fn identify(
    line: &Line,
    with: impl Fn(Question) -> Probe,
    first: &Outcome,
) -> Result<Identity, Error> {
    let mut identity = Identity::default();
    if let Outcome::Identity(objects) = line.probe(with(Question::Identify)).await?.outcome {
        identity.identification =
            objects.iter().map(|(_, value)| text(value)).filter(|text| !text.is_empty()).collect();
    }
    if identity.identification.is_empty()
        && let Outcome::ServerId(bytes) = line.probe(with(Question::ServerId)).await?.outcome
    {
        identity.server_id = Some(text(&bytes)).filter(|text| !text.is_empty());
    }
    identity.readable = if matches!(first, Outcome::Registers(_)) {
        Some("holding:0")
    } else {
        let input = Question::Read { table: Table::Input, address: 0, quantity: 1 };
        let outcome = line.probe(with(input)).await?.outcome;
        matches!(outcome, Outcome::Registers(_)).then_some("input:0")
    };
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
