//! Derive: readings computed from others, by expressions and between units.
//!
//! A result is computed whenever an input of its expression has a new reading, with the newest of its other inputs. One batch gives
//! one result for each time at which an input of it was read. What an expression may say stands in [`parse`], what comes of it in
//! [`expression`], which units there are in [`units`], how far a result can be relied on in [`input`].
//!
//! It remembers nothing over a restart, on purpose: what it knows is the newest reading of each input, which the next poll brings
//! again, and a state would be written to the card with every result, for ever.

pub mod expression;
pub mod input;
pub mod parse;
mod settings;
#[cfg(test)]
mod tests;
pub mod units;

use curb_plugin::{Class, Filter, Now, Out, PointId, Quality, Reason, Rows, Setup, Value};

use crate::input::Latest;
use crate::settings::{Derived, Plan};

/// An input and what is known of it.
#[derive(Debug)]
struct Known {
    id: PointId,
    latest: Option<Latest>,
    /// Whether it was read at the time that is looked at.
    read: bool,
}

/// The plugin.
#[derive(Debug)]
pub struct Derive {
    plan: Plan,
    inputs: Vec<Known>,
    /// Since when it has listened: the time of the first call.
    started: Option<i64>,
}

impl Derive {
    /// Computes what depends on an input that was read at this time.
    fn compute(&mut self, at: i64, started: i64, out: &mut Out) {
        for derived in &self.plan.derived {
            if derived.expression.inputs().any(|input| self.inputs[input].read)
                && let Some((value, quality)) = derived.at(at, started, &self.inputs)
            {
                let value =
                    value.map(|n| if derived.expression.is_bit { Value::Bool(n != 0.0) } else { Value::Number(n) });
                out.add(derived.output, at, value, quality);
            }
        }
        self.inputs.iter_mut().for_each(|input| input.read = false);
    }
}

impl Derived {
    /// The result; `None`: an input is not known yet, and it is too early to say that it fails.
    fn at(&self, at: i64, started: i64, inputs: &[Known]) -> Option<(Option<f64>, Quality)> {
        let mut worst = Quality::GOOD;
        for input in self.expression.inputs() {
            let latest = inputs[input].latest.as_ref();
            worst = input::worse(worst, input::quality(latest, at, self.max_age, started)?);
        }
        if worst.is_bad() {
            return Some((None, worst));
        }
        let value = self.expression.value(|input| inputs[input].latest.map_or(f64::NAN, |latest| latest.number));
        Some((value, if value.is_none() { Quality::bad(Reason::RANGE) } else { worst }))
    }
}

impl Filter for Derive {
    fn init(setup: &Setup) -> Result<Self, String> {
        let inputs: Vec<_> = setup.inputs().map(|(_, name, unit)| (name, unit)).collect();
        let plan =
            settings::plan(setup.settings()?, &inputs, |name, unit| setup.declare(name, unit, "values", Class::Data))?;
        let inputs = setup.inputs().map(|(id, ..)| Known { id, latest: None, read: false }).collect();
        Ok(Self { plan, inputs, started: None })
    }

    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        let started = *self.started.get_or_insert(now.time);
        let mut time = i64::MIN;
        for row in rows {
            if self.plan.passes {
                out.keep(&row);
            }
            if row.at != time {
                self.compute(time, started, out);
                time = row.at;
            }
            let Some(known) = self.inputs.iter_mut().find(|known| known.id == row.point) else { continue };
            // One that was overtaken says nothing about now.
            if known.latest.is_none_or(|latest| latest.at <= row.at) {
                known.latest = Some(Latest::from(&row));
                known.read = true;
            }
        }
        self.compute(time, started, out);
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export!(Derive);

curb_plugin::manifest!("../settings.json");
