//! `figures CURB COMPONENTS`: what plugins cost, as lines `NAME FIGURE`. `make bench` starts it, puts other programs' figures
//! beside them and says what they should be.
//!
//! Deliberately absent: opinions. A figure is the best of some rounds, because whatever else the machine does only adds to it.

mod alone;
mod host;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows in a batch, for which a reading's share is measured.
const ROWS: [usize; 4] = [1, 10, 100, 1000];

/// Rounds of which the best counts, and how long one takes: short against what a scheduler gives to others in between.
const ROUNDS: u32 = 100;
const ROUND: Duration = Duration::from_millis(5);

/// The same for what is done once: a start, a plugin that spins.
const TIMES: u32 = 7;

/// What is measured.
struct Bench {
    curb: PathBuf,
    components: PathBuf,
}

impl Bench {
    fn component(&self, name: &str) -> PathBuf {
        self.components.join(format!("{name}.wasm"))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(curb), Some(components)) = (args.next(), args.next()) else {
        return Err("usage: figures CURB COMPONENTS".into());
    };
    let bench = Bench { curb, components };
    alone::measure(&bench)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(host::measure(&bench))
}

/// Prints a figure.
fn tell(name: &str, figure: f64) -> io::Result<()> {
    writeln!(io::stdout(), "{name} {figure}")
}

/// Nanoseconds that one of `act` takes.
fn best<E>(mut act: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (begun, mut times) = (Instant::now(), 0_u32);
        while begun.elapsed() < ROUND {
            act()?;
            times += 1;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    Ok(best)
}

/// Names of points: `meter/r0` and so on.
fn names() -> Vec<String> {
    (0..1000).map(|number| format!("meter/r{number}")).collect()
}

/// Values of which each passes a deadband of 0.5: they change from batch to batch.
fn values(rows: usize, batch: usize) -> Vec<f64> {
    let base = if batch.is_multiple_of(2) { 0.0 } else { 100.0 };
    (0..1000).map(|row| base + f64::from(row)).take(rows).collect()
}
