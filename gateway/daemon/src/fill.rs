//! How full each bus will be, as `curb check` shows it: a table for people, `buses` of the document for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use curb_source::{ANSWER, Config, LineLoad, Tightest};
use serde::Serialize;

/// Every bus, by name.
pub(crate) type Buses = BTreeMap<String, Fill>;

/// One bus.
#[derive(Debug, Serialize)]
pub(crate) struct Fill {
    requests_per_second: f64,
    /// Of the line's time; 1 is all of it. `None` where that cannot be known: a connection, a device that talks by itself.
    load: Option<f64>,
    cycle_ms: Option<u128>,
    worst_cycle_ms: Option<u128>,
    tightest: Option<Point>,
    /// How long each unit is taken to need before it answers.
    assumed_answer_ms: u128,
}

#[derive(Debug, Serialize)]
struct Point {
    point: String,
    every_ms: u128,
    within_ms: u128,
}

/// Reckons every bus.
pub(crate) fn of(source: &Config) -> Buses {
    let fill = |bus| {
        let load = curb_source::load(bus, ANSWER);
        let line = load.line.as_ref();
        Fill {
            requests_per_second: (load.requests_per_second * 100.0).round() / 100.0,
            load: line.map(|line| (line.share * 1000.0).round() / 1000.0),
            cycle_ms: line.map(|line| line.cycle.as_millis()),
            worst_cycle_ms: line.map(|line| line.worst_cycle.as_millis()),
            tightest: line.and_then(tightest),
            assumed_answer_ms: ANSWER.as_millis(),
        }
    };
    source.buses.iter().map(|(name, bus)| (name.to_string(), fill(bus))).collect()
}

fn tightest(line: &LineLoad) -> Option<Point> {
    let Tightest { point, every, within } = line.tightest.as_ref()?;
    Some(Point { point: point.to_string(), every_ms: every.as_millis(), within_ms: within.as_millis() })
}

/// Writes the table:
///
/// ```text
/// BUS       LOAD   WORST CYCLE   TIGHTEST POINT
/// cabinet   62 %   214 ms        meter/power (every 250 ms, answered within 188 ms)
/// charger   -      -             10 requests a second
/// ```
pub(crate) fn write(buses: &Buses, out: &mut impl Write) -> io::Result<()> {
    if buses.is_empty() {
        return Ok(());
    }
    let width = buses.keys().map(String::len).max().unwrap_or_default().max("BUS".len());
    writeln!(out, "{:width$}   {:5}   {:11}   TIGHTEST POINT", "BUS", "LOAD", "WORST CYCLE")?;
    for (name, fill) in buses {
        let load = fill.load.map_or_else(|| "-".to_owned(), |load| format!("{:.0} %", load * 100.0));
        let cycle = fill.worst_cycle_ms.map_or_else(|| "-".to_owned(), ms);
        let tightest = match &fill.tightest {
            Some(Point { point, every_ms, within_ms }) => {
                format!("{point} (every {}, answered within {})", period(*every_ms), ms(*within_ms))
            }
            None if fill.requests_per_second > 0.0 => format!("{} requests a second", fill.requests_per_second),
            None => "-".to_owned(),
        };
        writeln!(out, "{name:width$}   {load:5}   {cycle:11}   {tightest}")?;
    }
    if buses.values().any(|fill| fill.load.is_some()) {
        writeln!(
            out,
            "if each unit answers within {}; worst: all due at once, one unit silent",
            ms(ANSWER.as_millis())
        )?;
    }
    Ok(())
}

fn ms(ms: u128) -> String {
    format!("{ms} ms")
}

/// Whole seconds as such.
fn period(ms: u128) -> String {
    match u64::try_from(ms) {
        Ok(whole) if whole % 1000 == 0 => humantime::format_duration(Duration::from_millis(whole)).to_string(),
        Ok(_) | Err(_) => self::ms(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_bus_and_names_what_it_assumes() {
        let fill = |load: Option<f64>, tightest| Fill {
            requests_per_second: 10.0,
            load,
            cycle_ms: load.map(|_| 100),
            worst_cycle_ms: load.map(|_| 214),
            tightest,
            assumed_answer_ms: 10,
        };
        let point = |every_ms| Point { point: "meter/power".to_owned(), every_ms, within_ms: 188 };
        let buses = [("cabinet", fill(Some(0.62), Some(point(250)))), ("charger", fill(None, None))];
        let mut text = Vec::new();
        write(&buses.into_iter().map(|(name, fill)| (name.to_owned(), fill)).collect(), &mut text).unwrap();
        let expected = "BUS       LOAD    WORST CYCLE   TIGHTEST POINT\n\
                        cabinet   62 %    214 ms        meter/power (every 250 ms, answered within 188 ms)\n\
                        charger   -       -             10 requests a second\n\
                        if each unit answers within 10 ms; worst: all due at once, one unit silent\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!((period(250), period(3_000)), ("250 ms".to_owned(), "3s".to_owned()));
    }
}
