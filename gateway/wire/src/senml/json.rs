//! SenML JSON (RFC 8428, section 5).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserializer as _, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::member::{Field, Label, Members, Outgoing, Outline, number};
use super::read::{Reader, Wire};
use super::{DOCUMENT, Pack};
use crate::Error;

/// About what the first record has beside its reading, and what a reading takes. Only saves growing.
const HEADER_BYTES: usize = 192;
const RECORD_BYTES: usize = 40;

pub(super) fn encode(pack: &Outgoing<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + pack.len() * RECORD_BYTES);
    serde_json::to_writer(&mut bytes, pack).expect("plain text and finite numbers always serialize");
    bytes
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for record in self.records() {
            list.serialize_element(&record)?;
        }
        list.end()
    }
}

impl Serialize for Outline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Map(serializer.serialize_map(None)?);
        self.write(&mut map)?;
        map.0.end()
    }
}

struct Map<M>(M);

impl<M: SerializeMap> Members for Map<M> {
    type Error = M::Error;

    const UNITS: bool = true;

    fn member(&mut self, label: Label, field: Field<'_>) -> Result<(), M::Error> {
        let label = label.as_str();
        match field {
            Field::Text(text) => self.0.serialize_entry(label, text),
            Field::Shown(text) => self.0.serialize_entry(label, &text),
            Field::Count(count) => self.0.serialize_entry(label, &count),
            Field::Int(int) => self.0.serialize_entry(label, &int),
            Field::Number(x) => self.0.serialize_entry(label, &number(x)),
            Field::Bool(b) => self.0.serialize_entry(label, &b),
            Field::Octets(octets) => self.0.serialize_entry(label, &URL_SAFE_NO_PAD.encode(octets)),
        }
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Pack, Error> {
    let mut records = Records::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = deserializer.deserialize_seq(&mut records).and_then(|()| deserializer.end());
    // The deserializer only knows that we gave up; the reason is ours.
    records.refused.map_or(Ok(()), Err)?;
    read.map_err(|source| Error::Json { document: DOCUMENT, source })?;
    records.reader.finish()
}

/// Takes records as they are read.
#[derive(Default)]
struct Records {
    reader: Reader,
    refused: Option<Error>,
}

impl<'de> Visitor<'de> for &mut Records {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of SenML records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(record) = list.next_element::<Wire<'_>>()? {
            if let Err(error) = self.reader.push(&record) {
                self.refused = Some(error);
                return Err(de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
