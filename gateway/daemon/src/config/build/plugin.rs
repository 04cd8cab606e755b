//! `[plugin.*]`: which plugins run, in which order, and what they see.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use curb_model::{Glob, Name};
use curb_pipeline::{COMPONENT_SIZE_MOST, Limits, OnFailure, PluginConfig};

use super::field::FieldNames;
use super::fixed::AllPlugins;
use super::{Part, Surroundings, named};
use crate::config::node::Node;
use crate::config::notation;
use crate::config::problem::{Misfit, did_you_mean};
use crate::config::report::Report;
use crate::config::schema;
use crate::config::typed::Table;

/// Less than a component has is of no use; the most is what a runtime of another language needs.
const COMPONENT_SIZE: RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::b(COMPONENT_SIZE_MOST);
/// WebAssembly grows by pages of 64 KiB; the most is what a hub of 1 GB can spare.
const MEMORY: RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::mib(256);
/// Calls are timed in steps of 5 ms; readings wait in memory behind a call.
const CALL_TIME: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
/// The compiler's own end is in whole seconds.
const COMPILE_TIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
/// Less than a small filter needs, to what a hub of 1 GB can spare for a while.
const COMPILE_MEMORY: RangeInclusive<ByteSize> = ByteSize::mib(16)..=ByteSize::mib(768);

/// Reads the plugins, in the order in which a reading meets them.
pub(super) fn build(
    root: &Node,
    field: &FieldNames,
    all: &AllPlugins,
    surroundings: Surroundings,
    report: &mut Report,
) -> Vec<PluginConfig> {
    let parts: BTreeMap<Name, Part<'_, schema::Plugin>> = named(root, "plugin", report);
    let names: BTreeSet<Name> = parts.keys().cloned().collect();
    let mut plugins = Vec::new();
    for (name, part) in &parts {
        if field.devices.contains(name) {
            let misfit = Misfit::expected("a name that no device has: both own points and streams by their names");
            report.wrong(part.origin(&[]), &part.key(&[]), format!("the name {:?}", name.as_str()), misfit);
        }
        let plugin = plugin(name, part, field, &names, all, surroundings, report);
        plugins.extend(plugin.map(|plugin| (part.raw.order.unwrap_or(0), plugin)));
    }
    // By name within one order, since the table is by name: stable over reloads.
    plugins.sort_by_key(|(order, _)| *order);
    plugins.into_iter().map(|(_, plugin)| plugin).collect()
}

fn plugin(
    name: &Name,
    part: &Part<'_, schema::Plugin>,
    field: &FieldNames,
    plugins: &BTreeSet<Name>,
    all: &AllPlugins,
    surroundings: Surroundings,
    report: &mut Report,
) -> Option<PluginConfig> {
    let raw = &part.raw;
    part.missing(&["component"], Misfit::expected("the plugin's file: component = \"deadband.wasm\""), report);
    part.missing(&["points"], Misfit::expected("what it sees: points = [\"meter/*\"]"), report);
    let component = component(part, all.dir.as_deref(), surroundings, report);
    let points = raw.points.as_ref().map(|points| {
        if points.is_empty() {
            part.wrong(&["points"], Misfit::expected("at least one glob, such as \"meter/*\""), report);
        }
        for (index, _) in points.iter().enumerate().filter(|(_, text)| is_of(text, plugins)) {
            let misfit = Misfit::expected("points of devices: no plugin sees what another one makes");
            part.doubtful(&["points", &index.to_string()], misfit, report);
        }
        globs(part, "points", points, field, plugins, report)
    });
    let limits = limits(part, report);
    Some(PluginConfig {
        name: name.clone(),
        component: component?,
        points: points?,
        settings: raw.settings.clone().unwrap_or_default().into(),
        // The hub's, and not a setting: see `secret`.
        seed: Vec::new(),
        engine: all.engine,
        on_failure: raw.on_failure.map_or_else(OnFailure::default, |on_failure| match on_failure {
            schema::OnFailure::Pass => OnFailure::Pass,
            schema::OnFailure::Drop => OnFailure::Drop,
            schema::OnFailure::Hold => OnFailure::Hold,
        }),
        limits,
    })
}

/// The defaults, where the configuration says nothing or something wrong.
fn limits(part: &Part<'_, schema::Plugin>, report: &mut Report) -> Limits {
    let raw = &part.raw;
    let mut size = |key, text: Option<&schema::Quantity>, range| {
        part.notation(&[key], text.map(|text| text.0.as_str()), |text| notation::size(text, range), report)
    };
    let component = size("component_size", raw.component_size.as_ref(), &COMPONENT_SIZE);
    let memory = size("memory", raw.memory.as_ref(), &MEMORY);
    let compile_memory = size("compile_memory", raw.compile_memory.as_ref(), &COMPILE_MEMORY);
    let call_time = part.duration("call_time", raw.call_time.as_ref(), &CALL_TIME, report);
    let compile_time = part.duration("compile_time", raw.compile_time.as_ref(), &COMPILE_TIME, report);
    let limits = Limits::default();
    Limits {
        component: component.map_or(limits.component, |size| size.as_u64()),
        memory: memory.map_or(limits.memory, |memory| memory.as_u64()),
        call_time: call_time.unwrap_or(limits.call_time),
        compile_time: compile_time.unwrap_or(limits.compile_time),
        compile_memory: compile_memory.map_or(limits.compile_memory, |memory| memory.as_u64()),
        ..limits
    }
}

fn component(
    part: &Part<'_, schema::Plugin>,
    dir: Option<&Path>,
    surroundings: Surroundings,
    report: &mut Report,
) -> Option<PathBuf> {
    let text = part.raw.component.as_deref()?;
    let path = if Path::new(text).is_absolute() { PathBuf::from(text) } else { dir?.join(text) };
    if surroundings == Surroundings::Checked && !path.is_file() {
        let misfit = Misfit::expected(format!("a file: there is none at {}", path.display()))
            .help("a path that is not absolute is looked up in [plugins] dir");
        part.wrong(&["component"], misfit, report);
    }
    Some(path)
}

/// Whether a glob is over the points of one of these plugins.
fn is_of(glob: &str, plugins: &BTreeSet<Name>) -> bool {
    glob.split_once('/').is_some_and(|(owner, _)| plugins.iter().any(|name| name.as_str() == owner))
}

/// Globs over points, below `key`. One that no point matches is doubtful.
pub(super) fn globs<T: Table>(
    part: &Part<'_, T>,
    key: &str,
    texts: &[String],
    field: &FieldNames,
    plugins: &BTreeSet<Name>,
    report: &mut Report,
) -> Vec<Glob> {
    let mut globs = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let index = index.to_string();
        let below = [key, index.as_str()];
        let Ok(glob) = Glob::parse(text) else {
            let help = Glob::parse(&format!("{text}/*")).is_ok().then(|| format!("did you mean \"{text}/*\"?"));
            let misfit =
                Misfit { expected: "a glob over device/point, such as \"meter/*\" or \"*/power\"".to_owned(), help };
            part.wrong(&below, misfit, report);
            continue;
        };
        // What points a plugin will make is known only when it runs.
        if text != "*" && !is_of(text, plugins) && !field.points.iter().any(|point| glob.matches(point)) {
            let points: Vec<_> = field.points.iter().map(ToString::to_string).collect();
            let help = did_you_mean(text, points.iter().map(String::as_str));
            let misfit = Misfit { expected: "a glob that some point matches".to_owned(), help };
            part.doubtful(&below, misfit, report);
        }
        globs.push(glob);
    }
    globs
}
