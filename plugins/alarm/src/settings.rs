//! Settings, as the operator writes them, and what they mean.

use curb_plugin::{PointId, Setting, Settings, join};

use crate::rule::{Rule, Test};
use crate::watch::{Cause, Timing};

/// For how long a reading tells what is, at least, if nothing is said: some polls of a slow device, and less than anybody
/// would call long for an alarm.
const STALE_AFTER: i64 = 60 * SECOND;
/// The least `bad_for` and `repeat`: the plugin looks at the time once a second.
const SECOND: i64 = 1_000_000_000;

/// Reads `[plugin.NAME] settings = { rules = { .. } }`.
///
/// # Errors
/// There is no rule, one names a point that the plugin does not see, or says nothing, too much or nonsense.
pub(crate) fn rules<'a>(
    mut settings: Settings,
    inputs: impl Iterator<Item = (PointId, &'a str)>,
) -> Result<Vec<Rule>, String> {
    let mut table = settings.table("rules")?.unwrap_or_default();
    settings.finish()?;
    let inputs: Vec<_> = inputs.collect();
    let mut rules = Vec::new();
    while let Some((name, setting)) = table.pop() {
        let Setting::Table(settings) = setting else {
            return Err(of_rule(&name, "expected a table"));
        };
        let rule = rule(settings, &inputs).map_err(|error| of_rule(&name, &error))?;
        rules.push(Rule { name, ..rule });
    }
    if rules.is_empty() {
        return Err(
            "rules: expected a rule, such as door-open = { point = \"cabinet/door\", equals = true }".to_owned()
        );
    }
    Ok(rules)
}

/// A complaint about a rule, with its name.
pub(crate) fn of_rule(name: &str, error: &str) -> String {
    join(&["rules.", name, ": ", error])
}

/// A rule without its name.
fn rule(mut settings: Settings, inputs: &[(PointId, &str)]) -> Result<Rule, String> {
    let [point, latch] = several(["point", "latch"], |name| point(name, settings.text(name)?, inputs))?;
    let thresholds = several(["above", "below", "clear", "hysteresis"], |name| settings.number(name))?;
    let equals = equals(&mut settings)?;
    let [repeat, bad_for, after, stale_after, clear_after, min_on] =
        several(["repeat", "bad_for", "after", "stale_after", "clear_after", "min_on"], |name| {
            settings.duration(name)
        })?;
    let uncertain = settings.bool("uncertain")?.unwrap_or(false);
    settings.finish()?;

    let point = point.ok_or("point: expected the point that the rule watches")?;
    let test = test(thresholds, equals, bad_for.is_some())?;
    let (cause, after, stale_after) = cause(bad_for, after, stale_after)?;
    if repeat.is_some_and(|repeat| repeat < SECOND) {
        return Err("repeat: expected 1s or more".to_owned());
    }
    let (clear_after, min_on) = (clear_after.unwrap_or(0), min_on.unwrap_or(0));
    let stale_after = stale_after.unwrap_or(STALE_AFTER.max(after).max(clear_after));
    let timing = Timing { cause, after, clear_after, min_on, stale_after, latch: latch.is_some() };
    Ok(Rule { name: String::new(), point, test, timing, latch, repeat, uncertain })
}

/// Settings of one kind, in the order of their names.
fn several<T: Copy, const N: usize>(
    names: [&str; N],
    mut read: impl FnMut(&str) -> Result<Option<T>, String>,
) -> Result<[Option<T>; N], String> {
    let mut values = [None; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = read(name)?;
    }
    Ok(values)
}

fn point(setting: &str, name: Option<String>, inputs: &[(PointId, &str)]) -> Result<Option<PointId>, String> {
    let Some(name) = name else {
        return Ok(None);
    };
    match inputs.iter().find(|(_, input)| *input == name) {
        Some((id, _)) => Ok(Some(*id)),
        None => Err(join(&[setting, ": ", &name, " is not among the points that this plugin sees"])),
    }
}

fn equals(settings: &mut Settings) -> Result<Option<Test>, String> {
    let number = |bit| Test::Number(f64::from(u8::from(bit)));
    match settings.get("equals") {
        None => Ok(None),
        Some(Setting::Bool(_)) => settings.bool("equals").map(|bit| bit.map(number)),
        Some(Setting::Number(_)) => settings.number("equals").map(|number| number.map(Test::Number)),
        Some(Setting::Null | Setting::Text(_) | Setting::List(_) | Setting::Table(_)) => {
            settings.text("equals").map(|text| text.map(Test::Text))
        }
    }
}

fn test(thresholds: [Option<f64>; 4], equals: Option<Test>, silence: bool) -> Result<Test, &'static str> {
    let [above, below, clear, hysteresis] = thresholds;
    let band = hysteresis.unwrap_or(0.0);
    if clear.is_some() && hysteresis.is_some() {
        return Err("hysteresis: expected nothing beside clear, which says the same");
    }
    if band < 0.0 {
        return Err("hysteresis: expected a number that is not negative");
    }
    let test = match (above, below, equals, silence) {
        (Some(limit), None, None, false) => Test::Above { limit, clear: clear.unwrap_or(limit - band) },
        (None, Some(limit), None, false) => Test::Below { limit, clear: clear.unwrap_or(limit + band) },
        (None, None, Some(test), false) => test,
        (None, None, None, true) => Test::Anything,
        _ => return Err("expected one of above, below, equals and bad_for"),
    };
    match test {
        Test::Above { limit, clear } if clear > limit => Err("clear: expected no more than above"),
        Test::Below { limit, clear } if clear < limit => Err("clear: expected no less than below"),
        Test::Number(_) | Test::Text(_) | Test::Anything if clear.or(hysteresis).is_some() => {
            Err("clear and hysteresis: expected beside above or below")
        }
        Test::Above { .. } | Test::Below { .. } | Test::Number(_) | Test::Text(_) | Test::Anything => Ok(test),
    }
}

/// What the rule waits for, how long that must last, and for how long a reading tells what is, if that is said.
fn cause(
    bad_for: Option<i64>,
    after: Option<i64>,
    stale_after: Option<i64>,
) -> Result<(Cause, i64, Option<i64>), &'static str> {
    match (bad_for, after, stale_after) {
        (Some(bad_for), None, None) if bad_for >= SECOND => Ok((Cause::Absence, bad_for, bad_for.into())),
        (Some(_), None, None) => Err("bad_for: expected 1s or more"),
        (Some(_), _, _) => Err("bad_for: expected without after and stale_after, which it is itself"),
        (None, _, Some(0)) => Err("stale_after: expected more than 0"),
        (None, after, stale_after) => Ok((Cause::Value, after.unwrap_or(0), stale_after)),
    }
}
