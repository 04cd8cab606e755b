//! The merged tree of all layers: values, and where each was written. It feeds the typed schema by serde, strictly: no
//! number becomes text and no text a number, as the `config` crate's own deserializer would do.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::Origin;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) kind: Kind,
}

/// A value. Dates have no place in a configuration of Curb.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Bool(bool),
    Int(i64),
    /// A whole number beyond `i64`: what a 64-bit register may hold.
    Uint(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Kind {
    /// A table without entries.
    pub(super) const EMPTY: Self = Self::Table(BTreeMap::new());
}

impl Node {
    /// What stands here, for the `found` of a problem.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Bool(b) => b.to_string(),
            Kind::Int(i) => i.to_string(),
            Kind::Uint(i) => i.to_string(),
            Kind::Float(x) => x.to_string(),
            Kind::Text(t) => format!("{:?}", shorten(t.clone())),
            Kind::List(elements) => {
                let elements: Vec<_> = elements.iter().map(Self::describe).collect();
                shorten(format!("[{}]", elements.join(", ")))
            }
            Kind::Table(_) => "a table".to_owned(),
        }
    }

    /// The entries, when this is a table.
    pub(super) const fn table(&self) -> Option<&BTreeMap<String, Self>> {
        match &self.kind {
            Kind::Table(entries) => Some(entries),
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The entries, when this is a table, to be changed.
    pub(super) const fn table_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match &mut self.kind {
            Kind::Table(entries) => Some(entries),
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The node at `path` below this one. A list's elements are addressed by their number.
    pub(super) fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |node, key| match &node.kind {
            Kind::Table(entries) => entries.get(key),
            Kind::List(elements) => elements.get(key.parse::<usize>().ok()?),
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) | Kind::Text(_) => None,
        })
    }

    /// Takes out what stands at `path`: a list as a whole where an element itself is meant, since an element's place is
    /// its name. `false` when nothing stands there, or `path` is this node itself.
    pub(super) fn remove(&mut self, path: &[String]) -> bool {
        let Some((key, rest)) = path.split_first() else { return false };
        match &mut self.kind {
            Kind::Table(entries) => {
                entries.get_mut(key).is_some_and(|node| node.remove(rest)) || entries.remove(key).is_some()
            }
            Kind::List(elements) => {
                let element = key.parse().ok().and_then(|index: usize| elements.get_mut(index));
                element.is_some_and(|element| element.remove(rest))
            }
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) | Kind::Text(_) => false,
        }
    }
}

/// Cut where a line of a terminal would end: the place is named anyway.
fn shorten(mut text: String) -> String {
    const CHARACTERS: usize = 60;
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What a schema type wanted instead. What was found is known from the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A description.
    Shape(String),
    /// One of these words.
    Word(&'static [&'static str]),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(text) => f.write_str(text),
            Self::Word(words) => {
                for (i, word) in words.iter().enumerate() {
                    let comma = match i {
                        0 => "",
                        _ if i + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{comma}{word:?}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Wanted {}

impl de::Error for Wanted {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let text = expected.to_string();
        // Serde's words for its built-in types; our own types bring theirs by `expecting`.
        Self::Shape(match text.as_str() {
            "i64" => "a whole number".to_owned(),
            "f64" => "a number".to_owned(),
            "a string" => "text in quotes".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "a table".to_owned(),
            _ => text,
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Shape(expected.to_string())
    }

    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self::Word(words)
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Wanted;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        match &self.kind {
            Kind::Bool(b) => visitor.visit_bool(*b),
            Kind::Int(i) => visitor.visit_i64(*i),
            Kind::Uint(i) => visitor.visit_u64(*i),
            Kind::Float(x) => visitor.visit_f64(*x),
            Kind::Text(t) => visitor.visit_borrowed_str(t),
            Kind::List(elements) => visitor.visit_seq(SeqDeserializer::new(elements.iter())),
            Kind::Table(entries) => {
                visitor.visit_map(MapDeserializer::new(entries.iter().map(|(key, node)| (key.as_str(), node))))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wanted> {
        visitor.visit_newtype_struct(self)
    }

    /// Enumerations of the schema are words.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wanted> {
        match &self.kind {
            Kind::Text(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) | Kind::List(_) | Kind::Table(_) => {
                Err(Wanted::Word(words))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Wanted> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
