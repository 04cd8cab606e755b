//! `curb config show` and `curb schema`: what is set and by whom, and what can be set at all.
//!
//! One setting can hold a secret, the proxy's password: it is shown without. Keys are files, and the settings have their paths.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use crate::cli::{ConfigArgs, FINE, FOUND, USAGE, exit};
use crate::config::{self, Leaf, Origin, did_you_mean, key_text};

/// Columns that a setting may take before the place where it was written stands a line below.
const COLUMNS: usize = 60;

/// `curb config show`.
pub(crate) fn settings(
    args: &ConfigArgs,
    below: Option<&str>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document<'a> {
        v: u32,
        /// Whether the settings can be used.
        ok: bool,
        settings: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        key: String,
        value: Value,
        /// The place as people are told it.
        from: String,
        file: Option<&'a str>,
        line: Option<u32>,
        column: Option<u32>,
    }
    fn entry<'a>(leaf: &'a Leaf<'_>) -> Entry<'a> {
        let (file, position) = leaf.origin.place();
        let (line, column) = position.unzip();
        Entry { key: leaf.path(), value: leaf.shown(), from: from(leaf.origin), file, line, column }
    }
    let loaded = config::load(&crate::sources(args));
    let ok = loaded.problems.is_empty();
    let leaves = loaded.merged.leaves();
    let shown: Vec<_> = leaves.iter().filter(|leaf| below.is_none_or(|below| leaf.is_below(below))).collect();
    if json {
        let settings = shown.iter().map(|leaf| entry(leaf)).collect();
        serde_json::to_writer_pretty(&mut *out, &Document { v: 1, ok, settings })?;
        writeln!(out)?;
    } else {
        for leaf in &shown {
            let setting = format!("{} = {}", leaf.path(), toml_text(&leaf.shown()));
            if setting.chars().count() > COLUMNS {
                writeln!(out, "{setting}\n{:COLUMNS$} # {}", "", from(leaf.origin))?;
            } else {
                writeln!(out, "{setting:COLUMNS$} # {}", from(leaf.origin))?;
            }
        }
        if let (Some(below), true) = (below, shown.is_empty()) {
            let keys: Vec<String> = leaves.iter().flat_map(Leaf::paths).collect();
            let near = did_you_mean(below, keys.iter().map(String::as_str)).map(|near| format!("; {near}"));
            writeln!(out, "# nothing is set at {below}{}", near.unwrap_or_default())?;
        }
        if !ok {
            let (count, s) = (loaded.problems.len(), if loaded.problems.len() == 1 { "" } else { "s" });
            writeln!(out, "# {count} problem{s}: these settings cannot be used; `curb check` tells why")?;
        }
    }
    Ok(exit(match (ok, shown.is_empty()) {
        (false, _) => USAGE,
        (true, true) => FOUND,
        (true, false) => FINE,
    }))
}

/// `curb schema`.
pub(crate) fn schema(out: &mut impl Write) -> io::Result<ExitCode> {
    serde_json::to_writer_pretty(&mut *out, &config::json_schema())?;
    writeln!(out)?;
    Ok(exit(FINE))
}

/// Where a setting was written; a profile of the binary by its name, for there is no such file to open.
fn from(origin: &Origin) -> String {
    let built_in = origin.place().0.and_then(|file| file.strip_prefix("built-in/")?.strip_suffix(".toml"));
    built_in.map_or_else(|| origin.to_string(), |name| format!("profile {name}"))
}

/// A value as it may stand in a config file.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!("[{}]", elements.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{} = {}", key_text(&[key]), toml_text(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        // A scalar of JSON is one of TOML, escapes included, and stays on its line.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
