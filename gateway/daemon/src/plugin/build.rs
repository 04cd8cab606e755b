//! `curb plugin build`: cargo makes the component; beside it stays one with debug information.
//!
//! ```text
//! cargo build ──► target/…/NAME.wasm, with names and lines ──┬──► NAME.debug.wasm, for this machine
//!                                                            └──► strip ──► NAME.wasm, for hubs
//! ```
//!
//! One build, so both have the same code: a place in one is the same place in the other. Deliberately absent: a change of the
//! machine. A compiler that is not there is told of, with what would bring it.

mod toolchain;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use curb_pipeline::{COMPONENT_SIZE_MOST, examine, strip};
use serde::Deserialize;
use serde_json::json;

use super::args::BuildArgs;
use super::inspect::refused;
use crate::cli::{CANNOT, FINE, FOUND, USAGE, complain, exit, fail};

pub(super) use self::toolchain::{Missing, Toolchain};

/// The target: WebAssembly and nothing else, no system below it.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// In place of what the project's profile says: lines in the source, which are then taken out of what goes to hubs. What is compiled
/// for this machine (macros) stays as it is, and need not be compiled anew.
const WITH_LINES: [&str; 4] = [
    "profile.release.debug=\"line-tables-only\"",
    "profile.release.strip=\"none\"",
    "profile.release.build-override.debug=false",
    "profile.release.build-override.strip=true",
];

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("find a project in {}: it has no Cargo.toml; `curb plugin new` begins one", .0.display())]
    NoProject(PathBuf),
    #[error("build for {TARGET}")]
    Toolchain(#[from] Missing),
    #[error("run {program}")]
    Run { program: String, source: io::Error },
    #[error("build: cargo ended with {0}")]
    Cargo(ExitStatus),
    #[error("find the component: the project has no library with crate-type = [\"cdylib\"]")]
    NoLibrary,
    #[error("take debug information out of {}: it is no WebAssembly", .0.display())]
    Strip(PathBuf),
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Examine(#[from] curb_pipeline::Error),
}

impl Error {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::NoProject(_) | Self::NoLibrary => USAGE,
            Self::Cargo(_) => FOUND,
            Self::Toolchain(_)
            | Self::Run { .. }
            | Self::Strip(_)
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Examine(_) => CANNOT,
        }
    }
}

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    /// For hubs.
    pub(super) component: PathBuf,
    /// The same with names and lines.
    pub(super) debug: PathBuf,
}

/// Builds and tells what came of it.
pub(super) fn run(args: &BuildArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    match build(&args.dir) {
        Ok(built) => tell(&built, args.json, out),
        Err(error) => Ok(fail(&error, error.exit_code(), args.json, out)),
    }
}

/// Says where the component is and what a hub would say of it.
pub(super) fn tell(built: &Built, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let examined = match examine(&built.component) {
        Ok(examined) => examined,
        Err(error) => return Ok(fail(&error, CANNOT, json, out)),
    };
    let refused = refused(&examined);
    let digest = format!("sha256:{}", examined.digest.as_deref().unwrap_or("unknown"));
    let (component, debug) = (&built.component, &built.debug);
    if json {
        let document = json!({
            "v": 1, "component": component, "debug": debug, "size": examined.size, "digest": digest, "refused": refused,
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "{}: {} bytes, {digest}", component.display(), examined.size)?;
        writeln!(out, "{}: the same with functions and lines, for this machine", debug.display())?;
    }
    if refused.is_empty() {
        return Ok(exit(FINE));
    }
    if json {
        return Ok(exit(FOUND));
    }
    Ok(complain(&format!("a hub would refuse it: {}", refused.join("; ")), FOUND, false, out))
}

/// Builds the project in this folder. What cargo has to say goes to standard error.
///
/// # Errors
/// There is no project or no compiler, or the compiler refuses it.
pub(super) fn build(dir: &Path) -> Result<Built, Error> {
    let manifest = dir.join("Cargo.toml").canonicalize().map_err(|_| Error::NoProject(dir.to_owned()))?;
    let toolchain = Toolchain::find(dir)?;
    let mut cargo = toolchain.cargo(dir);
    cargo.args(["build", "--release", "--message-format=json-render-diagnostics", "--target", TARGET]);
    cargo.args(WITH_LINES.iter().flat_map(|line| ["--config", line]));
    let output = captured(&mut cargo)?;
    let (name, wasm) = library(&output, &manifest).ok_or(Error::NoLibrary)?;
    let bytes = std::fs::read(&wasm).map_err(|source| Error::Read { path: wasm.clone(), source })?;
    let stripped = strip(&bytes).ok_or(Error::Strip(wasm))?;
    let built = Built { component: dir.join(format!("{name}.wasm")), debug: dir.join(format!("{name}.debug.wasm")) };
    replace(&built.debug, &bytes)?;
    replace(&built.component, &stripped)?;
    Ok(built)
}

/// The component with names and lines beside this one, if there is one with the same code that a hub would read: what to run where
/// somebody wants to know where it traps.
pub(super) fn with_lines(component: PathBuf) -> PathBuf {
    let debug = component.with_extension("debug.wasm");
    let same = || {
        let lines = std::fs::read(&debug).ok().filter(|bytes| bytes.len() as u64 <= COMPONENT_SIZE_MOST)?;
        (strip(&lines)? == std::fs::read(&component).ok()?).then_some(())
    };
    if same().is_some() { debug } else { component }
}

/// What a command prints, if it ends well.
fn captured(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output.map_err(|source| Error::Run { program, source })?;
    if !output.status.success() {
        return Err(Error::Cargo(output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// In one step: a hub, or `curb plugin run`, may be reading it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = std::fs::write(&new, bytes).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// A line of what cargo says for programs.
#[derive(Debug, Deserialize)]
struct Artifact {
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    kind: Vec<String>,
}

/// Name and file of the component that cargo has made of this project. Pure.
fn library(said: &str, manifest: &Path) -> Option<(String, PathBuf)> {
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let ours = artifacts.filter(|artifact| artifact.manifest_path == manifest);
    ours.filter_map(|artifact| {
        let target = artifact.target.filter(|target| target.kind.iter().any(|kind| kind == "cdylib"))?;
        let wasm = artifact.filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
        // A crate has _ where its package has -, and a hub's names have no _.
        Some((target.name.replace('_', "-"), wasm))
    })
    .next_back()
}
