//! Where device profiles come from: the binary, and a folder that adds to it.
//!
//! A file of the folder takes the place of the profile of the same name in the binary. Deliberately absent: what a profile
//! does to a device, which is `build::profile`'s.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use curb_profiles::Profile;

use super::layers;
use super::locate::Places;
use super::node::{Kind, Node};
use super::problem::Misfit;
use super::report::Report;

/// Every profile that can be named.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    folder: PathBuf,
}

/// Where a profile was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the binary.
    BuiltIn,
    /// In this file.
    File(PathBuf),
}

/// A profile with its tree, whose places are those of its own file.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) profile: Profile,
    pub(super) tree: Node,
}

impl Library {
    /// Those in the binary, and those in `folder`, which need not exist.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Every name, in the order of the alphabet.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = curb_profiles::embedded().map(|(name, _)| name.to_owned()).collect();
        // A folder that cannot be read has no names; a profile in it that is asked for says why.
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(OsStr::to_str).filter(|stem| !stem.starts_with('.'));
            names.extend(stem.filter(|_| path.extension() == Some(OsStr::new("toml"))).map(str::to_owned));
        }
        names
    }

    /// The text of a profile, if there is one of this name. A file that is there and cannot be read is an error, not a
    /// reason to take another.
    pub(crate) fn text(&self, name: &str) -> Option<(Source, Result<String, Misfit>)> {
        // A name is no path: it must not lead out of the folder.
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let path = self.folder.join(format!("{name}.toml"));
        if plain && path.exists() {
            let text = layers::read_text(&path).map_err(|(found, misfit)| misfit.help(format!("it is {found}")));
            return Some((Source::File(path), text));
        }
        let (_, text) = curb_profiles::embedded().find(|(known, _)| *known == name)?;
        Some((Source::BuiltIn, Ok(text.to_owned())))
    }

    /// A profile as the configuration uses it; what is wrong in it goes to the report with its own file and line. The outer
    /// `None` is an unknown name.
    pub(super) fn read(&self, name: &str, report: &mut Report) -> Option<Option<Read>> {
        let (source, text) = self.text(name)?;
        let shown = shown(&source, name);
        let whole = super::Origin::File { path: Arc::clone(&shown), position: None };
        let text = match text {
            Ok(text) => text,
            Err(misfit) => {
                report.unreadable(&whole, &[], "a profile that cannot be read", misfit);
                return Some(None);
            }
        };
        let places = Places::in_file(shown, &text);
        match Profile::parse(name, &text) {
            Ok(profile) => Some(Some(Read { profile, tree: layers::tree(&text, &places, report) })),
            Err(error) => {
                let key: Vec<String> =
                    error.key.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
                report.wrong(&places.at(error.offset), &key, error.found, Misfit::expected(error.expected));
                Some(None)
            }
        }
    }
}

/// A profile's file as it is named to people.
fn shown(source: &Source, name: &str) -> Arc<str> {
    match source {
        Source::BuiltIn => format!("built-in/{name}.toml").into(),
        Source::File(path) => path.display().to_string().into(),
    }
}

/// The folder that is used where the configuration does not say, or says it wrong.
pub(super) fn folder(root: &Node) -> PathBuf {
    match root.at(["paths", "profiles"]) {
        Some(Node { kind: Kind::Text(text), .. }) => PathBuf::from(text),
        Some(_) | None => PathBuf::from("/etc/curb/profiles"),
    }
}
