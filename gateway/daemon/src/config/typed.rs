//! From a table of the merged tree to its schema type, past every fault in it.
//!
//! Serde stops at the first value that does not fit. So that value is told and taken out, and the table is read again,
//! until the rest fits: one pass of `curb check` names all of them.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_ignored::Path;
use serde_path_to_error::{Segment, Track};

use super::node::{Node, Wanted};
use super::problem::{Misfit, did_you_mean};
use super::report::{Key, Report};
use super::schema;

/// A table of the schema.
pub(super) trait Table: for<'de> Deserialize<'de> + Default {
    /// The keys that the table at `below` this one may have, for "did you mean".
    fn keys(_below: &[String]) -> &'static [&'static str] {
        keys_of::<Self>()
    }
}

impl Table for schema::Hub {}
impl Table for schema::Core {}
impl Table for schema::Identity {}
impl Table for schema::Paths {}
impl Table for schema::Clock {}
impl Table for schema::Log {}
impl Table for schema::Store {}
impl Table for schema::Plugins {}
impl Table for schema::Policy {}
impl Table for schema::Plugin {}

impl Table for schema::Bus {
    fn keys(below: &[String]) -> &'static [&'static str] {
        if below.is_empty() { keys_of::<Self>() } else { keys_of::<schema::Frame>() }
    }
}

impl Table for schema::Device {
    fn keys(below: &[String]) -> &'static [&'static str] {
        match below {
            [] => keys_of::<Self>(),
            [list, ..] if list == "setup" => keys_of::<schema::Setup>(),
            [table, ..] if table == "checksum" => keys_of::<schema::Checksum>(),
            [table, ..] if table == "request" => keys_of::<schema::Request>(),
            [_, _, write, ..] if write == "write" => keys_of::<schema::Write>(),
            [..] => keys_of::<schema::Point>(),
        }
    }
}

/// What of the table at `key` fits. `None` when it is no table at all.
pub(super) fn read<T: Table>(node: &Node, key: &[String], report: &mut Report) -> Option<T> {
    let mut rest = node.clone();
    loop {
        let mut track = Track::new();
        let mut unknown: Vec<Key> = Vec::new();
        let deserializer = serde_path_to_error::Deserializer::new(&rest, &mut track);
        let result = serde_ignored::deserialize(deserializer, |path| unknown.push(ignored(&path)));
        let wanted = match result {
            Ok(table) => {
                unknown.iter().for_each(|below| tell_unknown::<T>(node, key, below, report));
                return Some(table);
            }
            Err(wanted) => wanted,
        };
        let below = failed(&track.path());
        tell_misfit(&rest, key, &below, &wanted, report);
        if !rest.remove(&below) {
            return None;
        }
    }
}

fn tell_misfit(node: &Node, key: &[String], below: &[String], wanted: &Wanted, report: &mut Report) {
    let at = node.at(below.iter().map(String::as_str)).unwrap_or(node);
    let help = match (wanted, &at.kind) {
        (Wanted::Word(words), super::node::Kind::Text(word)) => did_you_mean(word, words.iter().copied()),
        _ => None,
    };
    let misfit = Misfit { expected: wanted.to_string(), help };
    report.wrong(&at.origin, &[key, below].concat(), at.describe(), misfit);
}

fn tell_unknown<T: Table>(node: &Node, key: &[String], below: &[String], report: &mut Report) {
    let Some((word, parent)) = below.split_last() else {
        return;
    };
    let at = node.at(below.iter().map(String::as_str)).unwrap_or(node);
    let known = T::keys(parent);
    let misfit =
        Misfit { expected: format!("one of {}", known.join(", ")), help: did_you_mean(word, known.iter().copied()) };
    report.wrong(&at.origin, &[key, below].concat(), "an unknown key", misfit);
}

/// The path of an ignored key. Options and newtypes are Rust's affair, not the file's.
fn ignored(path: &Path<'_>) -> Key {
    match path {
        Path::Root => Key::new(),
        Path::Seq { parent, index } => [ignored(parent), vec![index.to_string()]].concat(),
        Path::Map { parent, key } => [ignored(parent), vec![key.clone()]].concat(),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => ignored(parent),
    }
}

/// The path of the value that did not fit.
fn failed(path: &serde_path_to_error::Path) -> Key {
    let parts = path.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    parts.collect()
}

/// The keys of a schema type. Serde hands them to the deserializer; this one keeps them and reads nothing.
fn keys_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    struct Keys<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Keys<'_> {
        type Error = Wanted;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wanted> {
            Err(Wanted::Word(&[]))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Wanted> {
            *self.0 = fields;
            Err(Wanted::Word(fields))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut keys: &'static [&'static str] = &[];
    // The answer is the error itself: nothing was to be read.
    drop(T::deserialize(Keys(&mut keys)));
    keys
}

/// Every key of every table.
#[cfg(test)]
pub(super) fn every_key() -> Vec<&'static str> {
    [
        keys_of::<schema::Hub>(),
        keys_of::<schema::Core>(),
        keys_of::<schema::Identity>(),
        keys_of::<schema::Paths>(),
        keys_of::<schema::Clock>(),
        keys_of::<schema::Log>(),
        keys_of::<schema::Store>(),
        keys_of::<schema::Plugins>(),
        keys_of::<schema::Policy>(),
        keys_of::<schema::Bus>(),
        keys_of::<schema::Frame>(),
        keys_of::<schema::Device>(),
        keys_of::<schema::Setup>(),
        keys_of::<schema::Checksum>(),
        keys_of::<schema::Request>(),
        keys_of::<schema::Point>(),
        keys_of::<schema::Write>(),
        keys_of::<schema::Plugin>(),
    ]
    .concat()
}
