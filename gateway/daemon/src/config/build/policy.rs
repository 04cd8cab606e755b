//! `[policy]`: what may leave the hub.

use std::collections::BTreeSet;

use curb_model::{Glob, Name};
use curb_pipeline::{PluginConfig, Policy, Text};

use super::field::FieldNames;
use super::{Part, fixed, plugin};
use crate::config::node::Node;
use crate::config::report::Report;
use crate::config::schema;

/// Reads the policy. One that is wrong is in the report, and no hub runs on it.
pub(super) fn build(root: &Node, field: &FieldNames, plugins: &[PluginConfig], report: &mut Report) -> Policy {
    let Some(part): Option<Part<'_, schema::Policy>> = fixed::section(root, "policy", report) else {
        return Policy::default();
    };
    let names: BTreeSet<Name> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    let mut globs = |key, texts: &Option<Vec<String>>| -> Option<Vec<Glob>> {
        texts.as_ref().map(|texts| plugin::globs(&part, key, texts, field, &names, report))
    };
    let (allow, deny) = (globs("allow", &part.raw.allow), globs("deny", &part.raw.deny));
    let text = match part.raw.text {
        Some(schema::PolicyText::Deny) => Text::Deny,
        Some(schema::PolicyText::Allow) | None => Text::Allow,
    };
    Policy { allow, deny: deny.unwrap_or_default(), text }
}
