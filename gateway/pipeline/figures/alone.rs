//! What the engine costs in this process, without host and link.

use std::error::Error;
use std::time::Instant;

use curb_pipeline::{Alone, Engine, Rows};

use crate::{Bench, ROWS, TIMES, best, names, tell, values};

const SETTINGS: &str = "{\"default\":0.5}";

pub(super) fn measure(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let component = std::fs::read(bench.component("deadband"))?;
    let points = names();
    for (engine, name) in [(Engine::Cranelift, "cranelift"), (Engine::Pulley, "pulley")] {
        let mut compile = f64::INFINITY;
        for _ in 0..TIMES {
            let begun = Instant::now();
            Alone::compile(engine, &component, SETTINGS, &points[..1])?;
            compile = compile.min(begun.elapsed().as_secs_f64());
        }
        tell(&format!("compile-ms.{name}"), compile * 1e3)?;
        let alone = Alone::compile(engine, &component, SETTINGS, &points[..1])?;
        let instantiate = best(|| alone.instantiate().map(drop))?;
        tell(&format!("instantiate-us.{name}"), instantiate / 1e3)?;

        let alone = Alone::compile(engine, &component, SETTINGS, &points)?;
        // What the boundary costs: this one decides nothing.
        let keeps_all = Alone::compile(engine, &std::fs::read(bench.component("hostile"))?, "{}", &points)?;
        for (plugin, what) in [(&alone, "in-process-ns"), (&keeps_all, "keep-all-ns")] {
            each_size(plugin, &format!("{what}.{name}"))?;
        }
    }
    Ok(())
}

fn each_size(plugin: &Alone, name: &str) -> Result<(), Box<dyn Error>> {
    for rows in ROWS {
        let batches = [0, 1].map(|batch| Rows::floats(&values(rows, batch), 0));
        let (mut instance, mut batch) = (plugin.instantiate()?, 0);
        let nanos = best(|| -> Result<(), Box<dyn Error>> {
            batch += 1;
            let kept = instance.process(0, &batches[batch % 2])?;
            if kept == rows { Ok(()) } else { Err(format!("{kept} of {rows} rows passed").into()) }
        })?;
        tell(&format!("{name}.{rows}"), nanos / f64::from(u16::try_from(rows)?))?;
    }
    Ok(())
}
