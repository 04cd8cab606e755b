use super::*;

fn lines(input: &Input, form: Form) -> Vec<String> {
    let readings = |batch: &Batch| {
        batch.readings.iter().map(|r| line(form, r, &batch.stream, batch.offset)).collect::<Vec<_>>().join(" | ")
    };
    input.batches.iter().map(readings).collect()
}

/// Each batch on a line, its readings side by side.
fn check(text: &str, expected: &[&str]) {
    let input = read(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    assert_eq!(lines(&input, Form::Plain), expected, "{text}");
}

#[test]
fn what_has_no_time_comes_in_rounds() {
    check("", &[]);
    check("# a remark\n\n  20.5  \n21\n", &["in/value 20.5 @0", "in/value 21 @1"]);
    check(
        "meter/a 1\nmeter/b true\nmeter/a -2\nmeter/b - bad:timeout",
        &["meter/a 1 @0 | meter/b true @0", "meter/a -2 @1 | meter/b - bad:timeout @1"],
    );
    check("meter/a 1 @5\nmeter/a 2\nmeter/b 3", &["meter/a 1 @5", "meter/a 2 @6 | meter/b 3 @6"]);
}

#[test]
fn a_batch_is_what_one_device_says_in_a_second() {
    check("a/x 1 @1\na/y 2 @1.9\na/z 3 @2", &["a/x 1 @1 | a/y 2 @1.9", "a/z 3 @2"]);
    check("a/x 1 @1\nb/x 2 @1\na/y 3 @1", &["a/x 1 @1", "b/x 2 @1", "a/y 3 @1"]);
    check("a/x 1 @2\na/y 2 @1", &["a/x 1 @2", "a/y 2 @1"]);
}

#[test]
fn values_are_what_they_look_like() {
    for text in [
        "in/value 5.0 @0",
        "in/value 18446744073709551615 @0",
        "in/value \"two words\" uncertain:stale @0.000000001",
        "in/value 0x00AB @12",
        "in/value \"0x00AB\" @12",
        "in/value - bad:exception-2 @0",
        "in/value -0.5 @0",
    ] {
        check(text, &[&text.replace("0x00AB", if text.contains('"') { "0x00AB" } else { "0x00ab" })]);
    }
    check("\"a/b c\"", &["in/value \"a/b c\" @0"]);
    check("in/value -", &["in/value - bad:absent @0"]);
}

#[test]
fn a_line_that_cannot_be_read_is_told_with_its_number() {
    const VALUE: &str = "a number, true, false, a text in quotes, 0x and digits, or - for no value";
    let check = |text: &str, line: usize, found: &str, expected: &str| {
        let wrong = read(text).expect_err(text);
        assert_eq!(wrong[0].to_string(), format!("line {line}: found {found}, expected {expected}"), "{text}");
    };
    check("1\n\n2o.5", 3, "\"2o.5\"", VALUE);
    check("nan", 1, "\"nan\"", VALUE);
    check("1e999", 1, "\"1e999\"", VALUE);
    check("trueish", 1, "\"trueish\"", VALUE);
    check("{}x", 1, "{}x", "a reading as `curb tap --json` prints it, as the first line is");
    check("meter/power", 1, "\"\"", VALUE);
    check("Meter/power 1", 1, "\"Meter/power\"", "device/point, each of a-z, 0-9 and -");
    check("1 2", 1, "\"2\"", "good, uncertain:<reason> or bad:<reason>, as timeout, range, stale");
    check("1 uncertain:moon", 1, "\"moon\"", "good, uncertain:<reason> or bad:<reason>, as timeout, range, stale");
    check("1 bad:range", 1, "1", "no value beside the quality bad");
    check("- good", 1, "no value", "one, or the quality bad:<reason>");
    check("1 @x", 1, "\"@x\"", "@ and seconds, as @1.5");
    check("1 @1 good", 1, "\"good\"", "nothing behind [point] value [quality] [@seconds]");
    check("0xABC", 1, "\"0xABC\"", "0x and an even number of hexadecimal digits");
    check("{\"value\":1}", 1, "\"\"", "device/point, each of a-z, 0-9 and -");
    check("{\"point\":\"a/b\",\"value\":[1]}", 1, "[1]", "a finite number, true, false or a text");
    check("{\"point\":\"a/b\",\"value\":1,\"stream\":\"a b\"}", 1, "a b", "a stream: device, or plugin.output");
    let first = "{\"point\":\"a/b\",\"value\":1}";
    check(&format!("{first}\na/b 2"), 2, "a/b 2", "a reading as `curb tap --json` prints it, as the first line is");
    let sent = "{\"v\":1,\"capture\":\"uplink\"}";
    check(sent, 1, sent, "readings: a capture at pipeline, not at uplink");
    // All of them, not the first alone.
    assert_eq!(read("x\n1\ny\n").unwrap_err().iter().map(|wrong| wrong.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_a_tap_printed_comes_back_as_it_was() {
    // One offset, of which each line knows the milliseconds: no single line says it.
    let offset = UtcOffset::from_nanos(1_700_000_000_000_000_000 + 123_456);
    let reading = |n: i64| {
        let name = PointName::parse("meter/power").unwrap();
        let stream = Stream::device(name.owner());
        let point =
            Point { name, stream, class: Class::Data, unit: Some("W".into()), value_type: ValueType::F64, range: None };
        let sample = Sample::Good(curb_model::Value::from_f64(0.1 * 3.0).unwrap());
        Reading { point: Arc::new(point), at: HubTime::from_nanos(n * 333_333_777), sample }
    };
    let stream = Stream::parse("meter").unwrap();
    let mut text = "{\"v\":1,\"capture\":\"pipeline\"}\n".to_owned();
    for n in 0..200 {
        text.push_str(&line(Form::Json, &reading(n), &stream, Some(offset)));
        text.push('\n');
    }
    let input = read(&text).unwrap();
    assert_eq!(input.batches.len(), 200);
    let again = lines(&input, Form::Json);
    assert_eq!(again, text.lines().skip(1).collect::<Vec<_>>());
}
