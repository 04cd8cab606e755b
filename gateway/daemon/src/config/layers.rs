//! Reads every layer and lays them over each other by the `config` crate.
//!
//! A layer that cannot be read is a problem, and the others are read all the same. Between the files and the environment
//! lies the place of the generation that the fleet commits; nothing fills it yet.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Map, Source, Value, ValueKind};

use super::Sources;
use super::locate::{self, Origins, Places};
use super::node::{Kind, Node};
use super::problem::{Misfit, Origin, did_you_mean};
use super::proxy;
use super::report::{Key, Report};

/// The lowest layer: every key of a fixed section that has a default.
const DEFAULTS: &str = include_str!("defaults.toml");

/// Sections whose keys are known. Only these have a form in the environment.
pub(super) const FIXED: [&str; 9] = ["hub", "core", "identity", "paths", "clock", "log", "store", "plugins", "policy"];

/// Sections that hold a table for each name.
pub(super) const NAMED: [&str; 3] = ["bus", "device", "plugin"];

/// Bytes of one file at most. The largest sensible one, 32 buses of 32 devices, is a third of it. Protects memory when
/// the path leads to a device or a wrong file.
const MAX_FILE: u64 = 4 << 20;

const PREFIX: &str = "CURB__";

/// One layer, ready for the `config` crate.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Layers in their order, and where each of their keys was written.
#[derive(Debug, Default)]
struct Stack {
    layers: Vec<Layer>,
    origins: Origins,
}

/// All layers merged.
pub(super) fn read(sources: &Sources, report: &mut Report) -> Node {
    let mut stack = Stack::default();
    stack.toml(DEFAULTS, &Places::One(Origin::BuiltIn), report);
    stack.file(&sources.main, report);
    for path in drop_ins(&sources.conf_d, report) {
        stack.file(&path, report);
    }
    let mut variables: Vec<_> = sources.environment.iter().collect();
    variables.sort();
    for (name, value) in variables {
        stack.variable(name, value, report);
    }
    for argument in &sources.sets {
        stack.set(argument, report);
    }
    stack.merge()
}

/// The defaults, and over them values that were merged before.
pub(super) fn over_defaults(values: impl IntoIterator<Item = (Key, Value, Origin)>, report: &mut Report) -> Node {
    let mut stack = Stack::default();
    stack.toml(DEFAULTS, &Places::One(Origin::BuiltIn), report);
    for (key, value, origin) in values {
        if key.first().is_some_and(|section| stack.known(section, report)) {
            stack.one(key, value, origin);
        }
    }
    stack.merge()
}

impl Stack {
    /// A layer of TOML text. Unknown sections are told here and go no further: the `config` crate reads the keys at the
    /// root as path expressions, where `"x[999999999]"` would be an index.
    fn toml(&mut self, text: &str, places: &Places, report: &mut Report) {
        let mut values = locate::parse(text, places, &mut self.origins, report);
        values.retain(|section, _| self.known(section, report));
        self.layers.push(Layer(values));
    }

    fn known(&self, section: &str, report: &mut Report) -> bool {
        let mut sections = FIXED.into_iter().chain(NAMED);
        let known = sections.clone().any(|known| known == section);
        if !known {
            let key = [section.to_owned()];
            let expected = sections.clone().collect::<Vec<_>>().join(", ");
            let misfit = Misfit { expected: format!("one of {expected}"), help: did_you_mean(section, &mut sections) };
            report.wrong(&self.origins.get(&key), &key, "an unknown section", misfit);
        }
        known
    }

    fn file(&mut self, path: &Path, report: &mut Report) {
        let shown: Arc<str> = path.display().to_string().into();
        match read_text(path) {
            Ok(text) => self.toml(&text, &Places::in_file(shown, &text), report),
            Err((found, misfit)) => {
                report.unreadable(&Origin::File { path: shown, position: None }, &[], found, misfit);
            }
        }
    }

    /// `CURB__SECTION__KEY=text`. Always text: the fixed sections have nothing else.
    fn variable(&mut self, name: &OsStr, value: &OsStr, report: &mut Report) {
        let shown = name.to_string_lossy();
        let Some(path) = shown.strip_prefix(PREFIX) else {
            return;
        };
        let origin = Origin::Environment(shown.as_ref().into());
        let key: Key = path.split("__").map(str::to_ascii_lowercase).collect();
        let section = key.first().map_or("", String::as_str);
        if NAMED.contains(&section) {
            let misfit =
                Misfit::expected("one of the sections that the environment can set: ".to_owned() + &FIXED.join(", "))
                    .help(format!("write [{section}.…] in a file, or use --set"));
            report.wrong(&origin, &key, format!("a table of [{section}]"), misfit);
        } else if !FIXED.contains(&section) || key.len() < 2 || key.iter().any(String::is_empty) {
            let unknown = !FIXED.contains(&section);
            let misfit = Misfit {
                expected: format!("{PREFIX}SECTION__KEY, with a section of {}", FIXED.join(", ")),
                help: unknown.then(|| did_you_mean(section, FIXED)).flatten(),
            };
            report.wrong(&origin, &[], format!("the variable {shown}"), misfit);
        } else if let Some(text) = value.to_str() {
            self.one(key, Value::new(None, text), origin);
        } else {
            report.unreadable(&origin, &key, "bytes that are no text", Misfit::expected("UTF-8"));
        }
    }

    /// `key.path=value`: a value of TOML where it can be read as one, else text.
    fn set(&mut self, argument: &str, report: &mut Report) {
        let origin = Origin::Set(proxy::without_value(argument).into());
        let document = argument.split_once('=').and_then(|(key, value)| {
            let quoted = toml::Value::String(value.trim().to_owned()).to_string();
            let tries = [argument.to_owned(), format!("{key}={quoted}")];
            tries.into_iter().find(|text| toml::de::DeTable::parse(text).is_ok())
        });
        match document {
            Some(text) => self.toml(&text, &Places::One(origin), report),
            None => {
                let misfit = Misfit::expected("key=value").help("for example --set core.ack=core");
                report.wrong(&origin, &[], format!("{:?}", proxy::without_value(argument)), misfit);
            }
        }
    }

    /// A layer of one value.
    fn one(&mut self, key: Key, value: Value, origin: Origin) {
        for depth in 1..key.len() {
            self.origins.table(&key[..depth], origin.clone());
        }
        if let ValueKind::Array(elements) = &value.kind {
            for index in 0..elements.len() {
                let mut element = key.clone();
                element.push(index.to_string());
                self.origins.value(&element, origin.clone());
            }
        }
        self.origins.value(&key, origin);
        let mut parts = key.into_iter().rev();
        let Some(last) = parts.next() else { return };
        let layer = parts.fold(Map::from([(last, value)]), |inner, part| Map::from([(part, inner.into())]));
        self.layers.push(Layer(layer));
    }

    fn merge(self) -> Node {
        let stack = self.layers.into_iter().fold(Config::builder(), |stack, layer| stack.add_source(layer));
        let merged = stack.build().expect("sources that are in memory cannot fail to collect");
        let entries = merged.cache.kind;
        node(entries, &mut Vec::new(), &self.origins).unwrap_or(Node { origin: Origin::BuiltIn, kind: Kind::EMPTY })
    }
}

/// The tree of one text, with its places.
pub(super) fn tree(text: &str, places: &Places, report: &mut Report) -> Node {
    let mut origins = Origins::default();
    let values = locate::parse(text, places, &mut origins, report);
    node(ValueKind::Table(values), &mut Vec::new(), &origins)
        .unwrap_or(Node { origin: Origin::BuiltIn, kind: Kind::EMPTY })
}

/// Gives each value its place again. `None` for what no layer of ours makes.
fn node(kind: ValueKind, key: &mut Key, origins: &Origins) -> Option<Node> {
    let kind = match kind {
        ValueKind::Boolean(truth) => Kind::Bool(truth),
        ValueKind::I64(number) => Kind::Int(number),
        ValueKind::U64(number) => i64::try_from(number).map_or(Kind::Uint(number), Kind::Int),
        ValueKind::Float(number) => Kind::Float(number),
        ValueKind::String(text) => Kind::Text(text),
        ValueKind::Array(elements) => {
            let mut nodes = Vec::with_capacity(elements.len());
            for (index, element) in elements.into_iter().enumerate() {
                key.push(index.to_string());
                nodes.extend(node(element.kind, key, origins));
                key.pop();
            }
            Kind::List(nodes)
        }
        ValueKind::Table(entries) => {
            let mut nodes = std::collections::BTreeMap::new();
            for (part, value) in entries {
                key.push(part);
                let node = node(value.kind, key, origins);
                let part = key.pop().expect("pushed two lines above");
                nodes.extend(node.map(|node| (part, node)));
            }
            Kind::Table(nodes)
        }
        ValueKind::Nil | ValueKind::I128(_) | ValueKind::U128(_) => {
            return None;
        }
    };
    Some(Node { origin: origins.get(key), kind })
}

/// `conf.d/*.toml` by name. The folder need not exist; files whose names begin with a dot are an editor's.
fn drop_ins(folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    let mut unreadable = |error: &std::io::Error| {
        let at = Origin::File { path: folder.display().to_string().into(), position: None };
        let (found, misfit) = io_problem(error, "a readable folder of *.toml files");
        report.unreadable(&at, &[], found, misfit);
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            unreadable(&error);
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            Err(error) => unreadable(&error),
        }
    }
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| path.extension() == Some(OsStr::new("toml")) && !hidden(path));
    paths.sort();
    paths
}

/// The text of a file, or what was found and expected instead.
pub(super) fn read_text(path: &Path) -> Result<String, (String, Misfit)> {
    let fail = |error: std::io::Error| io_problem(&error, "a readable file");
    // Opening a pipe waits until somebody writes there.
    let about = std::fs::metadata(path).map_err(fail)?;
    if !about.is_file() && !about.is_dir() {
        return Err(("a pipe or device".to_owned(), Misfit::expected("a regular file")));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        let expected = format!("at most {}", bytesize::ByteSize(MAX_FILE));
        return Err(("a larger file".to_owned(), Misfit::expected(expected)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..before].iter().filter(|&&byte| byte == b'\n').count() + 1;
        (format!("bytes that are no text in line {line}"), Misfit::expected("UTF-8"))
    })
}

fn io_problem(error: &std::io::Error, expected: &str) -> (String, Misfit) {
    let expected = Misfit::expected(expected);
    let kind = error.kind();
    if kind == ErrorKind::NotFound {
        let help = "begin with a copy of curb.example.toml, or name another file with --config";
        ("no such file".to_owned(), expected.help(help))
    } else if kind == ErrorKind::PermissionDenied {
        let help = "run as root, or as a member of the group curb";
        ("no permission to read it".to_owned(), expected.help(help))
    } else {
        (error.to_string(), expected)
    }
}
