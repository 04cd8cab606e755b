//! `curb check` of plugins: whether each component would run here, and whether its settings are what it takes. Nothing of a component
//! is run: its world, its code and its manifest are looked at.
//!
//! The boot does not do this: it compiles, and a plugin that is no plugin must not stop a hub.

use boon::{CompileError, Compiler, ErrorKind, InstanceToken, SchemaIndex, Schemas, UrlLoader, ValidationError};
use curb_pipeline::{OnFailure, PluginConfig, inspect_within};
use serde_json::Value;

use crate::config::{Loaded, Merged, Problem};

/// The name of a plugin's schema, for the validator.
const PLACE: &str = "curb:settings";

/// Problems at most of one plugin: more tell nothing new.
const PROBLEMS: usize = 20;

/// What is wrong with the plugins.
#[derive(Debug, Default)]
pub(crate) struct Unfit {
    /// Settings that are not what the plugin takes.
    pub(crate) settings: Vec<Problem>,
    /// Components that a hub would not run, and why.
    pub(crate) components: Vec<String>,
}

/// Looks at all plugins.
pub(crate) fn of(loaded: &Loaded) -> Unfit {
    let mut unfit = Unfit::default();
    for plugin in loaded.settings.iter().flat_map(|settings| &settings.pipeline.plugins) {
        match inspect_within(&plugin.component, plugin.limits.component) {
            Err(error) => {
                let why = crate::chain(&error);
                unfit.components.push(format!("plugin.{}.component: failed to {why}", plugin.name));
            }
            Ok(inspected) => {
                let Some(manifest) = inspected.manifest else { continue };
                if manifest.withholds && plugin.on_failure == OnFailure::Pass {
                    let key = ["plugin", plugin.name.as_str(), "on_failure"].map(str::to_owned);
                    let expected = "\"drop\" or \"hold\": what this plugin sees must not leave the hub as it is";
                    unfit.settings.push(loaded.merged.problem(&key, "\"pass\"".to_owned(), expected.to_owned()));
                }
                let Some(schema) = manifest.settings else { continue };
                match wrong(plugin, &schema, &loaded.merged) {
                    Ok(problems) => unfit.settings.extend(problems),
                    Err(why) => unfit.components.push(format!("plugin.{}.component: {why}", plugin.name)),
                }
            }
        }
    }
    unfit
}

/// Why this schema of settings cannot be used, if it cannot.
pub(crate) fn unusable(schema: &Value) -> Option<String> {
    compile(schema, &mut Schemas::new()).err()
}

/// The schema, ready for use in `schemas`; or why it cannot be used.
fn compile(schema: &Value, schemas: &mut Schemas) -> Result<SchemaIndex, String> {
    let bad = |why: CompileError| format!("the schema of its settings cannot be used: {why}");
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(Nowhere));
    compiler.add_resource(PLACE, schema.clone()).map_err(bad)?;
    compiler.compile(PLACE, schemas).map_err(bad)
}

/// Settings that the schema does not take; or why the schema cannot be used.
fn wrong(plugin: &PluginConfig, schema: &Value, merged: &Merged) -> Result<Vec<Problem>, String> {
    let mut schemas = Schemas::new();
    let compiled = compile(schema, &mut schemas)?;
    // Without settings the plugin gets an empty table.
    let empty = Value::Object(serde_json::Map::new());
    let settings = if plugin.settings.is_null() { &empty } else { &plugin.settings };
    let Err(error) = schemas.validate(settings, compiled) else { return Ok(Vec::new()) };
    let mut leaves = Vec::new();
    collect(&error, &mut leaves);
    Ok(leaves.into_iter().take(PROBLEMS).map(|leaf| problem(leaf, plugin, settings, merged)).collect())
}

/// A schema has nothing to fetch, from the disk or from anywhere.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("it refers to {url}").into())
    }
}

/// What is wrong in the end: an error of a table is one of its entries.
fn collect<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>, leaves: &mut Vec<&'e ValidationError<'s, 'v>>) {
    if error.causes.is_empty() {
        leaves.push(error);
    }
    error.causes.iter().for_each(|cause| collect(cause, leaves));
}

fn problem(error: &ValidationError<'_, '_>, plugin: &PluginConfig, settings: &Value, merged: &Merged) -> Problem {
    let text = |token: &InstanceToken<'_>| match token {
        InstanceToken::Prop(name) => name.to_string(),
        InstanceToken::Item(index) => index.to_string(),
    };
    let mut below: Vec<String> = error.instance_location.tokens.iter().map(text).collect();
    let mut expected = error.kind.to_string();
    if let ErrorKind::AdditionalProperties { got } = &error.kind {
        expected = "a setting that this plugin has".to_owned();
        below.extend(got.first().map(|name| name.to_string()));
    }
    let found = below.iter().try_fold(settings, |value, key| match value {
        Value::Array(elements) => elements.get(key.parse::<usize>().ok()?),
        Value::Object(entries) => entries.get(key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    });
    let key: Vec<String> =
        ["plugin", plugin.name.as_str(), "settings"].into_iter().map(str::to_owned).chain(below).collect();
    merged.problem(&key, found.map_or_else(|| "nothing".to_owned(), ToString::to_string), expected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_of_a_stranger_fetches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("schema.json");
        std::fs::write(&file, "{}").unwrap();
        let local = format!("file://{}", file.display());
        for target in [local.as_str(), "https://example.net/schema.json"] {
            let error = compile(&json!({ "$ref": target }), &mut Schemas::new()).expect_err(target);
            assert!(error.contains(target), "{error}");
        }
        // What it has in itself, and the metaschemas, are there.
        let fine = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": { "n": { "type": "number" } },
            "properties": { "a": { "$ref": "#/$defs/n" } }
        });
        let mut schemas = Schemas::new();
        let compiled = compile(&fine, &mut schemas).unwrap();
        assert!(schemas.validate(&json!({ "a": 1 }), compiled).is_ok());
        assert!(schemas.validate(&json!({ "a": "1" }), compiled).is_err());
        assert!(compile(&json!({ "type": "nonsense" }), &mut Schemas::new()).is_err());
    }
}
