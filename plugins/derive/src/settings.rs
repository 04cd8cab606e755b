//! Settings, as the operator writes them, and what is computed by them.

use curb_plugin::{PointId, Setting, Settings, dashed, join};

use crate::expression::{Expression, Op};
use crate::parse::parse;
use crate::units::conversion;

/// A minute: devices of a street are read each second to each minute.
const MAX_AGE: i64 = 60_000_000_000;

/// Something to compute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Derived {
    /// The point that it is told on.
    pub(crate) output: PointId,
    /// How it is computed.
    pub(crate) expression: Expression,
    /// How far from a result its inputs may be, in nanoseconds.
    pub(crate) max_age: i64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) derived: Vec<Derived>,
    /// Whether the inputs pass as well.
    pub(crate) passes: bool,
}

/// What the hub says of an input: name, unit.
pub(crate) type Input<'a> = (&'a str, Option<&'a str>);

/// Reads `[plugin.NAME] settings = { .. }`. `declare` makes points of the plugin's own.
///
/// # Errors
/// A setting does not fit, or there is one too many, or nothing to compute. The text names the setting; of an expression, the column.
pub(crate) fn plan(
    mut settings: Settings,
    inputs: &[Input<'_>],
    mut declare: impl FnMut(&str, Option<&str>) -> Result<PointId, String>,
) -> Result<Plan, String> {
    let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let max_age = age(&mut settings)?.unwrap_or(MAX_AGE);
    let passes = match settings.text("inputs")?.as_deref() {
        None | Some("pass") => true,
        Some("drop") => false,
        Some(_) => return Err("inputs: expected \"pass\" or \"drop\"".to_owned()),
    };
    let mut derived: Vec<Derived> = Vec::new();
    let tables = [("points", settings.table("points")?), ("convert", settings.table("convert")?)];
    settings.finish()?;
    for (table, entries) in tables {
        let mut entries = entries.unwrap_or_default();
        while let Some((name, setting)) = entries.pop() {
            let add = || {
                let (mut own, text) = entry(setting)?;
                let is_expression = table == "points";
                let own_age = age(&mut own)?.unwrap_or(max_age);
                let (point, unit, expression) = if is_expression {
                    let text = text.or(own.text("expr")?).ok_or("expr: expected an expression")?;
                    (name.clone(), own.text("unit")?, parse(&text, &names)?)
                } else {
                    let to = text.or(own.text("to")?).ok_or("to: expected a unit")?;
                    let expression = converted(&name, &to, own.text("from")?, inputs)?;
                    (own.text("name")?.unwrap_or_else(|| dashed(&name)), Some(to), expression)
                };
                own.finish()?;
                let output = declare(&point, unit.as_deref())?;
                if derived.iter().any(|other| other.output == output) {
                    return Err(join(&["two values would be told as ", &point]));
                }
                derived.push(Derived { output, expression, max_age: own_age });
                Ok(())
            };
            add().map_err(|error: String| join(&[table, ": ", &name, ": ", &error]))?;
        }
    }
    if derived.is_empty() {
        return Err("points: expected at least one expression, such as { double = \"meter/power * 2\" }".to_owned());
    }
    Ok(Plan { derived, passes })
}

fn age(settings: &mut Settings) -> Result<Option<i64>, String> {
    settings.duration("max_age")
}

/// An entry is a text that says the most of it, or a table that says all.
fn entry(setting: Setting) -> Result<(Settings, Option<String>), String> {
    match setting {
        Setting::Text(text) => Ok((Settings::default(), Some(text))),
        Setting::Table(table) => Ok((table, None)),
        Setting::Null | Setting::Bool(_) | Setting::Number(_) | Setting::List(_) => {
            Err("expected a text or a table".to_owned())
        }
    }
}

fn converted(name: &str, to: &str, from: Option<String>, inputs: &[Input<'_>]) -> Result<Expression, String> {
    let place = inputs.iter().position(|(input, _)| *input == name);
    let place = place.ok_or("is not among the points that this plugin sees")?;
    let from = from.as_deref().or(inputs[place].1).ok_or("has no unit: say from = \"..\"")?;
    let mut ops = vec![Op::Input(place)];
    let steps = conversion(from, to);
    ops.extend(steps.ok_or_else(|| join(&["found \"", to, "\", expected a unit that ", from, " can become"]))?);
    Ok(Expression { ops, is_bit: false })
}
