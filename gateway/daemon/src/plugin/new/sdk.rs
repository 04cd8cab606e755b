//! The author's crate and the contract as they were when this binary was built, as a folder that needs nothing beside it.
//!
//! In the checkout the crate takes version, lints and dependencies from its workspace. Here they are written out, without what its own
//! tests need. The lock file has the versions that Curb's own plugins are built and tested with. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use toml::{Table, Value};

/// Files below `plugins/`, by their paths there.
static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// What the members of the plugins' workspace share.
const WORKSPACE: &str = include_str!("../../../../../plugins/Cargo.toml");

/// Which versions they are built with.
const LOCK: &str = include_str!("../../../../../plugins/Cargo.lock");

/// The crate's own manifest.
const SDK: &str = include_str!("../../../../../plugins/sdk/Cargo.toml");

/// The crate's name in the lock file.
const CRATE: &str = "curb-plugin";

/// Of a project that has just begun, as its manifest says.
const VERSION: &str = "0.1.0";

/// Between two packages of a lock file.
const PACKAGE: &str = "\n[[package]]\n";

/// What is in this binary cannot be used: a mistake of ours, which no author can mend.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("read the {file} that is in this curb")]
    Toml { file: &'static str, source: toml::de::Error },
    #[error("write the manifest of the author's crate")]
    Manifest(#[from] toml::ser::Error),
    #[error("find {0} in the lock file that is in this curb")]
    Unlocked(String),
}

/// The oldest compiler that the author's crate is tested with.
pub(super) fn rust_version() -> String {
    let shared: Option<Table> = WORKSPACE.parse().ok();
    let version = shared.as_ref().and_then(|table| table["workspace"]["package"].get("rust-version")?.as_str());
    version.unwrap_or_default().to_owned()
}

/// All files of the folder, by their paths in it.
pub(super) fn vendored() -> Result<Vec<(PathBuf, String)>, Error> {
    let mut files = Vec::new();
    for (path, text) in FILES {
        let text = if *path == "sdk/Cargo.toml" { alone(text, WORKSPACE)? } else { (*text).to_owned() };
        files.push((PathBuf::from(path), text));
    }
    Ok(files)
}

/// The manifest of a crate without its workspace.
fn alone(manifest: &str, workspace: &str) -> Result<String, Error> {
    let parse = |file, text: &str| text.parse::<Table>().map_err(|source| Error::Toml { file, source });
    let (mut manifest, workspace) = (parse("sdk/Cargo.toml", manifest)?, parse("Cargo.toml", workspace)?);
    manifest.retain(|key, _| key != "dev-dependencies" && key != "lints");
    let shared = workspace.get("workspace");
    let inherit = |table: &mut Table, from: &str| {
        let from = shared.and_then(|shared| shared.get(from));
        for (key, value) in table.iter_mut() {
            if value.get("workspace").and_then(Value::as_bool) == Some(true)
                && let Some(inherited) = from.and_then(|from| from.get(key))
            {
                *value = inherited.clone();
            }
        }
    };
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        inherit(package, "package");
    }
    if let Some(dependencies) = manifest.get_mut("dependencies").and_then(Value::as_table_mut) {
        inherit(dependencies, "dependencies");
    }
    let targets = manifest.get_mut("target").and_then(Value::as_table_mut);
    for (_, target) in targets.into_iter().flatten() {
        if let Some(dependencies) = target.get_mut("dependencies").and_then(Value::as_table_mut) {
            inherit(dependencies, "dependencies");
        }
    }
    Ok(toml::to_string(&manifest)?)
}

/// The lock file of a project of this name, which needs the author's crate and nothing else. It has no package too few, so cargo needs no
/// registry to decide; what only our own tests have it build with, cargo takes out.
pub(super) fn lock(name: &str) -> Result<String, Error> {
    let (head, packages) = LOCK.split_once(PACKAGE).unwrap_or_default();
    let packages: Vec<Package<'_>> = packages.split(PACKAGE).map(|text| Package { text: text.trim_end() }).collect();
    let find = |dependency: &str| {
        let (name, version) = dependency.split_once(' ').unwrap_or((dependency, ""));
        let is_it = |package: &&Package<'_>| {
            package.value("name") == Some(name) && (version.is_empty() || package.value("version") == Some(version))
        };
        packages.iter().find(is_it).ok_or_else(|| Error::Unlocked(dependency.to_owned()))
    };
    let sdk: Table = SDK.parse().map_err(|source| Error::Toml { file: "sdk/Cargo.toml", source })?;
    let direct: BTreeSet<String> = dependencies(&sdk).collect();
    // By name and version, which is the order in the file.
    let mut all: BTreeMap<(&str, &str), String> = BTreeMap::new();
    let mut ahead: Vec<&str> = direct.iter().map(String::as_str).collect();
    while let Some(dependency) = ahead.pop() {
        let package = find(dependency)?;
        let key = (package.value("name").unwrap_or_default(), package.value("version").unwrap_or_default());
        if all.insert(key, package.text.to_owned()).is_none() {
            ahead.extend(package.dependencies());
        }
    }
    // A version stands behind the name where there are two of that name: in this file there may be one.
    let alone: Vec<(String, String)> = all
        .keys()
        .filter(|(name, _)| all.keys().filter(|(other, _)| other == name).count() == 1)
        .map(|(name, version)| (format!("\"{name} {version}\""), format!("\"{name}\"")))
        .collect();
    for text in all.values_mut() {
        *text = alone.iter().fold(std::mem::take(text), |text, (long, short)| text.replace(long, short));
    }
    let version = find(CRATE)?.value("version").ok_or_else(|| Error::Unlocked(CRATE.to_owned()))?;
    all.insert((CRATE, version), ours(CRATE, version, direct.iter().map(String::as_str)));
    all.insert((name, VERSION), ours(name, VERSION, [CRATE].into_iter()));
    Ok(all.values().fold(head.trim_end().to_owned() + "\n", |lock, package| lock + PACKAGE + package + "\n"))
}

/// A package of the lock file.
#[derive(Debug)]
struct Package<'a> {
    text: &'a str,
}

impl<'a> Package<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        let lines = self.text.lines().filter_map(|line| line.split_once(" = "));
        lines.filter(|(found, _)| *found == key).map(|(_, value)| value.trim_matches('"')).next()
    }

    /// Their names; of those that there are two of, with the version.
    fn dependencies(&self) -> impl Iterator<Item = &'a str> {
        let (_, list) = self.text.split_once("dependencies = [\n").unwrap_or_default();
        list.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\","))
    }
}

/// A package of no registry.
fn ours<'a>(name: &str, version: &str, dependencies: impl Iterator<Item = &'a str>) -> String {
    let dependencies: String = dependencies.map(|name| format!(" \"{name}\",\n")).collect();
    format!("name = \"{name}\"\nversion = \"{version}\"\ndependencies = [\n{dependencies}]")
}

/// What a crate needs on any machine, its tests not counted.
fn dependencies(manifest: &Table) -> impl Iterator<Item = String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flatten().filter_map(|(_, target)| target.get("dependencies"));
    let tables = manifest.get("dependencies").into_iter().chain(targets).filter_map(Value::as_table);
    tables.flat_map(|table| table.keys().cloned())
}
