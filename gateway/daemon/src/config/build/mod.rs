//! From the merged tree to [`Settings`]: each value by its notation, then what the tables say about each other.
//!
//! Every step goes on with what it has after a fault. A table that is wrong in one key is still known by its name to the
//! tables that refer to it.

mod device;
mod field;
mod fits;
mod fixed;
mod frame;
mod plugin;
mod point;
mod policy;
mod profile;
mod register;
mod setup;
mod talker;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use curb_model::{Name, PointSet};

pub(super) use profile::expand;

use super::node::{Kind, Node};
use super::notation;
use super::problem::{Misfit, Origin};
use super::report::{Key, Report};
use super::schema::Quantity;
use super::settings::{LogSettings, PathSettings, Settings};
use super::typed::{self, Table};

/// Whether things beside the configuration, such as a plugin's file, must be there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surroundings {
    /// They must: somebody is there to mend it.
    Checked,
    /// They are left to the rooms, which raise a fault and go on: a hub boots its last good configuration.
    Trusted,
}

/// What could be built.
#[derive(Debug)]
pub(super) struct Built {
    /// `None` when the report has an error.
    pub(super) settings: Option<Settings>,
    /// Folders, from the defaults where the configuration is wrong about them.
    pub(super) paths: PathSettings,
    /// Logging, likewise.
    pub(super) log: LogSettings,
}

/// Checks everything.
pub(super) fn build(root: &Node, surroundings: Surroundings, report: &mut Report) -> Built {
    let paths = fixed::paths(root, report);
    let log = fixed::log(root, report);
    let hub = fixed::hub(root, report);
    let core = fixed::core(root, report);
    let identity = fixed::identity(root, report);
    let clock = fixed::clock(root, report);
    let store = fixed::store(root, report);
    let all_plugins = fixed::plugins(root, report);

    let field = field::build(root, report);
    let plugins = plugin::build(root, &field.names, &all_plugins, surroundings, report);
    let policy = policy::build(root, &field.names, &plugins, report);
    let pipeline = curb_pipeline::Config {
        plugins,
        policy,
        host: curb_pipeline::HostCommand { socket: all_plugins.socket, ..curb_pipeline::HostCommand::default() },
        // What is wrong with it is reported.
        state_every: all_plugins.state_every.unwrap_or(curb_pipeline::STATE_EVERY),
        cache: paths.as_ref().unwrap_or(&fixed::default_paths()).cache.join("plugins"),
        bundles: Some(paths.as_ref().unwrap_or(&fixed::default_paths()).state.join(crate::plugin::bundle::FOLDER)),
    };
    let points = PointSet::default().and(point::all(&field.source)).with_usages(point::usages(&field.source));

    let complete = (hub, core, identity, clock, store, paths.clone(), log.clone());
    let settings = match complete {
        (Some(hub), Some((core, form, linger)), Some(identity), Some(clock), Some(store), Some(paths), Some(log))
            if !report.has_errors() =>
        {
            let source = field.source;
            Some(Settings {
                hub,
                core,
                form,
                linger,
                identity,
                paths,
                clock,
                log,
                store,
                source,
                pipeline,
                by_hand: field.by_hand,
                expire: field.expire,
                points,
            })
        }
        _ => None,
    };
    Built { settings, paths: paths.unwrap_or_else(fixed::default_paths), log: log.unwrap_or_else(fixed::default_log) }
}

/// A table of the configuration: what was read from it, and where its keys stand.
#[derive(Debug)]
struct Part<'a, T> {
    key: Key,
    node: &'a Node,
    raw: T,
}

impl<'a, T: Table> Part<'a, T> {
    /// The table at `key`. `None` when something else stands there, which is then in the report.
    fn read(node: &'a Node, key: Key, report: &mut Report) -> Option<Self> {
        typed::read(node, &key, report).map(|raw| Self { key, node, raw })
    }
}

impl<T> Part<'_, T> {
    fn key(&self, below: &[&str]) -> Key {
        self.key.iter().map(String::as_str).chain(below.iter().copied()).map(str::to_owned).collect()
    }

    fn value(&self, below: &[&str]) -> Option<&Node> {
        self.node.at(below.iter().copied())
    }

    /// Where the key stands, or the table that it would stand in.
    fn origin(&self, below: &[&str]) -> &Origin {
        let parents = (0..=below.len()).rev().filter_map(|depth| self.value(&below[..depth]));
        parents.map(|node| &node.origin).next().unwrap_or(&self.node.origin)
    }

    /// The value that stands at the key does not fit.
    fn wrong(&self, below: &[&str], misfit: Misfit, report: &mut Report) {
        let found = self.value(below).map_or_else(|| "nothing".to_owned(), Node::describe);
        report.wrong(self.origin(below), &self.key(below), found, misfit);
    }

    /// A key is needed. Nothing is said when one stands there: it was found wrong already.
    fn missing(&self, below: &[&str], misfit: Misfit, report: &mut Report) {
        if self.value(below).is_none() {
            report.missing(self.origin(below), &self.key(below), misfit);
        }
    }

    /// The value that stands at the key is probably not meant.
    fn doubtful(&self, below: &[&str], misfit: Misfit, report: &mut Report) {
        let found = self.value(below).map_or_else(|| "nothing".to_owned(), Node::describe);
        report.doubtful(self.origin(below), &self.key(below), found, misfit);
    }

    /// A key is there that has no meaning in such a table.
    fn misplaced(&self, below: &[&str], why: &str, report: &mut Report) {
        if self.value(below).is_some() {
            self.wrong(below, Misfit::expected(why), report);
        }
    }

    /// Reads a value by its notation. `None` when it is not there, or does not fit and is in the report.
    fn notation<V>(
        &self,
        below: &[&str],
        text: Option<&str>,
        read: impl FnOnce(&str) -> Result<V, Misfit>,
        report: &mut Report,
    ) -> Option<V> {
        read(text?).map_err(|misfit| self.wrong(below, misfit, report)).ok()
    }

    /// A duration. `None` when it is not there, or does not fit and is in the report.
    fn duration(
        &self,
        field: &str,
        text: Option<&Quantity>,
        bounds: &RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Option<Duration> {
        let text = text.map(|text| text.0.as_str());
        self.notation(&[field], text, |text| notation::duration(text, bounds), report)
    }

    /// An absolute path: what a relative one is relative to would depend on who starts the daemon.
    fn path(&self, field: &str, text: Option<&str>, report: &mut Report) -> Option<PathBuf> {
        let absolute = |text: &str| {
            let path = Path::new(text);
            if path.is_absolute() { Ok(path.to_owned()) } else { Err(Misfit::expected("an absolute path")) }
        };
        self.notation(&[field], text, absolute, report)
    }

    /// A whole number within bounds. `None` when it is not there, or does not fit and is in the report.
    fn number<N: TryFrom<i64> + PartialOrd + std::fmt::Display>(
        &self,
        below: &[&str],
        number: Option<i64>,
        bounds: RangeInclusive<N>,
        what: &str,
        report: &mut Report,
    ) -> Option<N> {
        let fits = N::try_from(number?).ok().filter(|number| bounds.contains(number));
        if fits.is_none() {
            let expected = format!("{what} from {} to {}", bounds.start(), bounds.end());
            self.wrong(below, Misfit::expected(expected), report);
        }
        fits
    }
}

/// The tables of a named section whose names are right.
fn named<'a, T: Table>(root: &'a Node, section: &str, report: &mut Report) -> BTreeMap<Name, Part<'a, T>> {
    let mut parts = BTreeMap::new();
    let Some(node) = root.at([section]) else {
        return parts;
    };
    let Kind::Table(entries) = &node.kind else {
        let misfit = Misfit::expected(format!("a table for each {section}: [{section}.NAME]"));
        report.wrong(&node.origin, &[section.to_owned()], node.describe(), misfit);
        return parts;
    };
    for (text, node) in entries {
        let key = vec![section.to_owned(), text.clone()];
        match notation::name(text) {
            Ok(name) => parts.extend(Part::read(node, key, report).map(|part| (name, part))),
            Err(misfit) => {
                report.wrong(&node.origin, &key, format!("the name {text:?}"), misfit);
                // Its keys are looked at all the same.
                drop(Part::<T>::read(node, key, report));
            }
        }
    }
    parts
}
