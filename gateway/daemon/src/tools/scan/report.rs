//! What a scan found, as text and as JSON.
//!
//! Deliberately absent: a config of it, which is `propose`'s.

use std::io::Write;

use serde::Serialize;

use super::super::Error;
use super::identify::Identity;
use super::sweep::Setting;
use super::{Report, Unit};

/// For people; every line begins with `mark`.
pub(super) fn print(report: &Report, mark: &str, out: &mut impl Write) -> Result<(), Error> {
    for unit in &report.units {
        let setting = unit.setting.map(|setting| format!("  {setting}")).unwrap_or_default();
        writeln!(out, "{mark}unit {}{setting}  {}", unit.id, unit.words())?;
    }
    for verdict in &report.verdicts {
        writeln!(out, "{mark}{verdict}")?;
    }
    let (requests, seconds) = (report.requests, report.took.as_secs_f64());
    let cut = if report.complete { "" } else { "; not all was asked in this time (--budget)" };
    let s = if report.units.len() == 1 { "" } else { "s" };
    writeln!(out, "{mark}{} unit{s}; {requests} requests in {seconds:.1} s{cut}", report.units.len())?;
    Ok(())
}

/// For programs.
pub(super) fn print_json(report: &Report, out: &mut impl Write) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Document<'a> {
        v: u32,
        bus: &'a str,
        units: Vec<UnitEntry<'a>>,
        verdicts: Vec<VerdictEntry>,
        requests: usize,
        seconds: f64,
        complete: bool,
    }
    #[derive(Serialize)]
    struct UnitEntry<'a> {
        unit_id: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        baud: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        parity: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stop: Option<u8>,
        /// Whether it was asked who it is.
        identified: bool,
        #[serde(flatten)]
        identity: Option<&'a Identity>,
    }
    #[derive(Serialize)]
    struct VerdictEntry {
        word: &'static str,
        text: String,
    }
    let units = report.units.iter().map(|Unit { id, setting, identity }| UnitEntry {
        unit_id: *id,
        baud: setting.map(|setting| setting.baud),
        parity: setting.map(Setting::parity_word),
        stop: setting.map(|setting| setting.stop),
        identified: identity.is_some(),
        identity: identity.as_ref(),
    });
    let verdicts =
        report.verdicts.iter().map(|verdict| VerdictEntry { word: verdict.word(), text: verdict.to_string() });
    let document = Document {
        v: 1,
        bus: &report.bus.label,
        units: units.collect(),
        verdicts: verdicts.collect(),
        requests: report.requests,
        seconds: report.took.as_secs_f64(),
        complete: report.complete,
    };
    serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
