//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{Setting, Settings, join};

use crate::rule::{Band, Table};

/// Reads `[plugin.NAME] settings = { .. }`: what holds for every point, and for each of `inputs` that has a band of its own.
///
/// # Errors
/// A threshold or share is negative or no number, a point is named that the plugin does not see, the duration has no unit, or
/// there is a setting too many.
pub(crate) fn bands<'a, P: Ord>(
    mut settings: Settings,
    inputs: impl Iterator<Item = (P, &'a str)>,
) -> Result<(Band, Table<P, Band>), String> {
    let all = Band {
        threshold: size(&mut settings, "default")?.unwrap_or(0.0),
        percent: size(&mut settings, "percent")?.unwrap_or(0.0),
        max_silence: settings.duration("max_silence")?,
    };
    let mut points = settings.table("points")?.unwrap_or_default();
    settings.finish()?;

    let mut bands = Table::default();
    for (id, name) in inputs {
        let band = match points.get(name) {
            None => continue,
            Some(Setting::Table(_)) => {
                let of_point = |error: String| join(&["points: ", name, ": ", &error]);
                let mut own = points.table(name)?.unwrap_or_default();
                let threshold = size(&mut own, "threshold").map_err(of_point)?.unwrap_or(all.threshold);
                let percent = size(&mut own, "percent").map_err(of_point)?.unwrap_or(all.percent);
                own.finish().map_err(of_point)?;
                Band { threshold, percent, ..all }
            }
            // A number alone is a threshold: so it was before there were shares.
            Some(_) => Band { threshold: size(&mut points, name)?.unwrap_or(all.threshold), ..all },
        };
        bands.insert(id, band);
    }
    match points.names().next() {
        Some(name) => Err(join(&["points: ", name, " is not among the points that this plugin sees"])),
        None => Ok((all, bands)),
    }
}

fn size(settings: &mut Settings, name: &str) -> Result<Option<f64>, String> {
    match settings.number(name)? {
        Some(size) if !(size.is_finite() && size >= 0.0) => {
            Err(join(&[name, ": expected a number that is not negative"]))
        }
        size => Ok(size),
    }
}
