//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{Quality, Reason, Setting, Settings, join};

use crate::{Checks, spike, still};

/// Values in a window if nothing is said: a few minutes at usual intervals, and enough for a stable median.
const WINDOW: f64 = 15.0;
/// Windows of fewer have no scale worth the name; more are walked over with each reading.
const WINDOWS: std::ops::RangeInclusive<f64> = 5.0..=101.0;
/// Outliers in a row that make a step if nothing is said: two in a row may well be one disturbance.
const ACCEPT: f64 = 3.0;

/// What is written of one point, or of all.
#[derive(Debug, Clone, Default)]
struct Written {
    min: Option<f64>,
    max: Option<f64>,
    outside: Option<Quality>,
    stuck_after: Option<i64>,
    stuck_band: Option<f64>,
    stuck_rest: Option<f64>,
    spike_k: Option<f64>,
    spike_floor: Option<f64>,
    spike_window: Option<f64>,
    spike_accept: Option<f64>,
    max_step: Option<f64>,
}

/// Reads `[plugin.NAME] settings = { .. }`: what is checked of each of `inputs`, by its point.
///
/// # Errors
/// A setting does not fit or is unknown, a point is named that the plugin does not see, or nothing at all is checked.
pub(crate) fn checks<'a, P: Ord>(
    mut settings: Settings,
    inputs: impl Iterator<Item = (P, &'a str)>,
) -> Result<Vec<(P, Checks)>, String> {
    let mut points = settings.table("points")?.unwrap_or_default();
    let base = Written::read(&mut settings)?;
    settings.finish()?;

    let mut all = Vec::new();
    for (id, name) in inputs {
        let of_point = |error: String| join(&["points.", name, ": ", &error]);
        let checks = match points.table(name).map_err(|error| join(&["points.", &error]))? {
            None => base.checks()?,
            Some(mut own) => {
                let written = Written::read(&mut own).and_then(|written| own.finish().map(|()| written));
                written.map(|written| written.over(&base)).and_then(|written| written.checks()).map_err(of_point)?
            }
        };
        let place = all.partition_point(|(other, _)| *other < id);
        all.insert(place, (id, checks));
    }
    if let Some(name) = points.names().next() {
        return Err(join(&["points: ", name, " is not among the points that this plugin sees"]));
    }
    if !all.is_empty() && all.iter().all(|(_, checks)| checks.nothing()) {
        return Err("nothing is checked: expected min, max, stuck_after, spike_k or max_step".to_owned());
    }
    Ok(all)
}

impl Written {
    fn read(settings: &mut Settings) -> Result<Self, String> {
        let outside = match settings.get("outside") {
            Some(Setting::Text(text)) if text == "uncertain" => Some(Quality::OUT_OF_RANGE),
            Some(Setting::Text(text)) if text == "bad" => Some(Quality::bad(Reason::RANGE)),
            Some(_) => return Err("outside: expected \"uncertain\" or \"bad\"".to_owned()),
            None => None,
        };
        settings.text("outside")?;
        Ok(Self {
            min: settings.number("min")?,
            max: settings.number("max")?,
            outside,
            stuck_after: settings.duration("stuck_after")?,
            stuck_band: not_negative("stuck_band", settings)?,
            stuck_rest: settings.number("stuck_rest")?,
            spike_k: not_negative("spike_k", settings)?,
            spike_floor: not_negative("spike_floor", settings)?,
            spike_window: settings.number("spike_window")?,
            spike_accept: settings.number("spike_accept")?,
            max_step: not_negative("max_step", settings)?,
        })
    }

    /// What is written here, and of the rest what is written of all points.
    fn over(self, base: &Self) -> Self {
        Self {
            min: self.min.or(base.min),
            max: self.max.or(base.max),
            outside: self.outside.or(base.outside),
            stuck_after: self.stuck_after.or(base.stuck_after),
            stuck_band: self.stuck_band.or(base.stuck_band),
            stuck_rest: self.stuck_rest.or(base.stuck_rest),
            spike_k: self.spike_k.or(base.spike_k),
            spike_floor: self.spike_floor.or(base.spike_floor),
            spike_window: self.spike_window.or(base.spike_window),
            spike_accept: self.spike_accept.or(base.spike_accept),
            max_step: self.max_step.or(base.max_step),
        }
    }

    fn checks(&self) -> Result<Checks, String> {
        let (min, max) = (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY));
        if min > max {
            return Err("min: expected no more than max".to_owned());
        }
        let still = self.stuck_after.filter(|after| *after > 0).map(|after| still::Limit {
            after,
            band: self.stuck_band.unwrap_or(0.0),
            rest: self.stuck_rest,
        });
        let spike = self.spike_k.filter(|k| *k > 0.0).map(|k| self.spike(k)).transpose()?;
        let max_step = self.max_step.filter(|step| *step > 0.0);
        Ok(Checks { min, max, outside: self.outside.unwrap_or(Quality::OUT_OF_RANGE), still, spike, max_step })
    }

    fn spike(&self, k: f64) -> Result<spike::Limit, String> {
        if k < 1.0 {
            return Err("spike_k: expected 0 (off), or 1 or more".to_owned());
        }
        let floor = self.spike_floor.filter(|floor| *floor > 0.0).ok_or(
            "spike_floor: expected more than 0 beside spike_k: the noise, in the point's unit, that is never a spike",
        )?;
        let window = self.spike_window.unwrap_or(WINDOW);
        if !WINDOWS.contains(&window) || window.fract() != 0.0 {
            return Err("spike_window: expected a whole number from 5 to 101".to_owned());
        }
        let accept = self.spike_accept.unwrap_or(ACCEPT);
        if !(2.0..=window).contains(&accept) || accept.fract() != 0.0 {
            return Err("spike_accept: expected a whole number from 2 to spike_window".to_owned());
        }
        Ok(spike::Limit { k, floor, window: whole(window), accept: whole(accept) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and from 2 to 101, as checked")]
const fn whole(number: f64) -> usize {
    number as usize
}

fn not_negative(name: &str, settings: &mut Settings) -> Result<Option<f64>, String> {
    match settings.number(name)? {
        Some(number) if number < 0.0 => Err(join(&[name, ": expected a number that is not negative"])),
        number => Ok(number),
    }
}
