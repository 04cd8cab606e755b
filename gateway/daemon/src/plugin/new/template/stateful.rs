//! @NAME@: counts how often its point was switched on, over restarts, and tells the count on a point of its own.
//!
//! That is only a beginning. `process` says of each row what becomes of it: `out.keep`, `out.remark` (another quality), `out.reject`
//! (set aside, with a reason), or nothing, which leaves it out. `out.add` makes a reading of the plugin's own, and `snapshot` and
//! `restore` are what it remembers.

use curb_plugin::{
    Class, Filter, Now, Out, Pack, PointId, Quality, Rows, Saved, Setup, Stateful, Unpack, Value,
};

#[cfg(test)]
mod tests;

/// The version of what is remembered. Whoever changes `snapshot` raises it, and `restore` takes the one before as well.
const VERSION: u32 = 1;

/// The plugin. Behind a restart of the hub, or a panic, it goes on with what `snapshot` gave last.
#[derive(Debug)]
pub struct Plugin {
    /// The point that it tells the count on.
    count_point: PointId,
    is_on: bool,
    count: i64,
}

impl Filter for Plugin {
    fn init(setup: &Setup) -> Result<Self, String> {
        // No settings: one that is there is a mistake, and the operator is told.
        setup.settings()?.finish()?;
        if setup.inputs().count() != 1 {
            return Err("points: expected one point, whose switching is counted".to_owned());
        }
        let count_point = setup.declare("count", None, "counts", Class::Data)?;
        Ok(Self {
            count_point,
            is_on: false,
            count: 0,
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a count that far takes longer than any lamp lasts"
    )]
    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        // The readings themselves stay on the hub: out.keep(&row) would let one pass.
        for row in rows {
            let is_on = match row.value {
                Some(Value::Bool(bit)) => bit,
                Some(Value::Number(number)) => number > 0.0,
                // Bad readings, texts and bytes say nothing of a switch.
                _ => self.is_on,
            };
            if is_on && !self.is_on {
                self.count += 1;
                out.add(
                    self.count_point,
                    row.at,
                    Some(Value::Number(self.count as f64)),
                    Quality::GOOD,
                );
            }
            self.is_on = is_on;
        }
        Ok(())
    }
}

impl Stateful for Plugin {
    fn snapshot(&self) -> Result<Saved, String> {
        let mut pack = Pack::default();
        pack.u8(u8::from(self.is_on)).i64(self.count);
        Ok(Saved {
            version: VERSION,
            data: pack.into_bytes(),
        })
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        if saved.version != VERSION {
            return Err("found a version that this plugin does not know".to_owned());
        }
        let mut unpack = Unpack::new(&saved.data);
        let (is_on, count) = (unpack.u8() != 0, unpack.i64());
        unpack.finish()?;
        (self.is_on, self.count) = (is_on, count);
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export_stateful!(Plugin);

curb_plugin::manifest!("../settings.json");
