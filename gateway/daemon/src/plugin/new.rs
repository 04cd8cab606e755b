//! `curb plugin new`: a project that builds and passes its tests at once.
//!
//! The author's crate is on no registry, and an author may have no more than the binary `curb`. So its sources are in the binary, and
//! are written into the project, where its repository keeps them: the project builds on any machine, and it stays with the contract
//! that it was written for until its author changes that. A path into a checkout (`--sdk`) breaks when either moves, and is for those
//! who change the author's crate itself.
//!
//! Deliberately absent: a network, git, and anything outside the new folder.

mod sdk;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use curb_model::{Name, NameError};

use super::args::NewArgs;
use crate::cli::{CANNOT, FINE, USAGE, exit, fail};

/// What a crate cannot be called: words of the language, its own crates, and what would be two of one name.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "curb-plugin",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "wit-bindgen",
    "yield",
];

/// Why a project is not begun.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("begin a plugin without a name: the last part of the path is it")]
    Nameless,
    #[error("name a plugin: 1 to 32 of a-z, 0-9 and -, and a letter first")]
    Name(#[source] NameError),
    #[error("name a plugin {0:?}: 1 to 32 of a-z, 0-9 and -, and a letter first")]
    First(String),
    #[error("name a plugin {0:?}: Rust has that word for itself")]
    Taken(String),
    #[error("begin a plugin in {}, which is there already", .0.display())]
    Exists(PathBuf),
    #[error("find the author's crate in {}: --sdk names the folder plugins/sdk of a checkout", .0.display())]
    NoSdk(PathBuf),
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
}

impl Error {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Nameless | Self::Name(_) | Self::First(_) | Self::Taken(_) | Self::Exists(_) | Self::NoSdk(_) => {
                USAGE
            }
            Self::Write { .. } | Self::Sdk(_) => CANNOT,
        }
    }
}

/// Writes the project.
pub(super) fn run(args: &NewArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    if let Err(error) = begin(args) {
        return Ok(fail(&error, error.exit_code(), false, out));
    }
    let dir = args.path.display();
    writeln!(out, "{dir} is there. Next:\n  cd {dir}\n  curb plugin test     # its tests, and the component's")?;
    writeln!(out, "  $EDITOR src/lib.rs   # process() decides what becomes of each reading")?;
    Ok(exit(FINE))
}

fn begin(args: &NewArgs) -> Result<(), Error> {
    let name = args.path.file_name().and_then(|name| name.to_str()).ok_or(Error::Nameless)?;
    let name = checked(name)?;
    let sdk = args.sdk.as_deref().map(found).transpose()?;
    let files = files(&name, args.stateful, sdk.as_deref())?;
    let failed = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    if let Some(parent) = args.path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    }
    // Not in a folder that is there: nothing of anybody's is overwritten.
    std::fs::create_dir(&args.path).map_err(|source| {
        let exists = source.kind() == io::ErrorKind::AlreadyExists;
        if exists { Error::Exists(args.path.clone()) } else { failed(&args.path, source) }
    })?;
    for (below, text) in files {
        let path = args.path.join(below);
        let folder = path.parent().unwrap_or(&args.path);
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|source| failed(&path, source))?;
    }
    Ok(())
}

/// A name that a hub, a file and a crate can have.
fn checked(name: &str) -> Result<Name, Error> {
    let checked = Name::new(name).map_err(Error::Name)?;
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(Error::First(name.to_owned()));
    }
    if TAKEN.contains(&name) {
        return Err(Error::Taken(name.to_owned()));
    }
    Ok(checked)
}

/// The author's crate in a checkout, wherever this one is called from.
fn found(sdk: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::NoSdk(sdk.to_owned());
    let path = sdk.canonicalize().map_err(|_| missing())?;
    if path.join("src/manifest.rs").is_file() && path.join("Cargo.toml").is_file() { Ok(path) } else { Err(missing()) }
}

/// All files of a project: where, and what is in them. Pure.
fn files(name: &Name, stateful: bool, sdk: Option<&Path>) -> Result<Vec<(PathBuf, String)>, Error> {
    let place = sdk.map_or_else(|| "curb/sdk".to_owned(), |path| path.display().to_string());
    let fill = |template: &str| {
        let text = template.replace("@NAME@", name.as_str()).replace("@SDK@", &place);
        text.replace("@RUST@", &sdk::rust_version()).replace("@CRATE@", &name.as_str().replace('-', "_"))
    };
    let (lib, tests, settings) = if stateful {
        let tests = include_str!("new/template/stateful-tests.rs");
        (include_str!("new/template/stateful.rs"), tests, include_str!("new/template/stateful.json"))
    } else {
        let tests = include_str!("new/template/filter-tests.rs");
        (include_str!("new/template/filter.rs"), tests, include_str!("new/template/filter.json"))
    };
    let (input, output) = if stateful {
        (include_str!("new/template/stateful.in"), include_str!("new/template/stateful.out"))
    } else {
        (include_str!("new/template/filter.in"), include_str!("new/template/filter.out"))
    };
    let mut files: Vec<(PathBuf, String)> = [
        ("Cargo.toml", fill(include_str!("new/template/Cargo.toml.in"))),
        ("Cargo.lock", sdk::lock(name.as_str())?),
        ("README.md", fill(include_str!("new/template/README.md"))),
        (".gitignore", "/target\n/*.wasm\n".to_owned()),
        ("settings.json", settings.to_owned()),
        ("src/lib.rs", fill(lib)),
        ("src/tests.rs", fill(tests)),
        ("tests/first.in", fill(input)),
        ("tests/first.out", fill(output)),
        ("tests/first.json", fill(if stateful { "{}\n" } else { "{ \"every\": \"10s\" }\n" })),
    ]
    .into_iter()
    .map(|(path, text)| (path.into(), text))
    .collect();
    if sdk.is_none() {
        files.extend(sdk::vendored()?.into_iter().map(|(path, text)| (Path::new("curb").join(path), text)));
    }
    Ok(files)
}
