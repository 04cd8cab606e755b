//! `profile` of a device: what its kind has, laid below what is written for this one.
//!
//! The device's own keys win, one by one; so do those of its points. What a profile says stays where it was written, so that
//! a mistake in it is told with its own file and line. The result is a configuration like any other: the last good one keeps
//! it whole, and boots a hub whose profiles have changed or gone.
//!
//! ```text
//! profile [device]            → keys of the device            points    = which points, else all but the optional
//! profile [device.point.*]    → its points                    settings  = values of [setting.*]
//! profile [[setup]]           → setup, before the device's own, and then the settings
//! ```
//!
//! Deliberately absent: any grant. `write` of a profile's point bounds what the device's own `write` may allow.

use std::collections::{BTreeMap, BTreeSet};

use curb_profiles::{Profile, Scalar};

use super::Part;
use crate::config::node::{Kind, Node};
use crate::config::problem::{Misfit, did_you_mean};
use crate::config::profiles::{self, Library, Read};
use crate::config::report::Report;
use crate::config::{schema, typed};

type Entries = BTreeMap<String, Node>;

/// Keys of a profile's point that are not the configuration's: they chose it, or bound a grant.
const CHOOSING: [&str; 3] = ["optional", "when", "write"];

/// Keys that say where and how a setting is written.
const LIES: [&str; 7] = ["register", "type", "order", "radix", "scale", "offset", "enum"];

/// Lays profiles below the devices that name one.
pub(in crate::config) fn expand(root: &mut Node, report: &mut Report) {
    let library = Library::new(profiles::folder(root));
    let devices = root.table_mut().and_then(|sections| sections.get_mut("device")).and_then(Node::table_mut);
    for (name, node) in devices.into_iter().flatten() {
        let key = vec!["device".to_owned(), name.clone()];
        let own = node.clone();
        // What does not fit is told when the device is built.
        let Some(raw) = typed::read::<schema::Device>(&own, &key, &mut Report::default()) else { continue };
        let part = Part { key, node: &own, raw };
        if let Some(laid) = with_profile(&part, &library, report) {
            *node = laid;
        }
    }
}

/// The device with its profile below; `None` where it stays as it is.
fn with_profile(part: &Part<'_, schema::Device>, library: &Library, report: &mut Report) -> Option<Node> {
    if part.raw.decode.is_some() {
        // A device that talks by itself has no profile, which is told where it is built.
        return None;
    }
    let Some(wanted) = part.raw.profile.as_deref() else {
        for field in ["points", "settings"] {
            part.misplaced(&[field], "no such key without a profile, which it chooses from", report);
        }
        return None;
    };
    let Some(read) = library.read(wanted, report) else {
        let names = library.names();
        let help = did_you_mean(wanted, names.iter().map(String::as_str));
        let expected = "the name of a profile; curb profiles lists them".to_owned();
        part.wrong(&["profile"], Misfit { expected, help }, report);
        return None;
    };
    let read = read?;
    let settings = settings(part, &read.profile, report);
    let chosen = chosen(part, &read.profile, &settings, report);
    if chosen.is_empty() && part.raw.point.as_ref().is_none_or(BTreeMap::is_empty) {
        part.wrong(&["points"], Misfit::expected("at least one of the profile's points"), report);
    }
    Some(lay(part, &read, &chosen, report))
}

/// What each setting stands at: as the device says, else as delivered.
fn settings(part: &Part<'_, schema::Device>, profile: &Profile, report: &mut Report) -> BTreeMap<String, Scalar> {
    let delivered = profile.settings.iter().filter_map(|(name, of)| Some((name.clone(), of.default.clone()?)));
    let mut settings: BTreeMap<String, Scalar> = delivered.collect();
    for (name, written) in part.raw.settings.iter().flatten() {
        let below = ["settings", name.as_str()];
        let Some(of) = profile.settings.get(name) else {
            let known = || profile.settings.keys().map(String::as_str);
            let expected = match profile.settings.len() {
                0 => "no settings: the profile has none".to_owned(),
                _ => format!("a setting of the profile: {}", known().collect::<Vec<_>>().join(", ")),
            };
            part.wrong(&below, Misfit { expected, help: did_you_mean(name, known()) }, report);
            continue;
        };
        if of.allows(written) {
            settings.insert(name.clone(), written.clone());
        } else {
            let help = match written {
                Scalar::Text(text) => {
                    did_you_mean(text, of.names.iter().flat_map(|names| names.values()).map(String::as_str))
                }
                Scalar::Bool(_) | Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_) => None,
            };
            part.wrong(&below, Misfit { expected: of.allowed(), help }, report);
        }
    }
    settings
}

/// Names of the profile's points that are read: those in `points`, else all but the optional ones, as far as the settings
/// let them be; and always those that the device writes something about.
fn chosen<'p>(
    part: &Part<'_, schema::Device>,
    profile: &'p Profile,
    settings: &BTreeMap<String, Scalar>,
    report: &mut Report,
) -> BTreeSet<&'p str> {
    let points = &profile.device.points;
    let there = |point: &curb_profiles::Point| {
        point.when.iter().all(|(setting, values)| settings.get(setting).is_some_and(|value| values.contains(value)))
    };
    let mut chosen = BTreeSet::new();
    if let Some(list) = &part.raw.points {
        for (index, wanted) in list.iter().enumerate() {
            let below = ["points", &index.to_string()];
            match points.get_key_value(wanted) {
                Some((name, point)) if there(point) => {
                    chosen.insert(name.as_str());
                }
                Some((_, point)) => {
                    let needs = point.when.iter().map(|(setting, values)| {
                        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                        format!("settings.{setting} of {}", values.join(", "))
                    });
                    let expected = format!(
                        "a point that the device has: this one needs {}",
                        needs.collect::<Vec<_>>().join(" and ")
                    );
                    part.doubtful(&below, Misfit::expected(expected), report);
                }
                None => {
                    let known = || points.keys().map(String::as_str);
                    let expected = format!("a point of the profile: {}", known().collect::<Vec<_>>().join(", "));
                    part.wrong(&below, Misfit { expected, help: did_you_mean(wanted, known()) }, report);
                }
            }
        }
    } else {
        // One that can only be written is of use to those alone who grant it, and say so at the point.
        let usual = points.iter().filter(|(_, point)| !point.optional && !point.is_only_written() && there(point));
        chosen.extend(usual.map(|(name, _)| name.as_str()));
    }
    let own = part.raw.point.iter().flat_map(BTreeMap::keys);
    chosen.extend(own.filter_map(|own| points.get_key_value(own)).map(|(name, _)| name.as_str()));
    chosen
}

fn lay(part: &Part<'_, schema::Device>, read: &Read, chosen: &BTreeSet<&str>, report: &mut Report) -> Node {
    let below = |path: &[&str]| read.tree.at(path.iter().copied());
    let mut device = below(&["device"]).cloned().unwrap_or_else(|| part.node.clone());
    let profiled = device.table_mut().map(std::mem::take).unwrap_or_default();
    let mut base: Entries = profiled.into_iter().filter(|(key, _)| key != "point").collect();

    let mut points = Entries::new();
    for name in chosen {
        let Some(mut point) = below(&["device", "point", name]).cloned() else { continue };
        if let Some(entries) = point.table_mut() {
            let write = entries.remove("write");
            entries.retain(|key, _| !CHOOSING.contains(&key.as_str()));
            if part.value(&["point", name, "write"]).is_some() {
                granted(part, &read.profile, name, report);
                // Where and how it is written is the device's nature; whether and how far, the installer's word.
                let write = write.map(|mut write| {
                    write
                        .table_mut()
                        .into_iter()
                        .for_each(|entries| entries.retain(|key, _| matches!(key.as_str(), "register" | "type")));
                    write
                });
                entries.extend(write.map(|write| ("write".to_owned(), write)));
            }
        }
        points.insert((*name).to_owned(), point);
    }
    let origin = part.origin(&["profile"]).clone();
    base.insert("point".to_owned(), Node { origin: origin.clone(), kind: Kind::Table(points) });

    let mut laid = part.node.clone();
    let Some(own) = laid.table_mut() else { return laid };
    let setup = setup(part, read, report);
    match own.get_mut("setup").map(|node| &mut node.kind) {
        Some(Kind::List(after)) => after.splice(0..0, setup).for_each(drop),
        Some(_) => {}
        None if setup.is_empty() => {}
        None => {
            own.insert("setup".to_owned(), Node { origin, kind: Kind::List(setup) });
        }
    }
    under(own, base);
    laid
}

/// The device's own grant lies within what its kind can take.
fn granted(part: &Part<'_, schema::Device>, profile: &Profile, name: &str, report: &mut Report) {
    let Some(limits) = &profile.device.points[name].write else {
        let misfit = Misfit::expected("no write: the profile does not say that this point can be written");
        part.doubtful(&["point", name, "write"], misfit, report);
        return;
    };
    let Some(write) = part.raw.point.as_ref().and_then(|points| points.get(name)?.write.as_ref()) else { return };
    let (least, most) = (limits.min.unwrap_or(f64::NEG_INFINITY), limits.max.unwrap_or(f64::INFINITY));
    for (bound, number) in [("min", write.min), ("max", write.max)] {
        if number.is_some_and(|number| number < least || number > most) {
            let misfit = Misfit::expected(format!("a bound within {least} to {most}, which the device can take"));
            part.wrong(&["point", name, "write", bound], misfit, report);
        }
    }
}

/// What is written at each connect: the profile's own list, then the settings that the installer gives; those whose writing
/// wears the device by hand only.
fn setup(part: &Part<'_, schema::Device>, read: &Read, report: &mut Report) -> Vec<Node> {
    let mut setup = match read.tree.at(["setup"]).map(|node| &node.kind) {
        Some(Kind::List(entries)) => entries.clone(),
        _ => Vec::new(),
    };
    for (name, written) in part.raw.settings.iter().flatten() {
        let (Some(of), Some(value)) = (read.profile.settings.get(name), part.value(&["settings", name])) else {
            continue;
        };
        let Some(setting) = read.tree.at(["setting", name.as_str()]) else { continue };
        if !of.allows(written) {
            continue;
        }
        for key in ["byte", "bits", "exponent"] {
            if let Some(node) = setting.at([key]) {
                let path = ["setting", name.as_str(), key].map(str::to_owned);
                let misfit = Misfit::expected(format!("no {key}: a setting is written as whole registers"));
                report.wrong(&node.origin, &path, node.describe(), misfit);
            }
        }
        let mut entries = Entries::new();
        for key in LIES {
            let written = ["write", key];
            let node = setting.at(written).or_else(|| setting.at([key]));
            entries.extend(node.map(|node| (key.to_owned(), node.clone())));
        }
        let named = Node { origin: value.origin.clone(), kind: Kind::Text(name.clone()) };
        entries.insert("name".to_owned(), named);
        entries.insert("value".to_owned(), value.clone());
        if of.eeprom {
            entries.insert("by_hand".to_owned(), Node { origin: value.origin.clone(), kind: Kind::Bool(true) });
        }
        setup.push(Node { origin: value.origin.clone(), kind: Kind::Table(entries) });
    }
    setup
}

/// Lays entries below others, which win one by one.
fn under(own: &mut Entries, base: Entries) {
    for (key, node) in base {
        match own.get_mut(&key).map(|own| &mut own.kind) {
            None => {
                own.insert(key, node);
            }
            Some(Kind::Table(own)) => {
                if let Kind::Table(base) = node.kind {
                    under(own, base);
                }
            }
            Some(_) => {}
        }
    }
}
