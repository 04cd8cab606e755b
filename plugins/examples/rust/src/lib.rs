//! The example in Rust: tells each temperature in degrees Celsius as well, marks those above a limit, and refuses what is no number.
//!
//! `../c` and `../javascript` do the same, under one and the same test; what is in `../python` no hub runs.

use curb_plugin::{Class, Filter, Now, Out, PointId, Quality, Rows, Setup, Value, counter_add, dashed, join, warn};

/// The plugin.
#[derive(Debug)]
pub struct Celsius {
    limit: f64,
    /// Each input: its point, its name, and the point that is told beside it.
    points: Vec<(PointId, String, PointId)>,
}

impl Filter for Celsius {
    fn init(setup: &Setup) -> Result<Self, String> {
        let mut settings = setup.settings()?;
        let limit = settings.number("limit")?.ok_or("limit: expected a number, in degrees Fahrenheit")?;
        settings.finish()?;
        let mut points = Vec::new();
        for (id, name, _) in setup.inputs() {
            points.push((id, name.to_owned(), setup.declare(&dashed(name), Some("Cel"), "values", Class::Data)?));
        }
        Ok(Self { limit, points })
    }

    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        let mut above = 0;
        for row in rows {
            let Some((_, name, own)) = self.points.iter().find(|(id, ..)| *id == row.point) else { continue };
            match row.value {
                // Bad: there is nothing to tell in other degrees.
                None => out.keep(&row),
                Some(Value::Number(fahrenheit)) => {
                    let mut quality = row.quality;
                    if fahrenheit > self.limit && quality == Quality::GOOD {
                        warn(&join(&[name, " is above the limit"]));
                        above += 1;
                        quality = Quality::OUT_OF_RANGE;
                        out.remark(&row, quality);
                    } else {
                        out.keep(&row);
                    }
                    out.add(*own, row.at, Some(Value::Number((fahrenheit - 32.0) * 5.0 / 9.0)), quality);
                }
                Some(_) => out.reject(&row, "expected a number"),
            }
        }
        if above > 0 {
            counter_add("above", above);
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export!(Celsius);

curb_plugin::manifest!("../../settings.json");

#[cfg(test)]
mod tests;
