//! `curb plugin test`: the plugin's own tests, then the component over the readings of `tests/NAME.in`.
//!
//! Deliberately absent: a form of test of our own. `NAME.in` is what `curb plugin run` takes, `NAME.out` what it gives, and this calls
//! it: what a test says is what an author sees by hand.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use super::args::TestArgs;
use super::build::{self, Built};
use crate::cli::{CANNOT, FINE, FOUND, exit, fail};

/// This program, also after its file was replaced.
const SELF: &str = "/proc/self/exe";

/// Why the tests did not come to an end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("run cargo test")]
    Run(#[source] io::Error),
    #[error("pass its own tests: cargo ended with {0}")]
    Native(ExitStatus),
    #[error("run the component")]
    Component(#[source] io::Error),
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("read {}, which says what must come of {}: --bless writes what does", out.display(), given.display())]
    NoOut { out: PathBuf, given: PathBuf },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Whoever read our output has gone.
    #[error("print")]
    Output(#[from] io::Error),
}

impl Error {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Build(error) => error.exit_code(),
            Self::Native(_) | Self::NoOut { .. } => FOUND,
            Self::Run(_) | Self::Component(_) | Self::Read { .. } | Self::Write { .. } | Self::Output(_) => CANNOT,
        }
    }
}

/// Runs all tests.
pub(super) fn run(args: &TestArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    match test(args, out) {
        Ok(code) => Ok(code),
        Err(Error::Output(gone)) => Err(gone),
        Err(error) => Ok(fail(&error, error.exit_code(), false, out)),
    }
}

fn test(args: &TestArgs, out: &mut impl Write) -> Result<ExitCode, Error> {
    native(&args.dir)?;
    let built = build::build(&args.dir)?;
    let code = build::tell(&built, false, out)?;
    let mut failed = false;
    for given in inputs(&args.dir.join("tests"))? {
        let came = component(&built, &given)?;
        let name = given.display();
        if args.bless && came.is_fine {
            let path = given.with_extension("out");
            std::fs::write(&path, &came.text).map_err(|source| Error::Write { path, source })?;
            writeln!(out, "{name}: written as it came")?;
            continue;
        }
        let verdict = verdict(&given, &came)?;
        failed |= verdict.is_some();
        match verdict {
            None => writeln!(out, "{name}: as it should be")?,
            Some(why) => writeln!(out, "{name}: FAILED: {why}")?,
        }
    }
    Ok(if failed { exit(FOUND) } else { code })
}

/// The tests of the crate, without WebAssembly. What they say goes to standard error.
fn native(dir: &Path) -> Result<(), Error> {
    if !dir.join("Cargo.toml").is_file() {
        return Err(build::Error::NoProject(dir.to_owned()).into());
    }
    let mut cargo = Command::new("cargo");
    let status = cargo.arg("test").current_dir(dir).stdin(Stdio::null()).stdout(io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Native(status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(build::Error::Toolchain(build::Missing::Rust).into())
        }
        Err(error) => Err(Error::Run(error)),
    }
}

/// The files `NAME.in`, by name; none if there is no such folder.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "in") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What came out of a component.
#[derive(Debug)]
struct Came {
    text: String,
    /// It could handle all of it.
    is_fine: bool,
}

/// What the component makes of the readings of this file. What it logs, and its trouble, go to standard error.
fn component(built: &Built, given: &Path) -> Result<Came, Error> {
    let input = File::open(given).map_err(|source| Error::Read { path: given.to_owned(), source })?;
    let mut run = Command::new(SELF);
    run.args(["plugin", "run"]).arg(&built.component);
    let settings = given.with_extension("json");
    if settings.is_file() {
        run.arg("--settings").arg(settings);
    }
    let output = run.stdin(input).stderr(Stdio::inherit()).output().map_err(Error::Component)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Came { text, is_fine: output.status.code() == Some(i32::from(FINE)) })
}

/// What is not as it should be.
fn verdict(given: &Path, came: &Came) -> Result<Option<String>, Error> {
    if !came.is_fine {
        return Ok(Some("the plugin could not handle it; standard error says why".to_owned()));
    }
    let out = given.with_extension("out");
    let expected = std::fs::read_to_string(&out).map_err(|source| {
        let is_missing = source.kind() == io::ErrorKind::NotFound;
        let (out, given) = (out.clone(), given.to_owned());
        if is_missing { Error::NoOut { out, given } } else { Error::Read { path: out, source } }
    })?;
    Ok(difference(&came.text, &expected).map(|difference| format!("{}: {difference}", out.display())))
}

/// The first line that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
struct Difference<'a> {
    /// Of what came, from 1.
    line: usize,
    found: Option<&'a str>,
    expected: Option<&'a str>,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |line: Option<&str>| line.map_or_else(|| "nothing more".to_owned(), |line| format!("{line:?}"));
        write!(f, "line {}: found {}, expected {}", self.line, told(self.found), told(self.expected))
    }
}

/// Remarks and empty lines are for people. Pure.
fn difference<'a>(found: &'a str, expected: &'a str) -> Option<Difference<'a>> {
    let said = |text: &'a str| text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut found, mut expected) = (said(found), said(expected));
    for line in 1.. {
        let (found, expected) = (found.next(), expected.next());
        if found != expected {
            return Some(Difference { line, found, expected });
        }
        found?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        let cases = [
            ("a 1\nb 2\n", "a 1\nb 2\n", None),
            ("", "# nothing passes\n\n", None),
            ("a 1\n", "# why\na 1", None),
            ("a 1\nb 2\n", "a 1\nb 3\n", Some("line 2: found \"b 2\", expected \"b 3\"")),
            ("a 1\n", "a 1\nb 3\n", Some("line 2: found nothing more, expected \"b 3\"")),
            ("a 1\nb 2\n", "a 1\n", Some("line 2: found \"b 2\", expected nothing more")),
        ];
        for (found, expected, told) in cases {
            assert_eq!(difference(found, expected).map(|difference| difference.to_string()).as_deref(), told);
        }
    }
}
