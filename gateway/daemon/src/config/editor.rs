//! `curb schema`: the JSON Schema (2020-12) of a config file, for editors.
//!
//! The shape is asked of the `schema` types themselves: a deserializer that reads nothing answers each field with
//! something that fits, and notes what was wanted. So a key cannot be in the program and not in its schema. What a key
//! means stands in the comments of `curb.example.toml`, which tests hold to the truth; here they become descriptions.
//!
//! Deliberately absent: what `curb check` alone can tell, such as the notation of a duration, and keys that must be there.
//! A file is one layer of several.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Expected, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, json};

use super::node::Wanted;
use super::schema;

const EXAMPLE: &str = include_str!("../../curb.example.toml");
const DEFAULTS: &str = include_str!("defaults.toml");

/// What buses, devices, points and plugins may be called.
const NAME: &str = "^[a-z0-9-]{1,32}$";

/// The whole document.
pub(crate) fn json_schema() -> Value {
    let descriptions = descriptions(EXAMPLE);
    let defaults: toml::Table = toml::from_str(DEFAULTS).expect("every start of the daemon reads the same text");
    let mut sections = Map::new();
    let mut add = |name: &str, shape: &Shape, named: bool| {
        let path = if named { format!("{name}.*") } else { name.to_owned() };
        let mut table = shape.schema(&path, &descriptions);
        for (key, default) in defaults.get(name).and_then(toml::Value::as_table).into_iter().flatten() {
            if let Some(property) = table["properties"].get_mut(key) {
                property["default"] = json!(default);
            }
        }
        if named {
            table = json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": table });
        }
        sections.insert(name.to_owned(), table);
    };
    add("hub", &shape_of::<schema::Hub>(), false);
    add("core", &shape_of::<schema::Core>(), false);
    add("identity", &shape_of::<schema::Identity>(), false);
    add("paths", &shape_of::<schema::Paths>(), false);
    add("clock", &shape_of::<schema::Clock>(), false);
    add("log", &shape_of::<schema::Log>(), false);
    add("store", &shape_of::<schema::Store>(), false);
    add("plugins", &shape_of::<schema::Plugins>(), false);
    add("policy", &shape_of::<schema::Policy>(), false);
    add("bus", &shape_of::<schema::Bus>(), true);
    add("device", &shape_of::<schema::Device>(), true);
    add("plugin", &shape_of::<schema::Plugin>(), true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "curb.toml",
        "description": "A config file of curb, or a drop-in of conf.d. `curb check` tells more than this can.",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
    })
}

/// What the comments of the example say of each key, by its path, with `*` for names: `device.*.point.*.scale`. A
/// comment goes on in lines that have nothing else; the first one counts.
fn descriptions(example: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut table, mut open) = (String::new(), None);
    for line in example.lines() {
        // Settings that are shown with their default are commented out.
        let setting = line.strip_prefix('#').unwrap_or(line);
        if let Some(header) = setting.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            table = general(header);
            open = None;
        } else if let Some(more) = line.trim_start().strip_prefix("# ").filter(|_| line.starts_with(' ')) {
            if let Some(text) = open.as_ref().and_then(|path| found.get_mut(path)) {
                *text = format!("{text} {more}");
            }
        } else if let Some((key, text)) = setting.split_once(" = ").zip(comment(setting)).map(|((key, _), c)| (key, c))
        {
            let path = format!("{table}.{key}");
            open = (!found.contains_key(&path)).then(|| path.clone());
            found.entry(path).or_insert_with(|| text.to_owned());
        } else {
            open = None;
        }
    }
    found
}

/// What stands behind the last number sign that is no part of a value.
fn comment(line: &str) -> Option<&str> {
    line.rsplit_once(" # ").map(|(_, text)| text)
}

/// The path of a table, with `*` for names.
fn general(header: &str) -> String {
    let parts = header.split('.').enumerate().map(|(depth, part)| {
        // [device.NAME.point.NAME]; fixed sections have one level.
        if depth % 2 == 1 { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Anything,
    Text,
    Whole,
    Number,
    Truth,
    /// A truth, a number or a text.
    Scalar,
    Word(&'static [&'static str]),
    List(Box<Shape>),
    /// A table with names of the writer's choice.
    Named(Box<Shape>),
    Table(Vec<(&'static str, Shape)>),
}

impl Shape {
    fn schema(&self, path: &str, descriptions: &BTreeMap<String, String>) -> Value {
        let mut value = match self {
            Self::Anything => json!({}),
            Self::Text => json!({ "type": "string" }),
            Self::Whole => json!({ "type": "integer" }),
            Self::Number => json!({ "type": "number" }),
            Self::Truth => json!({ "type": "boolean" }),
            Self::Scalar => json!({ "type": ["boolean", "number", "string"] }),
            Self::Word(words) => json!({ "enum": words }),
            Self::List(element) => json!({ "type": "array", "items": element.schema(path, &BTreeMap::new()) }),
            Self::Named(element) => {
                json!({ "type": "object", "additionalProperties": element.schema(&format!("{path}.*"), descriptions) })
            }
            Self::Table(keys) => {
                let properties: Map<_, _> = keys
                    .iter()
                    .map(|(key, shape)| ((*key).to_owned(), shape.schema(&format!("{path}.{key}"), descriptions)))
                    .collect();
                json!({ "type": "object", "properties": properties, "additionalProperties": false })
            }
        };
        if let Some(text) = descriptions.get(path) {
            value["description"] = text.as_str().into();
        }
        value
    }
}

fn shape_of<T: for<'de> Deserialize<'de>>() -> Shape {
    let mut shape = Shape::Anything;
    // What is read is made up.
    drop(T::deserialize(Probe(&mut shape)));
    shape
}

/// Notes what is asked for, and gives something that fits.
struct Probe<'a>(&'a mut Shape);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Wanted;

    /// The types with a notation of their own say what they take.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        let wanted: &dyn Expected = &visitor;
        match wanted.to_string().as_str() {
            "text in quotes" => self.deserialize_str(visitor),
            "a whole number" => self.deserialize_i64(visitor),
            "true, false, a number, or text in quotes" => {
                *self.0 = Shape::Scalar;
                visitor.visit_bool(false)
            }
            _ => visitor.visit_bool(false),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        visitor.visit_some(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        *self.0 = Shape::Text;
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        self.deserialize_str(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        *self.0 = Shape::Whole;
        visitor.visit_i64(0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        *self.0 = Shape::Number;
        visitor.visit_f64(0.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        *self.0 = Shape::Truth;
        visitor.visit_bool(false)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wanted> {
        *self.0 = Shape::Word(words);
        let first = words.first().copied().unwrap_or_default();
        visitor.visit_enum(word(first))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        let mut element = Shape::Anything;
        let list = visitor.visit_seq(Once(Some(&mut element)));
        *self.0 = Shape::List(Box::new(element));
        list
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wanted> {
        let mut element = Shape::Anything;
        let map = visitor.visit_map(Once(Some(&mut element)));
        *self.0 = Shape::Named(Box::new(element));
        map
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wanted> {
        let mut table = Vec::with_capacity(keys.len());
        let value = visitor.visit_map(Each { keys, table: &mut table });
        *self.0 = Shape::Table(table);
        value
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// A word of an enumeration or a key of a table, as serde takes it.
fn word(text: &str) -> StrDeserializer<'_, Wanted> {
    text.into_deserializer()
}

/// A list of one element, or a table of one entry.
struct Once<'a>(Option<&'a mut Shape>);

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Wanted;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wanted> {
        self.0.take().map(|shape| seed.deserialize(Probe(shape))).transpose()
    }
}

impl<'de> MapAccess<'de> for Once<'_> {
    type Error = Wanted;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wanted> {
        let key = self.0.is_some().then(|| seed.deserialize(word("name")));
        key.transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wanted> {
        let shape = self.0.take().ok_or(Wanted::Word(&[]))?;
        seed.deserialize(Probe(shape))
    }
}

/// Every key of a table.
struct Each<'a> {
    keys: &'static [&'static str],
    table: &'a mut Vec<(&'static str, Shape)>,
}

impl<'de> MapAccess<'de> for Each<'_> {
    type Error = Wanted;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wanted> {
        let key = self.keys.get(self.table.len()).map(|key| seed.deserialize(word(key)));
        key.transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wanted> {
        let mut shape = Shape::Anything;
        let value = seed.deserialize(Probe(&mut shape));
        let key = self.keys.get(self.table.len()).copied().unwrap_or_default();
        self.table.push((key, shape));
        value
    }
}
