//! Settings against another reader of JSON, and rows against the columns they come from.

use proptest::prelude::*;
use serde_json::Value as Json;

use crate::manifest;
use crate::settings::{Setting, Settings};

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i32>().prop_map(Json::from),
        (-1e9..1e9f64).prop_map(Json::from),
        any::<String>().prop_map(Json::String),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn same(ours: &Setting, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Setting::Null, Json::Null) => true,
        (Setting::Bool(a), Json::Bool(b)) => a == b,
        (Setting::Number(a), Json::Number(b)) => b.as_f64().is_some_and(|b| (a - b).abs() <= b.abs() * 1e-15),
        (Setting::Text(a), Json::String(b)) => a == b,
        (Setting::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Setting::Table(a), Json::Object(b)) => {
            a.names().count() == b.len() && b.iter().all(|(name, b)| a.get(name).is_some_and(|a| same(a, b)))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn settings_mean_what_another_reader_of_json_says(value in prop::collection::btree_map(any::<String>(), json(), 0..6)) {
        let value = value.into_iter().collect::<Json>();
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let ours = Settings::parse(&text).map_err(TestCaseError::fail)?;
            prop_assert!(same(&Setting::Table(ours), &value), "{text}");
        }
    }

    #[test]
    fn a_squeezed_manifest_says_the_same(value in json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let dense = value.to_string();
        prop_assert_eq!(manifest::dense(&text), dense.len());
        let squeezed = manifest::squeeze::<16_384>(&text);
        prop_assert_eq!(squeezed.get(..dense.len()), Some(dense.as_bytes()));
    }

    #[test]
    fn no_text_brings_the_reader_down(text in r#"[\[\]{}:,"\\u0-9a-f eE.+-]{0,64}"#) {
        drop(Settings::parse(&text));
    }
}

#[test]
fn numbers_that_people_write_are_exact() {
    for text in ["0.5", "-0.1", "5", "5.0", "1e3", "2.5E-3", "123456.789", "0.000001", "1e22", "999999999999999"] {
        let mut settings = Settings::parse(&[r#"{"n":"#, text, "}"].concat()).unwrap();
        assert_eq!(settings.number("n"), Ok(Some(text.parse().unwrap())), "{text}");
        assert_eq!(crate::number(text), text.parse().ok(), "{text}");
    }
    for text in ["-", "1.", ".5", "1e", "1e999", "+1", "0x1"] {
        assert!(Settings::parse(&[r#"{"n":"#, text, "}"].concat()).is_err(), "{text}");
        assert_eq!(crate::number(text), None, "{text}");
    }
}

#[test]
fn what_is_no_table_is_refused() {
    for text in ["", "[]", "1", "{", "{}x", r#"{"a":1,}"#, r#"{"a"}"#, r#"{"a":"\ud800"}"#, r#"{"a":1e}"#] {
        assert!(Settings::parse(text).is_err(), "{text}");
    }
    assert!(Settings::parse(&"[".repeat(100_000)).is_err());
    assert_eq!(Settings::parse("null"), Ok(Settings::default()));
}

#[test]
fn a_setting_that_does_not_fit_is_named() {
    let mut settings = Settings::parse(r#"{"a":"x","b":2,"c":{"d":true},"e":null,"f":1}"#).unwrap();
    assert_eq!(settings.number("a"), Err("a: expected a number".to_owned()));
    assert_eq!(settings.number("b"), Ok(Some(2.0)));
    assert_eq!(settings.table("c").unwrap().unwrap().bool("d"), Ok(Some(true)));
    assert_eq!(settings.text("e"), Ok(None));
    assert_eq!(settings.finish(), Err("f: no such setting".to_owned()));
}

#[test]
fn an_own_name_that_cannot_be_says_what_to_write() {
    let names = |text: &str| crate::Names::take(&mut Settings::parse(text).unwrap()).unwrap();
    let check = |text: &str, inputs: &[&str], expected: Result<&str, &str>| {
        let mut names = names(text);
        let given = inputs.iter().map(|input| names.give(input, "mean")).collect::<Result<Vec<_>, _>>();
        let told = given.and_then(|given| names.finish().map(|()| given.join(" ")));
        match (told, expected) {
            (Ok(told), Ok(expected)) => assert_eq!(told, expected),
            (Err(told), Err(expected)) => assert!(told.contains(expected), "{told}"),
            (told, expected) => panic!("{told:?}, not {expected:?}"),
        }
    };
    check("{}", &["meter/power", "lamp/power"], Ok("meter-power-mean lamp-power-mean"));
    check(r#"{"names":{"meter/power":"power"}}"#, &["meter/power"], Ok("power-mean"));
    let long = "street-lighting-cabinet/power-l1";
    check("{}", &[long], Err("names: street-lighting-cabinet-power-l1-mean is longer than 32"));
    check("{}", &[long], Err("; choose one, as in names = { \"street-lighting-cabinet/power-l1\" = \"short\" }"));
    check(
        "{}",
        &["a/b-c", "a-b/c"],
        Err("names: a-b-c-mean is what there is of a/b-c; choose one, as in names = { \"a-b/c\" ="),
    );
    check(r#"{"names":{"a/b":"x"}}"#, &["a/c"], Err("names: a/b is not among the points"));
    check(r#"{"names":{"a/b":"Power"}}"#, &["a/b"], Err("names: Power-mean is not made of a-z, 0-9 and -"));
    check(r#"{"names":{"a/b":""}}"#, &["a/b"], Err("names: -mean is not made of"));
    check(r#"{"names":{"a/b":1}}"#, &["a/b"], Err("names: \"a/b\": expected a text"));
}

#[test]
fn packed_numbers_come_back_and_torn_bytes_are_refused() {
    use crate::{Pack, Unpack};
    let mut pack = Pack::default();
    pack.u8(1).u16(2).u32(3).i64(-4).f64(-0.5);
    let bytes = pack.into_bytes();
    let read = |bytes: &[u8]| {
        let mut from = Unpack::new(bytes);
        let all = (from.u8(), from.u16(), from.u32(), from.i64(), from.f64());
        from.finish().map(|()| all)
    };
    assert_eq!(read(&bytes), Ok((1, 2, 3, -4, -0.5)));
    (0..bytes.len()).for_each(|len| assert!(read(&bytes[..len]).is_err()));
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn times_from_before_a_restart_are_those_of_utc() {
    use crate::{Now, Pack, Passed, Timeline, Unpack};
    const SECOND: i64 = 1_000_000_000;
    let now =
        |time: i64, offset: Option<i64>| Now { time: time * SECOND, utc_offset: offset.map(|offset| offset * SECOND) };
    let check = |before: Now, behind: Now, expected: Passed| {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.pass(before), Passed::Steady);
        let mut pack = Pack::default();
        timeline.save(&mut pack);
        let bytes = pack.into_bytes();
        let mut timeline = Timeline::load(&mut Unpack::new(&bytes));
        assert_eq!(timeline.pass(behind), expected, "{before:?} {behind:?}");
        assert_eq!(timeline.pass(behind), Passed::Steady);
    };
    // A start leaps ten minutes ahead, of which ten seconds have passed.
    check(now(100, Some(5_000)), now(700, Some(4_410)), Passed::Slept(590 * SECOND));
    // A hub that was off for a day.
    check(now(100, Some(5_000)), now(110, Some(91_390)), Passed::Slept(-86_390 * SECOND));
    // A restart of the plugin alone.
    check(now(100, Some(5_000)), now(101, Some(5_000)), Passed::Slept(0));
    check(now(100, Some(5_000)), now(100, Some(4_999)), Passed::Slept(0));
    // UTC went back, or is not known.
    check(now(100, Some(5_000)), now(101, Some(4_990)), Passed::Unknown);
    check(now(100, None), now(101, Some(5_000)), Passed::Unknown);
    check(now(100, Some(5_000)), now(101, None), Passed::Unknown);
}

#[test]
fn a_clock_that_loses_its_trust_still_tells_what_has_passed() {
    use crate::{Now, Pack, Passed, Timeline, Unpack};
    let mut timeline = Timeline::default();
    timeline.pass(Now { time: 1, utc_offset: Some(50) });
    assert_eq!(timeline.pass(Now { time: 2, utc_offset: None }), Passed::Steady);
    let mut pack = Pack::default();
    timeline.save(&mut pack);
    let bytes = pack.into_bytes();
    let mut timeline = Timeline::load(&mut Unpack::new(&bytes));
    assert_eq!(timeline.pass(Now { time: 20, utc_offset: Some(40) }), Passed::Slept(10));
}
