//! Which version of the contract a component is made for, and whether this hub speaks it. Pure: names in, a word out.
//!
//! The engine links by version: what is made for 0.1.0 runs where 0.1.1 is spoken, and what is made for 0.1.1 runs where 0.1.0 is
//! spoken if it uses nothing that is new. What it says of a component that does not fit is about types; this says it in versions.

use std::fmt;

/// What names of the contract begin with, in front of the interface.
const PACKAGE: &str = "curb:plugin/";

/// The newest version that this hub speaks; bindings are generated from it.
pub(super) const SPOKEN: Version = Version(0, 1, 0);

/// The interface that every plugin exports.
const TRANSFORM: &str = "transform";

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u64, u64, u64);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// Whether the engine links it to what this hub speaks.
    const fn is_on_track(self) -> bool {
        if SPOKEN.0 == 0 { self.0 == 0 && self.1 == SPOKEN.1 } else { self.0 == SPOKEN.0 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a component is not for this hub.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It wants what no plugin gets.
    #[error("imports {0}: a plugin gets nothing but curb:plugin, no WASI either")]
    Foreign(Box<str>),
    /// It was made for a contract that this hub does not know, or not any more.
    #[error("made for curb:plugin@{0}, and this hub speaks {SPOKEN}")]
    Version(Box<str>),
    /// It is something else than a plugin.
    #[error("exports no curb:plugin/{TRANSFORM}, and this hub speaks {SPOKEN}")]
    NoPlugin,
}

/// The newest version that a component asks for, from the names of what it imports and exports. Other exports are its own affair.
///
/// # Errors
/// It is not for this hub.
pub(super) fn made_for<'a>(
    imports: impl Iterator<Item = &'a str>,
    exports: impl Iterator<Item = &'a str>,
) -> Result<Version, Unfit> {
    let on_track = |text: &str| Version::parse(text).filter(|version| version.is_on_track());
    let mut newest = Version(0, 0, 0);
    for name in imports {
        let (_, version) = ours(name).ok_or_else(|| Unfit::Foreign(name.into()))?;
        newest = newest.max(on_track(version).ok_or_else(|| Unfit::Version(version.into()))?);
    }
    let mut other = None;
    let mut is_plugin = false;
    for (interface, text) in exports.filter_map(ours) {
        // Beside one that is spoken here, a component may export another.
        match on_track(text) {
            Some(version) => {
                newest = newest.max(version);
                is_plugin |= interface == TRANSFORM;
            }
            None => other = Some(text),
        }
    }
    match (is_plugin, other) {
        (true, _) => Ok(newest),
        (false, Some(version)) => Err(Unfit::Version(version.into())),
        (false, None) => Err(Unfit::NoPlugin),
    }
}

/// Interface and version of a name of the contract.
fn ours(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(imports: &[&str], exports: &[&str], expected: Result<Version, &str>) {
        let found = made_for(imports.iter().copied(), exports.iter().copied());
        assert_eq!(
            found.map_err(|unfit| unfit.to_string()),
            expected.map_err(str::to_owned),
            "{imports:?} {exports:?}"
        );
    }

    #[test]
    fn what_a_component_is_made_for_shows_in_its_names() {
        const LOG: &str = "curb:plugin/log@0.1.0";
        const TRANSFORM: &str = "curb:plugin/transform@0.1.0";
        check(&[], &[TRANSFORM], Ok(Version(0, 1, 0)));
        check(&[LOG], &[TRANSFORM, "curb:plugin/state@0.1.0", "memory"], Ok(Version(0, 1, 0)));
        check(&["curb:plugin/log@0.1.7"], &[TRANSFORM], Ok(Version(0, 1, 7)));
        check(&[LOG], &["curb:plugin/transform@0.1.12"], Ok(Version(0, 1, 12)));
        // One that speaks two.
        check(&[LOG], &["curb:plugin/transform@0.2.0", TRANSFORM], Ok(Version(0, 1, 0)));

        let newer = "made for curb:plugin@0.2.0, and this hub speaks 0.1.0";
        check(&["curb:plugin/log@0.2.0"], &["curb:plugin/transform@0.2.0"], Err(newer));
        check(&[], &["curb:plugin/transform@0.2.0"], Err(newer));
        check(&[LOG, "curb:plugin/log@0.2.0"], &[TRANSFORM], Err(newer));
        let first = "made for curb:plugin@1.0.0, and this hub speaks 0.1.0";
        check(&["curb:plugin/log@1.0.0"], &[TRANSFORM], Err(first));
        let draft = "made for curb:plugin@0.1.1-rc.1, and this hub speaks 0.1.0";
        check(&["curb:plugin/log@0.1.1-rc.1"], &[TRANSFORM], Err(draft));

        let wasi = "imports wasi:cli/exit@0.2.6: a plugin gets nothing but curb:plugin, no WASI either";
        check(&[LOG, "wasi:cli/exit@0.2.6"], &[TRANSFORM], Err(wasi));
        let nothing = "exports no curb:plugin/transform, and this hub speaks 0.1.0";
        for exports in [&[][..], &["wasi:cli/run@0.2.0"], &["curb:plugin/state@0.1.0"], &["transform"]] {
            check(&[], exports, Err(nothing));
        }
    }
}
