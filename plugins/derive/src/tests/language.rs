//! Expressions: what they mean, and what is said of those that mean nothing.

use proptest::prelude::*;

use crate::expression::{Op, Two};
use crate::parse::parse;
use crate::units::conversion;

const INPUTS: [(&str, f64); 7] = [
    ("meter/l1", 3.0),
    ("meter/l1-power", 100.0),
    ("meter/l2", 2.0),
    ("room/temp", 20.5),
    ("door/open", 1.0),
    ("3f/temp", 5.0),
    ("min/max", 8.0),
];

fn value(text: &str) -> Option<f64> {
    let names = INPUTS.map(|(name, _)| name);
    let expression = parse(text, &names).unwrap_or_else(|error| panic!("{error}"));
    expression.value(|input| INPUTS[input].1)
}

#[test]
fn expressions_mean_what_they_say() {
    let check = |text: &str, expected: f64| assert_eq!(value(text), Some(expected), "{text}");
    check("room/temp * 9 / 5 + 32", 68.9);
    check("1 + 2 * 3", 7.0);
    check("(1 + 2) * 3", 9.0);
    check("10 - 4 - 3", 3.0);
    check("100 / 10 / 5", 2.0);
    check("370 % 360", 10.0);
    check("-370 % 360", -10.0);
    check("2 ^ 3 ^ 2", 512.0);
    check("-2 ^ 2", -4.0);
    check("2 ^ -2", 0.25);
    check("9 ^ 0.5", 3.0);
    check("4 ^ 1.5", 8.0);
    check("0 ^ 0", 1.0);
    check("- - 2", 2.0);
    check("2 * -3", -6.0);
    check("1.5e2 + 2E-1", 150.2);
    check("1 < 2", 1.0);
    check("2 <= 1", 0.0);
    check("1 != 1 || 2 >= 2 && 3 == 3", 1.0);
    check("!0 + 1", 2.0);
    check("!(1 > 0)", 0.0);
    check("!door/open", 0.0);
    check("if(door/open, 1, 2)", 1.0);
    check("if(0, 1 / 0, 2)", 2.0);
    check("0 && 1 / 0", 0.0);
    check("1 / 0 > 0 || 1", 1.0);
    check("min(3, 1, 2) + max(3, 1, 2)", 4.0);
    check("abs(-3) + round(2.5) + round(-2.5) + floor(2.9) + ceil(2.1)", 8.0);
    check("sqrt(16)", 4.0);
    check("clamp(5, 0, 3) + clamp(-5, 0, 3) + clamp(2, 0, 3)", 5.0);
    for nothing in ["1 / 0", "0 / 0", "sqrt(0 - 1)", "1e300 * 1e300", "min(1, 0 / 0)", "1 && 0 / 0", "if(0 / 0, 1, 2)"]
    {
        assert_eq!(value(nothing), None, "{nothing}");
    }
}

#[test]
fn a_name_is_the_longest_input_that_stands_there() {
    let check = |text: &str, expected: f64| assert_eq!(value(text), Some(expected), "{text}");
    check("meter/l1-power", 100.0);
    check("meter/l1-meter/l2", 1.0);
    check("meter/l1 -meter/l2", 1.0);
    check("meter/l1-power-meter/l1", 97.0);
    check("meter/l1-power/meter/l2", 50.0);
    check("meter/l1/meter/l2", 1.5);
    check("3f/temp/5", 1.0);
    check("min/max", 8.0);
    check("min(min/max,9)", 8.0);
    check("2*room/temp/room/temp", 2.0);
}

#[test]
fn an_error_has_the_column_what_was_expected_and_what_was_found() {
    let check = |text: &str, complaint: &str| {
        let error = parse(text, &INPUTS.map(|(name, _)| name)).unwrap_err();
        assert_eq!(error, format!("column {complaint}"), "{text}");
    };
    let a_value = "expected a number, a function or a point that this plugin sees, found";
    check("", &format!("1 of \"\": {a_value} the end"));
    check("1 + ", &format!("5 of \"1 + \": {a_value} the end"));
    check("1 + * 2", &format!("5 of \"1 + * 2\": {a_value} \"*\""));
    check("meter/l3 + 1", &format!("1 of \"meter/l3 + 1\": {a_value} \"meter/l3\""));
    check("meter/l12", &format!("1 of \"meter/l12\": {a_value} \"meter/l12\""));
    check("meter/l1-powr", &format!("10 of \"meter/l1-powr\": {a_value} \"powr\""));
    check("sin(1)", &format!("1 of \"sin(1)\": {a_value} \"sin\""));
    check("min", &format!("1 of \"min\": {a_value} \"min\""));
    check("ä", &format!("1 of \"ä\": {a_value} a character of another alphabet"));
    check("1 2", "3 of \"1 2\": expected an operator, found \"2\"");
    check("1 = 2", "3 of \"1 = 2\": expected an operator, found \"=\"");
    check("1 ä 2", "3 of \"1 ä 2\": expected an operator, found a character of another alphabet");
    check("(1 + 2", "7 of \"(1 + 2\": expected an operator or a closing parenthesis, found the end");
    check("1)", "2 of \"1)\": expected an operator, found \")\"");
    check("1. + 2", "1 of \"1. + 2\": expected a number like 0.5 or 1e3, found \"1.\"");
    check("1e", "1 of \"1e\": expected a number like 0.5 or 1e3, found \"1e\"");
    check("12abc", "1 of \"12abc\": expected a number like 0.5 or 1e3, found \"12abc\"");
    check("0 < 1 < 2", "7 of \"0 < 1 < 2\": expected && or || between two comparisons, found \"<\"");
    check("if(1, 2)", "8 of \"if(1, 2)\": expected a comma and another value, found \")\"");
    check("min(1)", "6 of \"min(1)\": expected a comma and another value, found \")\"");
    check("abs(1, 2)", "6 of \"abs(1, 2)\": expected an operator or a closing parenthesis, found \",\"");
    check("2 ^ 0.3", "5 of \"2 ^ 0.3\": expected an exponent that is a whole number, or ends in .5, found \"0.3\"");
    let deep = format!("{}1", "(".repeat(40));
    check(&deep, &format!("33 of \"{deep}\": expected no more than 32 levels, found \"(\""));
}

#[test]
fn units_become_others_and_back() {
    let convert = |from: &str, to: &str, x: f64| {
        let mut ops = vec![Op::Number(x)];
        ops.extend(conversion(from, to).unwrap());
        crate::expression::Expression { ops, is_bit: false }.value(|_| f64::NAN).unwrap()
    };
    for (from, x, to, y) in [
        ("Cel", 100.0, "degF", 212.0),
        ("degC", -40.0, "degF", -40.0),
        ("degF", 68.0, "Cel", 20.0),
        ("Cel", 20.0, "K", 293.15),
        ("degF", 32.0, "K", 273.15),
        ("kWh", 1.0, "MJ", 3.6),
        ("Wh", 2500.0, "kWh", 2.5),
        ("W", 1500.0, "kW", 1.5),
        ("m/s", 10.0, "km/h", 36.0),
        ("kn", 1.0, "km/h", 1.852),
        ("Pa", 101_325.0, "hPa", 1013.25),
        ("hPa", 1000.0, "bar", 1.0),
        ("m3", 0.5, "l", 500.0),
        ("m", 1.25, "cm", 125.0),
        ("h", 1.5, "min", 90.0),
        ("lx", 300.0, "lx", 300.0),
    ] {
        let told = convert(from, to, x);
        assert!((told - y).abs() <= y.abs() * 1e-15, "{x} {from} are {told} {to}, not {y}");
        let back = convert(to, from, y);
        assert!((back - x).abs() <= x.abs() * 1e-14 + 1e-12, "{y} {to} are {back} {from}, not {x}");
    }
    for (from, to) in [("W", "kWh"), ("Cel", "lx"), ("W", "horse"), ("ell", "m")] {
        assert_eq!(conversion(from, to), None, "{from} {to}");
    }
}

const OPERATORS: [(&str, Two, u8); 8] = [
    ("||", Two::Or, 1),
    ("&&", Two::And, 2),
    ("+", Two::Add, 3),
    ("-", Two::Subtract, 3),
    ("*", Two::Multiply, 4),
    ("/", Two::Divide, 4),
    ("%", Two::Remainder, 4),
    ("^", Two::Power, 5),
];

/// Another reading of precedence: split at the operator that is done last.
fn split(values: &[f64], operators: &[usize]) -> f64 {
    let tightness = |place: usize| OPERATORS[operators[place]].2;
    let Some(loosest) = (0..operators.len()).map(tightness).min() else {
        return values[0];
    };
    let mut places = (0..operators.len()).filter(|place| tightness(*place) == loosest);
    let last = if loosest == 5 { places.next() } else { places.next_back() }.unwrap();
    let (left, right) =
        (split(&values[..=last], &operators[..last]), split(&values[last + 1..], &operators[last + 1..]));
    let value = OPERATORS[operators[last]].1.of(left, right);
    if value.is_finite() { value } else { f64::NAN }
}

proptest! {
    #[test]
    fn operators_hold_as_tightly_as_the_table_says(
        first in 0..4u8,
        rest in prop::collection::vec((0..OPERATORS.len(), 0..4u8, 0..3usize), 0..12),
    ) {
        let mut text = first.to_string();
        let mut values = vec![f64::from(first)];
        for (operator, value, blanks) in &rest {
            let blanks = " ".repeat(*blanks);
            text.extend([blanks.as_str(), OPERATORS[*operator].0, blanks.as_str(), &value.to_string()]);
            values.push(f64::from(*value));
        }
        let operators: Vec<usize> = rest.iter().map(|(operator, ..)| *operator).collect();
        let expected = Some(split(&values, &operators)).filter(|value| value.is_finite());
        prop_assert_eq!(value(&text), expected, "{}", text);
    }

    #[test]
    fn no_text_brings_the_reader_down(text in r"[-+*/%^<>=!&|(),.0-9a-z ä]{0,40}|(if|min|clamp|abs)?[(]*(meter/l1|3|,|[)]| )*") {
        let names = INPUTS.map(|(name, _)| name);
        if let Ok(expression) = parse(&text, &names) {
            let value = expression.value(|input| INPUTS[input].1);
            prop_assert!(value.is_none_or(f64::is_finite));
            prop_assert!(!value.is_some_and(|value| expression.is_bit && value != 0.0 && value != 1.0));
        }
    }
}
