//! From TOML text to values for the `config` crate, noting for every key where it was written.
//!
//! The parser recovers after a fault, so one pass finds every syntax error, and what stands between them still counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Misfit, Origin};
use super::report::{Key, Report};

/// Tables and lists inside each other at most. The deepest key of the schema is five down; the rest is for plugins'
/// settings. Protects the stack of everything that walks the tree afterwards.
const MAX_DEPTH: usize = 16;

/// Where each key was written: for values the last writer, for tables the first who wrote a part of it.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<Key, Origin>);

impl Origins {
    /// Where the key was written.
    pub(super) fn get(&self, key: &[String]) -> Origin {
        self.0.get(key).cloned().unwrap_or(Origin::BuiltIn)
    }

    /// Notes who wrote a table. The defaults give way to the first real writer.
    pub(super) fn table(&mut self, key: &[String], origin: Origin) {
        let known = self.0.entry(key.to_vec()).or_insert(Origin::BuiltIn);
        if *known == Origin::BuiltIn {
            *known = origin;
        }
    }

    /// Notes who wrote a value last.
    pub(super) fn value(&mut self, key: &[String], origin: Origin) {
        self.0.insert(key.to_vec(), origin);
    }
}

/// How a byte offset of a text is told to people.
pub(super) enum Places {
    /// By line and column.
    File {
        /// The file's path.
        path: Arc<str>,
        /// Byte offsets at which lines begin, the first at 0.
        lines: Vec<usize>,
        /// The text.
        text: Arc<str>,
    },
    /// All of it at one place.
    One(Origin),
}

impl Places {
    /// Lines and columns in this text.
    pub(super) fn in_file(path: Arc<str>, text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self::File { path, lines, text: text.into() }
    }

    /// Where the byte at `offset` is. Columns count characters, from 1.
    pub(super) fn at(&self, offset: usize) -> Origin {
        match self {
            Self::One(origin) => origin.clone(),
            Self::File { path, lines, text } => {
                let line = lines.partition_point(|&start| start <= offset).max(1);
                let column = text.get(lines[line - 1]..offset).map_or(0, |before| before.chars().count()) + 1;
                let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                Origin::File { path: Arc::clone(path), position: Some((number(line), number(column))) }
            }
        }
    }
}

/// Reads TOML text. Faults go to `report`, places to `origins`.
pub(super) fn parse(text: &str, places: &Places, origins: &mut Origins, report: &mut Report) -> Map<String, Value> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = places.at(error.span().map_or(0, |span| span.start));
        let (found, expected) = syntax(error.message());
        report.unreadable(&at, &[], found, Misfit::expected(expected));
    }
    Reader { places, origins, report, key: Vec::new() }.table(table.get_ref())
}

/// The parser's message, in our two parts.
fn syntax(message: &str) -> (String, String) {
    match message.split_once(", expected ") {
        Some((found, expected)) => (format!("a syntax error ({found})"), expected.to_owned()),
        None => (format!("a syntax error ({message})"), "TOML".to_owned()),
    }
}

struct Reader<'a> {
    places: &'a Places,
    origins: &'a mut Origins,
    report: &'a mut Report,
    key: Key,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> Map<String, Value> {
        let mut values = Map::new();
        for (key, value) in table {
            self.key.push(key.get_ref().to_string());
            let at = self.places.at(key.span().start);
            if let Some(kind) = self.value(value, at) {
                values.insert(key.get_ref().to_string(), Value::new(None, kind));
            }
            self.key.pop();
        }
        values
    }

    /// `None` after a fault, which is then in the report.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: Origin) -> Option<ValueKind> {
        let refuse = |reader: &mut Self, found: String, misfit| {
            reader.report.unreadable(&at, &reader.key, found, misfit);
            None
        };
        if self.key.len() > MAX_DEPTH {
            let expected = format!("at most {MAX_DEPTH} tables or lists inside each other");
            return refuse(self, "a deeper one".to_owned(), Misfit::expected(expected));
        }
        let kind = match value.get_ref() {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Boolean(truth) => ValueKind::Boolean(*truth),
            DeValue::Integer(digits) => match (
                i64::from_str_radix(digits.as_str(), digits.radix()),
                u64::from_str_radix(digits.as_str(), digits.radix()),
            ) {
                (Ok(number), _) => ValueKind::I64(number),
                (Err(_), Ok(number)) => ValueKind::U64(number),
                (Err(_), Err(_)) => {
                    return refuse(self, digits.to_string(), Misfit::expected("a whole number of at most 64 bits"));
                }
            },
            DeValue::Float(digits) => match digits.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => ValueKind::Float(number),
                _ => {
                    return refuse(self, digits.to_string(), Misfit::expected("a finite number"));
                }
            },
            DeValue::Datetime(date) => {
                let help =
                    Misfit::expected("text, a number, true, false, a list or a table").help("put dates in quotes");
                return refuse(self, format!("the date {date}"), help);
            }
            DeValue::Array(elements) => {
                self.origins.value(&self.key, at);
                let mut values = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    self.key.push(index.to_string());
                    let at = self.places.at(element.span().start);
                    values.push(self.value(element, at).map(|kind| Value::new(None, kind)));
                    self.key.pop();
                }
                // A list with a hole would be another list.
                return values.into_iter().collect::<Option<_>>().map(ValueKind::Array);
            }
            DeValue::Table(table) => {
                self.origins.table(&self.key, at);
                return Some(ValueKind::Table(self.table(table)));
            }
        };
        self.origins.value(&self.key, at);
        Some(kind)
    }
}
