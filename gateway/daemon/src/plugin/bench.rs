//! `curb plugin bench`: what a plugin takes for a reading.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::sync::Arc;

use curb_model::{Class, HubTime, Point, PointName, Reading, Sample, Stream, Value, ValueType};
use curb_pipeline::{Measured, measure};
use serde::Serialize;

use super::Error;
use super::args::BenchArgs;
use super::run::{read, say};
use crate::cli::{FINE, FOUND};

/// Rows of a call: one reading alone, a small device, a large one, and what waited for a plugin.
const ROWS: [usize; 4] = [1, 10, 100, 1_000];

/// The rows at which a limit of fuel holds: a large device. Fewer have the cost of the call in them.
const LIMITED: usize = 100;

/// Readings that are made up where there are none: a sawtooth, so that each differs from the one before.
const MADE_UP: u32 = 1_000;

pub(super) fn run(args: &BenchArgs, out: &mut impl Write) -> Result<u8, Error> {
    #[derive(Serialize)]
    struct Document {
        v: u32,
        rows: Vec<Row>,
    }
    #[derive(Serialize)]
    struct Row {
        rows: usize,
        ns_per_reading: f64,
        fuel_per_reading: f64,
    }
    let plugin = args.how.plugin(args.component.clone())?;
    let mut readings = given()?;
    if readings.is_empty() {
        readings = (0..MADE_UP).filter_map(made_up).collect();
    }
    readings.retain(|reading| plugin.points.iter().any(|glob| glob.matches(&reading.point.name)));
    let measured = measure(&plugin, &readings, &ROWS)?;
    if args.json {
        let row = |m: &Measured| Row { rows: m.rows, ns_per_reading: m.ns, fuel_per_reading: m.fuel };
        let document = Document { v: 1, rows: measured.iter().map(row).collect() };
        writeln!(out, "{}", serde_json::to_string(&document).map_err(io::Error::from)?)?;
    } else {
        writeln!(out, "ROWS  NS A READING  FUEL A READING")?;
        for Measured { rows, ns, fuel } in &measured {
            writeln!(out, "{rows:>4} {ns:>13.1} {fuel:>15.1}")?;
        }
    }
    out.flush()?;
    let fuel = measured.iter().find(|measured| measured.rows == LIMITED).map_or(0.0, |measured| measured.fuel);
    match args.fuel_limit {
        #[expect(clippy::cast_precision_loss, reason = "nobody's limit is beyond 2^53")]
        Some(limit) if fuel > limit as f64 => {
            say(&format!("a reading takes {fuel:.1} fuel at {LIMITED} rows (limit {limit})"));
            Ok(FOUND)
        }
        Some(_) | None => Ok(FINE),
    }
}

/// The readings of standard input, where somebody has put some there.
fn given() -> Result<Vec<Reading>, Error> {
    let mut text = String::new();
    if !io::stdin().is_terminal() {
        io::stdin().read_to_string(&mut text).map_err(Error::Input)?;
    }
    Ok(read(&text)?.batches.into_iter().flat_map(|batch| batch.readings).collect())
}

fn made_up(n: u32) -> Option<Reading> {
    let name = PointName::parse("in/value").ok()?;
    let (stream, class) = (Stream::device(name.owner()), Class::Data);
    let point = Point { name, stream, class, unit: None, value_type: ValueType::F64, range: None };
    let value = Value::from_f64(f64::from(n % 100) / 4.0)?;
    Some(Reading {
        point: Arc::new(point),
        at: HubTime::from_nanos(i64::from(n) * 1_000_000_000),
        sample: Sample::Good(value),
    })
}
