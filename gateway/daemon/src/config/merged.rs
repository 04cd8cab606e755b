//! The merged tree for those who show or keep it: each setting with its value and where it was written.

use serde::{Serialize, Serializer};

use super::node::{Kind, Node};
use super::problem::{Origin, Problem, Severity};
use super::proxy;
use super::report::{Key, key_text};

/// All layers merged, right or wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged(pub(super) Node);

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf<'a> {
    /// Its path.
    pub(crate) key: Key,
    /// What it is set to: anything but a table, unless that is empty.
    pub(crate) value: serde_json::Value,
    /// Where.
    pub(crate) origin: &'a Origin,
}

impl Leaf<'_> {
    /// Its path as it is written: `device.lamp.unit_id`.
    pub(crate) fn path(&self) -> String {
        key_text(&self.key)
    }

    /// Its path and those of the tables that it is in, the shortest first.
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        (1..=self.key.len()).map(|depth| key_text(&self.key[..depth]))
    }

    /// What it is set to, as it may be shown.
    pub(crate) fn shown(&self) -> serde_json::Value {
        if proxy::is_secret(&self.key) { proxy::shown(&self.value) } else { self.value.clone() }
    }

    /// Whether this is its path, or that of a table that it is in.
    pub(crate) fn is_below(&self, path: &str) -> bool {
        self.paths().any(|own| own == path)
    }
}

impl Merged {
    /// What is wrong with the setting at `key`: at its place, or that of the table that it should be in.
    pub(crate) fn problem(&self, key: &[String], found: String, expected: String) -> Problem {
        let nodes = (0..=key.len()).rev().find_map(|depth| self.0.at(key[..depth].iter().map(String::as_str)));
        let at = nodes.unwrap_or(&self.0).origin.clone();
        Problem { at, key: key_text(key), severity: Severity::Error, found, expected, help: None }
    }

    /// Every setting, by key.
    pub(crate) fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        collect(&self.0, &mut Vec::new(), &mut leaves);
        leaves
    }
}

/// A list of `{"key": "hub.site", "value": "port-credit", "from": "/etc/curb/curb.toml:2:1"}`.
impl Serialize for Merged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            key: String,
            value: serde_json::Value,
            from: String,
        }
        let leaves = self.leaves();
        serializer.collect_seq(leaves.iter().map(|leaf| Line {
            key: key_text(&leaf.key),
            value: leaf.shown(),
            from: leaf.origin.to_string(),
        }))
    }
}

fn collect<'a>(node: &'a Node, key: &mut Key, leaves: &mut Vec<Leaf<'a>>) {
    match node.table() {
        Some(entries) if !entries.is_empty() => {
            for (part, node) in entries {
                key.push(part.clone());
                collect(node, key, leaves);
                key.pop();
            }
        }
        _ => leaves.push(Leaf { key: key.clone(), value: json(node), origin: &node.origin }),
    }
}

/// Numbers are finite: `locate` lets no other pass.
fn json(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Bool(truth) => (*truth).into(),
        Kind::Int(number) => (*number).into(),
        Kind::Uint(number) => (*number).into(),
        Kind::Float(number) => (*number).into(),
        Kind::Text(text) => text.as_str().into(),
        Kind::List(elements) => elements.iter().map(json).collect(),
        Kind::Table(entries) => entries.iter().map(|(key, node)| (key.clone(), json(node))).collect(),
    }
}
