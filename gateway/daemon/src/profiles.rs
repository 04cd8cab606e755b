//! `curb profiles`: which kinds of device are known, and what each has.

use std::io::{self, Write};
use std::process::ExitCode;

use curb_profiles::{Profile, Scalar};
use serde_json::{Value, json};

use crate::cli::{ConfigArgs, FINE, FOUND, USAGE, complain, exit};
use crate::config::{Library, Misfit, ProfileSource, did_you_mean};

/// Lists all profiles, or shows the one of this name.
pub(crate) fn profiles(
    args: &ConfigArgs,
    name: Option<&str>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    // A configuration that is wrong, or not there yet, still has a folder of profiles.
    let library = Library::new(crate::config::load(&crate::sources(args)).paths.profiles);
    match name {
        Some(name) => one(&library, name, json, out),
        None => all(&library, json, out),
    }
}

fn all(library: &Library, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut list = Vec::new();
    let mut wrong = Vec::new();
    for name in library.names() {
        match find(library, &name) {
            Some((source, Ok(profile))) => list.push((name, source, profile)),
            Some((_, Err(text))) => wrong.push(text),
            None => {}
        }
    }
    if json {
        let profiles: Vec<Value> = list.iter().map(|(name, source, profile)| head(name, source, profile)).collect();
        print(out, &json!({ "v": 1, "profiles": profiles, "problems": wrong }))?;
    } else {
        let rows = list.iter().map(|(name, source, profile)| {
            let about = &profile.about;
            [name.clone(), about.kind.as_str().to_owned(), about.maker.clone(), about.model.clone(), from(source)]
        });
        table(out, ["NAME", "KIND", "MAKER", "MODEL", "FROM"], rows.collect())?;
        wrong.iter().try_for_each(|text| writeln!(out, "{text}"))?;
    }
    Ok(exit(if wrong.is_empty() { FINE } else { FOUND }))
}

fn one(library: &Library, name: &str, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let (source, profile) = match find(library, name) {
        Some((source, Ok(profile))) => (source, profile),
        Some((_, Err(text))) => return Ok(complain(&text, FOUND, json, out)),
        None => {
            let names = library.names();
            let help = did_you_mean(name, names.iter().map(String::as_str));
            let help = help.unwrap_or_else(|| "curb profiles lists them".to_owned());
            return Ok(complain(&format!("no profile {name:?}; {help}"), USAGE, json, out));
        }
    };
    if json {
        print(out, &document(name, &source, &profile))?;
        return Ok(exit(FINE));
    }
    let about = &profile.about;
    writeln!(out, "{name}: {} {}, {}", about.maker, about.model, about.kind.as_str())?;
    writeln!(out, "from {}; {} ({})", from(&source), about.source, about.confirmed.as_str())?;
    writeln!(out, "as delivered: {}, unit id {}\n", delivered(&profile), about.unit_id)?;
    let points = profile.device.points.iter().map(|(name, point)| {
        let mut notes = Vec::new();
        notes.extend(point.optional.then(|| "optional".to_owned()));
        notes.extend(point.when.iter().map(|(setting, values)| format!("if {setting} is {}", list(values))));
        let written = if point.is_only_written() { "can only be written" } else { "can be written" };
        notes.extend(point.write.as_ref().map(|limits| match (limits.min, limits.max) {
            (Some(min), Some(max)) => format!("{written}, {min} to {max}"),
            _ => written.to_owned(),
        }));
        let kind = point.r#type.clone().unwrap_or_else(|| "bool".to_owned());
        [name.clone(), point.register.clone(), kind, point.unit.clone().unwrap_or_default(), notes.join("; ")]
    });
    table(out, ["POINT", "REGISTER", "TYPE", "UNIT", ""], points.collect())?;
    if !profile.settings.is_empty() {
        writeln!(out)?;
        let settings = profile.settings.iter().map(|(name, setting)| {
            let default = setting.default.as_ref().map(|value| format!("as delivered {value}"));
            let by_hand = || format!("each write wears it: only by hand, curb write DEVICE --setting {name} VALUE");
            let wears = setting.eeprom.then(by_hand);
            let notes: Vec<String> = default.into_iter().chain(wears).collect();
            let unit = setting.unit.clone().unwrap_or_default();
            [name.clone(), setting.register.clone(), setting.allowed(), unit, notes.join("; ")]
        });
        table(out, ["SETTING", "REGISTER", "CAN BE", "UNIT", ""], settings.collect())?;
    }
    for setup in &profile.setup {
        writeln!(out, "\nat each connect {} is set to {}: {}", setup.register, setup.value, setup.why)?;
    }
    Ok(exit(FINE))
}

/// A profile, or why it cannot be read.
fn find(library: &Library, name: &str) -> Option<(ProfileSource, Result<Profile, String>)> {
    let (source, text) = library.text(name)?;
    let place = from(&source);
    let profile = match text {
        Ok(text) => Profile::parse(name, &text).map_err(|error| format!("{place}: failed to {error}")),
        Err(Misfit { expected, help }) => Err(format!("{place}: expected {expected}; {}", help.unwrap_or_default())),
    };
    Some((source, profile))
}

fn head(name: &str, source: &ProfileSource, profile: &Profile) -> Value {
    let about = &profile.about;
    json!({ "name": name, "kind": about.kind.as_str(), "maker": about.maker, "model": about.model, "from": from(source) })
}

fn document(name: &str, source: &ProfileSource, profile: &Profile) -> Value {
    let about = &profile.about;
    let points = profile.device.points.iter().map(|(name, point)| {
        let when: serde_json::Map<String, Value> =
            point.when.iter().map(|(setting, values)| (setting.clone(), values.iter().map(value).collect())).collect();
        let write = point.write.as_ref().map(|limits| json!({ "min": limits.min, "max": limits.max }));
        let kind = point.r#type.as_deref().unwrap_or("bool");
        let unit = &point.unit;
        json!({
            "name": name, "register": point.register, "type": kind, "unit": unit, "optional": point.optional, "when": when,
            "write": write, "only_written": point.is_only_written(),
        })
    });
    let settings = profile.settings.iter().map(|(name, setting)| {
        json!({
            "name": name, "register": setting.register, "unit": setting.unit, "allowed": setting.allowed(),
            "default": setting.default.as_ref().map(value), "eeprom": setting.eeprom,
        })
    });
    json!({
        "v": 1, "profile": head(name, source, profile), "source": about.source, "confirmed": about.confirmed.as_str(),
        "delivered": delivered(profile), "unit_id": about.unit_id,
        "points": points.collect::<Vec<_>>(), "settings": settings.collect::<Vec<_>>(),
    })
}

/// How the device is reached before anybody has changed it.
fn delivered(profile: &Profile) -> String {
    let serial = profile.about.serial.as_ref().map(|line| {
        let also: String = line.also.iter().map(|baud| format!(", or {baud}")).collect();
        format!("{} baud {}{}{}{also}", line.baud, line.data, line.parity.letter(), line.stop)
    });
    let tcp = profile.about.tcp_port.map(|port| format!("TCP port {port}"));
    serial.into_iter().chain(tcp).collect::<Vec<_>>().join("; ")
}

fn from(source: &ProfileSource) -> String {
    match source {
        ProfileSource::BuiltIn => "built in".to_owned(),
        ProfileSource::File(path) => path.display().to_string(),
    }
}

fn list(values: &[Scalar]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Bool(truth) => (*truth).into(),
        Scalar::Int(number) => (*number).into(),
        Scalar::Uint(number) => (*number).into(),
        Scalar::Float(number) => (*number).into(),
        Scalar::Text(text) => text.as_str().into(),
    }
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(out: &mut impl Write, heads: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    let heads = heads.map(str::to_owned);
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    for row in [&heads].into_iter().chain(&rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn print(out: &mut impl Write, document: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
