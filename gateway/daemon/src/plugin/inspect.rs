//! `curb plugin inspect`: what a component is, what it asks for, and what a hub would refuse. Nothing of it is run.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use curb_pipeline::{Anatomy, Examined, Limits, examine};
use serde_json::{Value, json};

use super::args::InspectArgs;
use crate::cli::{CANNOT, FINE, FOUND, exit, fail};

/// Prints all that shows of a component.
pub(super) fn run(args: &InspectArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    let path = &args.component;
    let examined = match examine(path) {
        Ok(examined) => examined,
        Err(error) => return Ok(fail(&error, CANNOT, args.json, out)),
    };
    let refused = refused(&examined);
    if args.json {
        let mut document = document(path, &examined, &refused);
        document["v"] = 1.into();
        writeln!(out, "{document:#}")?;
    } else {
        print(path, &examined, &refused, out)?;
    }
    Ok(exit(if refused.is_empty() { FINE } else { FOUND }))
}

/// Why a hub would not run it, or `curb check` not let its settings pass.
pub(super) fn refused(examined: &Examined) -> Vec<String> {
    let mut refused: Vec<String> = examined.refused.iter().map(|error| crate::chain(error as &dyn Error)).collect();
    let schema = examined.manifest.as_ref().and_then(|manifest| manifest.settings.as_ref());
    refused.extend(schema.and_then(crate::fit::unusable));
    refused
}

fn document(path: &Path, examined: &Examined, refused: &[String]) -> Value {
    let anatomy = examined.anatomy.as_ref();
    let manifest = examined.manifest.as_ref().map(|manifest| {
        json!({
            "name": manifest.name,
            "version": manifest.version,
            "withholds": manifest.withholds,
            "settings": manifest.settings,
        })
    });
    json!({
        "component": path,
        "digest": examined.digest.as_ref().map(|digest| format!("sha256:{digest}")),
        "contract": anatomy.and_then(Anatomy::contract),
        "world": anatomy.and_then(Anatomy::world).map(|world| world.as_str()),
        "imports": anatomy.map(|anatomy| &anatomy.imports),
        "exports": anatomy.map(|anatomy| &anatomy.exports),
        "sizes": {
            "file": examined.size,
            "code": anatomy.map(|anatomy| anatomy.code),
            "data": anatomy.map(|anatomy| anatomy.data),
            "debug": anatomy.map(|anatomy| anatomy.debug),
            "memory_at_start": anatomy.map(|anatomy| anatomy.memory),
        },
        "manifest": manifest,
        "refused": refused,
    })
}

fn print(path: &Path, examined: &Examined, refused: &[String], out: &mut impl Write) -> io::Result<()> {
    let name = examined.manifest.as_ref().map(|manifest| format!("{} {}", manifest.name, manifest.version));
    writeln!(out, "{}: {}", path.display(), name.as_deref().unwrap_or("without a manifest"))?;
    let mut line = |key: &str, value: &str| writeln!(out, "  {key:<10}{value}");
    if let Some(digest) = &examined.digest {
        line("digest", &format!("sha256:{digest}"))?;
    }
    let Some(anatomy) = &examined.anatomy else {
        line("size", &format!("{} bytes", examined.size))?;
        return verdict(refused, out);
    };
    if let Some(world) = anatomy.world() {
        line("world", &format!("{} of contract {}", world.as_str(), anatomy.contract().unwrap_or("unknown")))?;
    }
    let debug = if anatomy.debug > 0 { format!(", names and debug {}", anatomy.debug) } else { String::new() };
    line("size", &format!("{} bytes: code {}, data {}{debug}", examined.size, anatomy.code, anatomy.data))?;
    let limit = Limits::default().memory;
    line("memory", &format!("{} bytes at start (limit {limit}, unless limits.memory says otherwise)", anatomy.memory))?;
    line("imports", &listed(anatomy.imports.iter().map(String::as_str)))?;
    line("exports", &listed(anatomy.exports.iter().map(String::as_str)))?;
    match &examined.manifest {
        None => line("settings", "curb check cannot check them: there is no manifest")?,
        Some(manifest) => {
            let properties = manifest.settings.as_ref().and_then(|schema| schema.get("properties")?.as_object());
            line("settings", &listed(properties.into_iter().flatten().map(|(name, _)| name.as_str())))?;
            if manifest.withholds {
                line("withholds", "yes: when it fails, its readings are dropped and never pass")?;
            }
        }
    }
    verdict(refused, out)
}

fn verdict(refused: &[String], out: &mut impl Write) -> io::Result<()> {
    if refused.is_empty() {
        return writeln!(out, "a hub would run it");
    }
    writeln!(out, "a hub would refuse it:")?;
    refused.iter().try_for_each(|why| writeln!(out, "  {why}"))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
