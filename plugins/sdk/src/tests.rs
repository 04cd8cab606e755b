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
    }
    for text in ["-", "1.", ".5", "1e", "1e999", "+1", "0x1"] {
        assert!(Settings::parse(&[r#"{"n":"#, text, "}"].concat()).is_err(), "{text}");
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
