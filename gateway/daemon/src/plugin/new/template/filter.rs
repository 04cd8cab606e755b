//! @NAME@: lets a reading of each point pass, and the next one `every` later.
//!
//! That is only a beginning. `process` says of each row what becomes of it: `out.keep`, `out.remark` (another quality), `out.reject`
//! (set aside, with a reason), or nothing, which leaves it out. `out.add` makes a reading of the plugin's own.

use curb_plugin::{Filter, Now, Out, PointId, Rows, Setup};

#[cfg(test)]
mod tests;

/// A minute, in nanoseconds: what `every` is if nobody says otherwise.
const MINUTE: i64 = 60_000_000_000;

/// The plugin. It begins anew at each start of the hub, and behind each panic.
#[derive(Debug)]
pub struct Plugin {
    /// Nanoseconds from a reading that passes to the next of its point.
    every: i64,
    /// When a reading of each point passed last. A list: a plugin sees some tens of points.
    passed: Vec<(PointId, i64)>,
}

impl Filter for Plugin {
    fn init(setup: &Setup) -> Result<Self, String> {
        let mut settings = setup.settings()?;
        let every = settings.duration("every")?.unwrap_or(MINUTE);
        // A setting that nobody has asked for is a mistake, and the operator is told.
        settings.finish()?;
        Ok(Self {
            every,
            passed: Vec::new(),
        })
    }

    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        for row in rows {
            match self
                .passed
                .iter_mut()
                .find(|(point, _)| *point == row.point)
            {
                Some((_, at)) if row.at.saturating_sub(*at) < self.every => continue,
                Some((_, at)) => *at = row.at,
                None => self.passed.push((row.point, row.at)),
            }
            out.keep(&row);
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export!(Plugin);

curb_plugin::manifest!("../settings.json");
