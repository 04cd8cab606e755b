//! What may follow a frozen version of the contract. Each version is a folder beside this one, `0.1.0/curb-plugin.wit`, and
//! `frozen.sha256` has the digests of those that never change again, in the form of sha256sum.
//!
//! Three checks hold the promise that a plugin, once built, runs on every later hub:
//!
//! 1. A frozen file has its digest (a test here; `sha256sum --check frozen.sha256`).
//! 2. A version is a compatible upgrade of the one before it on its track ([`is_upgrade`]); only the newest may be unfrozen.
//! 3. Components that were built against a version when it was frozen run, and say the same (`gateway/pipeline/tests/it/contract.rs`).
//!
//! Not part of any plugin or hub: it runs in tests alone.

use std::io;
use std::path::Path;

use wit_component::semver_check;
use wit_parser::{PackageId, Resolve};

/// What a version is: `0.1.0`. Within a track nothing is taken away; tracks are the first number that is not 0, and what is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64, pub u64, pub u64);

impl Version {
    /// Reads three numbers. There are no pre-releases: the engine links them to nothing but themselves.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && version.to_string() == text).then_some(version)
    }

    /// Versions of one track link to each other.
    #[must_use]
    pub const fn track(self) -> (u64, u64) {
        if self.0 == 0 { (0, self.1) } else { (self.0, 0) }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a text cannot be the next version.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The text is no WIT, or no package of ours.
    #[error("parse {name}: {cause}")]
    Parse {
        /// Which text.
        name: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// A plugin of the old version would not run.
    #[error("keep world {world} compatible: {cause}")]
    Incompatible {
        /// Which of the old worlds.
        world: String,
        /// What the check found.
        cause: String,
    },
}

/// All versions that have a folder below `folder`, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn versions(folder: &Path) -> io::Result<Vec<Version>> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let mut versions: Vec<_> = names.iter().filter_map(|name| Version::parse(name.to_str()?)).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Whether each component that a world of `old` admits runs where `new` is spoken: nothing that it imports is gone or changed,
/// and nothing is asked of it that it does not export. The two must say different versions.
///
/// # Errors
/// It does not.
pub fn is_upgrade(old: &str, new: &str) -> Result<(), Broken> {
    let mut resolve = Resolve::default();
    let old = push(&mut resolve, "the old version", old)?;
    let new = push(&mut resolve, "the new version", new)?;
    let worlds = resolve.packages[old].worlds.clone();
    for (name, prev) in worlds {
        let broken = |cause: String| Broken::Incompatible { world: name.clone(), cause };
        let next = resolve.packages[new].worlds.get(&name).ok_or_else(|| broken("it is gone".to_owned()))?;
        semver_check(resolve.clone(), prev, *next).map_err(|error| broken(format!("{error:#}")))?;
    }
    Ok(())
}

fn push(resolve: &mut Resolve, name: &'static str, text: &str) -> Result<PackageId, Broken> {
    resolve.push_str(name, text).map_err(|error| Broken::Parse { name, cause: format!("{error:#}") })
}

#[cfg(test)]
mod tests;
