//! What the plugin costs as native code, called with columns as a component is: lines `native-ns.ROWS FIGURE`. `make bench` puts the
//! component's figures beside them.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use curb_plugin::bindings::curb::plugin::types::{Columns, Now, Point};
use curb_plugin::bindings::exports::curb::plugin::transform::Setup;
use curb_plugin::glue;
use deadband::Deadband;

/// Rounds of which the best counts, and how long one takes: short against what a scheduler gives to others in between.
const ROUNDS: u32 = 100;
const ROUND: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let inputs = (0..1000).map(|id| Point { id, name: format!("meter/r{id}"), unit: None }).collect();
    let setup = Setup { config: "{\"default\":0.5}".to_owned(), inputs, seed: vec![0; 32] };
    let mut plugin: Option<Deadband> = None;
    glue::init(&mut plugin, setup)?;
    let mut batch = 0;
    for rows in [1_u16, 10, 100, 1000] {
        let batches = [0.0, 100.0].map(|base| columns(rows, base));
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let (begun, mut times) = (Instant::now(), 0_u32);
            while begun.elapsed() < ROUND {
                batch += 1;
                let emission =
                    glue::process(&mut plugin, Now { time: 0, utc_offset: None }, black_box(&batches[batch % 2]))?;
                if black_box(emission).keep.len() != usize::from(rows) {
                    return Err("a row did not pass".into());
                }
                times += 1;
            }
            best = best.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(times) / f64::from(rows));
        }
        writeln!(io::stdout(), "native-ns.{rows} {best}")?;
    }
    Ok(())
}

/// Each passes: values change from batch to batch.
fn columns(rows: u16, base: f64) -> Columns {
    let len = usize::from(rows);
    Columns {
        points: (0..u32::from(rows)).collect(),
        times: vec![0; len],
        values: (0..rows).map(|row| base + f64::from(row)).collect(),
        kinds: vec![3; len],
        quality: vec![0; len],
        others: Vec::new(),
    }
}
