//! What is exposed is whole, and can be parsed by the letter of the format.

use std::collections::{BTreeMap, BTreeSet};

use curb_wire::status::FaultEntry;

use super::Exposition;
use crate::status::{BusReport, ClockReport, CoreReport, DeviceReport, HostReport, PluginReport, QueueReport, Report};
use crate::usage::UsageReport;

/// A report in which no two counters are equal.
fn report() -> Report {
    let bus = BusReport {
        open: true,
        requests: 101,
        answers: 102,
        exceptions: 103,
        timeouts: 104,
        crc: 105,
        framing: 106,
        late: 107,
        echo: 108,
        foreign: 109,
        noise_bytes: 110,
        reopened: 111,
        crashes: 112,
        foreign_requests: 113,
        wrong_unit: 114,
        short: 115,
        headless: 116,
        split: 117,
        babble: 118,
        latency_ms: 16.0,
    };
    let device = |state: &str, last_good_s| DeviceReport {
        state: state.to_owned(),
        good: 201,
        bad: 202,
        skipped: 203,
        last_good_s,
    };
    let plugin = PluginReport {
        state: "running".to_owned(),
        kept: 301,
        filtered: 302,
        added: 303,
        rejected: 304,
        poison: 312,
        bypassed: 305,
        dropped: 306,
        traps: 307,
        state_bytes: 309,
        states_written: 310,
        states_lost: 311,
        bundle: None,
        metrics: [("a \"b\" \\ c\nd".to_owned(), 308.5)].into(),
    };
    Report {
        v: 1,
        hub: "lamp-0042".to_owned(),
        site: "port-credit".to_owned(),
        version: "0.1.0".to_owned(),
        run: "12-00a1b2c3d4e5f607".to_owned(),
        uptime_s: 401,
        refused: 402,
        config: "files".to_owned(),
        clock: ClockReport { trusted: true, trust: "ntp".to_owned(), time_ms: Some(1_795_555_555_123) },
        core: CoreReport {
            state: "connected".to_owned(),
            address: Some("core.city.example:8883".to_owned()),
            on_fallback: false,
            connection: 501,
            sent: 502,
            acked: 503,
            receipted: 504,
            set_aside: 505,
            in_flight: 506,
            commands: 507,
            commands_refused: 508,
            bytes: 509,
            delay_ms: Some(25.0),
            linger_s: 510.0,
        },
        queue: QueueReport {
            rows: 601,
            readings: 602,
            bytes: 603,
            limit_bytes: 604,
            oldest_s: Some(605.5),
            oldest_is_from_before: true,
            aside: 606,
            commits: 607,
            payload_bytes: 608,
            checks: 610,
            gaps: [("full".to_owned(), 609)].into(),
        },
        usage: Some(UsageReport {
            line_today: 801,
            line_month: 802,
            line_month_forecast: Some(803),
            flash_today: Some(804),
            flash_month: Some(805),
        }),
        buses: [("cabinet".to_owned(), bus)].into(),
        devices: [
            ("lamp".to_owned(), device("silent: timeout", None)),
            ("meter".to_owned(), device("answering", Some(204.5))),
        ]
        .into(),
        plugin_host: HostReport { pid: Some(1), restarts: 701 },
        plugins: [("quiet".to_owned(), plugin)].into(),
        faults: vec![FaultEntry {
            room: "source".to_owned(),
            subject: "device lamp".to_owned(),
            word: "unit-silent".to_owned(),
            detail: "no answer from unit 4".to_owned(),
        }],
    }
}

/// A parser of the format that believes nothing: families once, samples below their own family, no series twice,
/// counters by their name. Series with their value.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let is_name = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        plain && text.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    let (mut families, mut series) = (BTreeSet::new(), BTreeMap::new());
    let (mut helped, mut family) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(is_name(name) && help.ends_with('.') && families.insert(name), "{line}");
            (helped, family) = (name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert_eq!(name, helped, "{line}");
            assert_eq!(kind, if name.ends_with("_total") { "counter" } else { "gauge" }, "{line}");
            family = name;
        } else {
            let labels = line.strip_prefix(family).filter(|_| !family.is_empty()).expect(line);
            let value = match labels.strip_prefix('{') {
                Some(labels) => after_labels(labels).unwrap_or_else(|| panic!("labels of {line}")),
                None => labels,
            };
            let number = value.strip_prefix(' ').expect(line).parse().expect(line);
            let key = line.strip_suffix(value).expect(line).to_owned();
            assert!(series.insert(key, number).is_none(), "twice: {line}");
        }
    }
    assert!(text.ends_with('\n'));
    series
}

/// What stands behind the brace that ends these labels.
fn after_labels(mut text: &str) -> Option<&str> {
    let mut names = BTreeSet::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !is_name || !names.insert(name) {
            return None;
        }
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => {
                    characters.next().filter(|(_, c)| matches!(c, '\\' | '"' | 'n'))?;
                }
                (end, '"') => break end,
                _ => {}
            }
        };
        text = &rest[end + 1..];
        match text.strip_prefix(',') {
            Some(rest) => text = rest,
            None => return text.strip_prefix('}'),
        }
    }
}

#[test]
fn every_number_of_the_report_is_exposed() {
    fn numbers(value: &serde_json::Value, key: &str, found: &mut Vec<f64>) {
        match value {
            serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| numbers(value, key, found)),
            serde_json::Value::Array(elements) => elements.iter().for_each(|value| numbers(value, key, found)),
            serde_json::Value::Number(number) if key.ends_with("_ms") => {
                found.push(number.as_f64().unwrap() / 1_000.0);
            }
            // The version of the JSON document, and a process id, are no measurements.
            serde_json::Value::Number(number) if !matches!(key, "v" | "pid") => found.push(number.as_f64().unwrap()),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let report = report();
    let exposed = parse(&Exposition(&report).to_string());
    let mut told = Vec::new();
    numbers(&serde_json::to_value(&report).unwrap(), "", &mut told);
    assert!(told.len() > 50, "{told:?}");
    let absent: Vec<_> = told.iter().filter(|number| !exposed.values().any(|value| value == *number)).collect();
    assert!(absent.is_empty(), "not exposed: {absent:?}");
}

#[test]
fn series_have_their_names_and_labels() {
    let exposed = parse(&Exposition(&report()).to_string());
    let check = |series: &str, value: f64| assert_eq!(exposed.get(series), Some(&value), "{series} in {exposed:#?}");
    check("curb_core_state{state=\"connected\"}", 1.0);
    check("curb_core_state{state=\"off\"}", 0.0);
    check("curb_core_delay_seconds", 0.025);
    check("curb_clock_time_seconds", 1_795_555_555.123);
    check("curb_bus_crc_errors_total{bus=\"cabinet\"}", 105.0);
    check("curb_gap_readings_total{reason=\"full\"}", 609.0);
    check("curb_device_state{device=\"lamp\",state=\"silent\",reason=\"timeout\"}", 1.0);
    check("curb_device_state{device=\"meter\",state=\"answering\",reason=\"\"}", 1.0);
    check("curb_device_readings_total{device=\"meter\",quality=\"bad\"}", 202.0);
    check("curb_plugin_metric{plugin=\"quiet\",metric=\"a \\\"b\\\" \\\\ c\\nd\"}", 308.5);
    check("curb_fault{room=\"source\",subject=\"device lamp\",word=\"unit-silent\"}", 1.0);
    assert!(!exposed.contains_key("curb_device_last_good_seconds{device=\"lamp\"}"), "it never answered");
}

#[test]
fn what_is_not_known_is_absent() {
    let mut report = report();
    report.clock.time_ms = None;
    report.core.delay_ms = None;
    report.core.state = "resting".to_owned();
    report.buses.clear();
    let exposed = parse(&Exposition(&report).to_string());
    assert!(!exposed.keys().any(|series| series.contains("delay") || series.contains("clock_time")));
    assert_eq!(exposed.get("curb_core_state{state=\"resting\"}"), Some(&1.0), "a state that came later");
}
