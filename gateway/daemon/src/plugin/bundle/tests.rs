use curb_model::{Reason, Sample, Value};

use super::*;

/// What a plugin with state was asked, on a hub that knows the time.
fn bundle(name: &str, ht: i64) -> Bundle {
    let seen: PointSet = ["meter/power", "meter/name"]
        .map(|name| point(&PointForm { name: name.to_owned(), unit: Some("W".to_owned()) }).unwrap())
        .into_iter()
        .collect();
    let reading = |name: &str, sample| {
        let point = Arc::clone(seen.get(&PointName::parse(name).unwrap()).unwrap());
        Reading { point, at: HubTime::from_nanos(ht), sample }
    };
    let readings = vec![
        reading("meter/power", Sample::Good(Value::from_f64(666.0).unwrap())),
        reading("meter/name", Sample::Good(Value::Text("x".into()))),
        reading("meter/power", Sample::Bad(Reason::Timeout)),
    ];
    let (now, offset) = (HubTime::from_nanos(ht), Some(UtcOffset::from_nanos(7)));
    let calls = vec![Call::Tick { now, offset: None }, Call::Batch { now, offset, readings }];
    let plugin = PluginConfig {
        name: Name::new(name).unwrap(),
        component: "/usr/lib/curb/tally.wasm".into(),
        points: vec![Glob::parse("*").unwrap()],
        settings: serde_json::json!({ "every": 2 }),
        seed: Vec::new(),
        engine: Engine::Pulley,
        on_failure: OnFailure::Drop,
        limits: Limits::default(),
    };
    let ids = Ids { inputs: [("meter/power".to_owned(), 3)].into(), own: [("total".to_owned(), 4)].into(), next: 260 };
    let mut bundle = Bundle::new(plugin, "ab".repeat(32), seen, ids, calls);
    bundle.state = Some(Saved { version: 1, data: vec![0, 255, 7].into() });
    (bundle.word, bundle.detail) = ("plugin-poison".to_owned(), "process: wasm trap".to_owned());
    bundle
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let before = bundle("tally", 81_234_567_890_123);
    let text = to_text(&before).unwrap();
    assert!(is_bundle(&text) && !is_bundle("{\"v\":1,\"capture\":\"pipeline\"}\n"));
    assert_eq!(read(&text).unwrap(), before);
    assert_eq!(before.file_name(), "000000081234567-tally.jsonl");
}

#[test]
fn what_is_no_bundle_is_told_with_its_line() {
    let text = to_text(&bundle("tally", 1)).unwrap();
    let check = |text: &str, expected: &str| {
        let error = read(text).expect_err(expected);
        assert!(crate::chain(&error).contains(expected), "{}", crate::chain(&error));
    };
    check(&text.replacen("\"v\":1", "\"v\":2", 1), "version 2, expected 1");
    check(text.lines().next().unwrap(), "found no call");
    check(&text[..text.len() - 9], "line 3");
    check(&text.replace("bad:timeout", "bad:moon"), "line 3: found \"moon\"");
    check(&text.replace("\"point\":\"meter/name\"", "\"point\":\"meter/other\""), "line 3: found meter/other");
    check(&text.replace("AP8H", "!"), "line 1: the state");
    check("", "line 1");
}

#[test]
fn the_newest_are_kept_and_nobody_else_reads_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join(FOLDER);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("000-cut-off.new"), "x").unwrap();
    for n in 0..20 {
        keep(&folder, &bundle("tally", n * 1_000_000_000)).unwrap();
    }
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names().len(), FILES, "{:?}", names());
    assert_eq!(
        (names()[0].as_str(), names()[7].as_str()),
        ("000000000012000-tally.jsonl", "000000000019000-tally.jsonl")
    );
    let mode = fs::metadata(folder.join(&names()[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Large ones take the room of several; one that is larger than all of it is refused.
    let large = |len: usize, ht| {
        let mut bundle = bundle("tally", ht);
        bundle.plugin.settings = serde_json::json!({ "text": "x".repeat(len) });
        bundle
    };
    for n in 20..23 {
        keep(&folder, &large(1_900_000, n * 1_000_000_000)).unwrap();
    }
    assert_eq!(names(), ["000000000021000-tally.jsonl", "000000000022000-tally.jsonl"]);
    assert!(keep(&folder, &large(5_000_000, 30_000_000_000)).is_err());
    assert_eq!(names().len(), 2);
}
