//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{Settings, join};

use crate::rule::{Band, Table};

/// Reads `[plugin.NAME] settings = { .. }`: what holds for every point, and for each of `inputs` that has a threshold of
/// its own.
///
/// # Errors
/// A threshold is negative or no number, a point is named that the plugin does not see, the duration has no unit, or
/// there is a setting too many.
pub(crate) fn bands<'a, P: Ord>(
    mut settings: Settings,
    inputs: impl Iterator<Item = (P, &'a str)>,
) -> Result<(Band, Table<P, Band>), String> {
    let default = threshold("default", settings.number("default")?.unwrap_or(0.0))?;
    let max_silence = settings.duration("max_silence")?;
    let mut points = settings.table("points")?.unwrap_or_default();
    settings.finish()?;

    let mut bands = Table::default();
    for (id, name) in inputs {
        if let Some(value) = points.number(name)? {
            bands.insert(id, Band { threshold: threshold(name, value)?, max_silence });
        }
    }
    match points.names().next() {
        Some(name) => Err(join(&["points: ", name, " is not among the points that this plugin sees"])),
        None => Ok((Band { threshold: default, max_silence }, bands)),
    }
}

fn threshold(setting: &str, value: f64) -> Result<f64, String> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(join(&[setting, ": expected a number that is not negative"]))
    }
}
