//! The judge must be able to fail: a history with one thing wrong in it gets the right verdict.

mod history;

use std::sync::Arc;

use proptest::prelude::*;

use self::history::{History, START_MS, history, run};
use super::*;
use crate::device::{Device, Kind, Register, Signal, Table};
use crate::record::What;

#[test]
fn an_honest_hub_is_believed() {
    let verdict = history(20, None, 5).judge();
    assert_eq!(
        verdict.to_string(),
        "read 64 · filtered 16 · delivered 44 · bad 4 · duplicates removed 0 · lost 0 · wrong 0"
    );
    assert!(verdict.is_fine(), "{verdict:#?}");
}

#[test]
fn a_sigkill_may_cost_its_window_and_no_more() {
    let mut history = history(20, Some(11), 5);
    let verdict = history.judge();
    assert_eq!(verdict.lost, BTreeMap::from([(Loss::Window, 4), (Loss::Down, 3)]), "{verdict:#?}");
    assert!(verdict.is_fine(), "{verdict:#?}");
    history.accepted.retain(|message| message.run != run(0) || message.received_ms < START_MS + 9000);
    let verdict = history.judge();
    assert!(verdict.lost[&Loss::Unexplained] >= 2 && !verdict.is_fine(), "{verdict:#?}");
    // A machine that stood still for two seconds explains it; one that did long before does not.
    history.halts = vec![(START_MS - 4000, START_MS - 2000)];
    assert!(history.judge().lost.contains_key(&Loss::Unexplained));
    history.halts = vec![(START_MS + 8000, START_MS + 10_000)];
    assert!(!history.judge().lost.contains_key(&Loss::Unexplained), "{:#?}", history.judge());
}

/// Changes one thing about an honest history and looks at what the verdict is then.
fn check(what: &str, change: impl Fn(&mut History), expect: impl Fn(&Verdict) -> bool) {
    let honest = history(20, None, 5);
    let mut changed = honest.clone();
    change(&mut changed);
    let verdict = changed.judge();
    assert!(expect(&verdict), "{what}: {verdict:#?}");
}

#[test]
fn each_fault_is_called_by_its_name() {
    let refused = |verdict: &Verdict| !verdict.is_fine();
    check(
        "a message is dropped",
        |history| drop(history.accepted.remove(history.first("meter/energy"))),
        |verdict| verdict.lost.get(&Loss::Unexplained) == Some(&1) && verdict.wrong == 0 && refused(verdict),
    );
    check(
        "a bad reading is dropped",
        |history| drop(history.accepted.remove(history.first("sign/state"))),
        |verdict| verdict.lost.get(&Loss::Unexplained) == Some(&1) && verdict.wrong == 0 && refused(verdict),
    );
    check(
        "a value is altered",
        |history| {
            let index = history.first("meter/energy");
            history.accepted[index].readings[0].value = 1.5.into();
        },
        |verdict| verdict.wrong == 1 && verdict.lost() == 0 && verdict.read == 64 && refused(verdict),
    );
    check(
        "an f32's noise is passed on",
        |history| {
            let index = history.first("meter/voltage");
            history.accepted[index].readings[0].value = f64::from(230.1_f32).into();
        },
        |verdict| verdict.wrong == 1 && refused(verdict),
    );
    check(
        "a unit is changed",
        |history| {
            let index = history.first("meter/voltage");
            history.accepted[index].readings[0].unit = Some("mV".to_owned());
        },
        |verdict| verdict.wrong == 1 && verdict.lost() == 0 && refused(verdict),
    );
    check(
        "a reading is dated two seconds late",
        |history| {
            let index = history.first("meter/energy");
            history.accepted[index].readings[0].time_ms = Some(START_MS + 2105);
        },
        |verdict| verdict.wrong == 1 && verdict.lost() == 0 && verdict.read == 64 && refused(verdict),
    );
    check(
        "a reading has no time",
        |history| {
            let index = history.first("meter/energy");
            history.accepted[index].readings[0].time_ms = None;
        },
        |verdict| verdict.wrong == 1 && refused(verdict),
    );
    check(
        "a message is taken in twice",
        |history| history.accepted.push(history.accepted[7].clone()),
        |verdict| verdict.wrong == 1 && refused(verdict),
    );
    check(
        "a reading comes again under another number",
        |history| {
            let copy = Accepted { seq: 999, ..history.accepted[history.first("meter/energy")].clone() };
            history.accepted.push(copy);
        },
        |verdict| verdict.wrong == 1 && refused(verdict),
    );
    check(
        "a copy is left out by the core",
        |history| history.accepted.push(Accepted { duplicate: true, ..history.accepted[7].clone() }),
        |verdict| verdict.duplicates == 1 && verdict.is_fine(),
    );
    check(
        "a reading of another point is invented",
        |history| history.accepted[7].readings[0].point = "meter/ghost".to_owned(),
        |verdict| verdict.wrong == 1 && verdict.lost.get(&Loss::Unexplained) == Some(&1) && refused(verdict),
    );
    check(
        "two points are swapped",
        |history| {
            let (energy, voltage) = (history.first("meter/energy"), history.first("meter/voltage"));
            let value = history.accepted[energy].readings[0].value.clone();
            history.accepted[energy].readings[0].value = history.accepted[voltage].readings[0].value.clone();
            history.accepted[voltage].readings[0].value = value;
        },
        |verdict| verdict.wrong == 2 && refused(verdict),
    );
    check(
        "the core's ledger does not close",
        |history| history.ledger.closes = false,
        |verdict| verdict.wrong == 0 && verdict.lost() == 0 && refused(verdict),
    );
    check(
        "the hub counts fewer than it read",
        |history| history.account(0, "meter").read -= 1,
        |verdict| verdict.problems.len() == 1 && refused(verdict),
    );
    check(
        "the hub says that it lost one",
        |history| {
            let index = history.first("meter/energy");
            drop(history.accepted.remove(index));
            let account = history.account(0, "meter");
            account.delivered -= 1;
            account.gaps.insert("full".to_owned(), 1);
        },
        |verdict| verdict.lost.get(&Loss::Gap("full".to_owned())) == Some(&1) && verdict.is_fine(),
    );
}

#[test]
fn a_bad_reading_stands_for_the_answer_at_its_time() {
    // The first answer after the kill is called bad. Answers just before the kill were held back, and are in reach too.
    let mut history = history(40, Some(11), 5);
    history.voltage_afresh(1, 13..40);
    history.deliver(1, false, "meter", START_MS + 12_105, "meter/voltage", serde_json::Value::Null, "bad:framing");
    let verdict = history.judge_without_ledger(&[]);
    assert!(verdict.is_fine() && verdict.disputed == 1, "{verdict:#?}");
}

#[test]
fn a_filter_that_holds_back_too_much_or_too_little_is_seen() {
    check(
        "too much",
        |history| drop(history.accepted.remove(history.first("meter/voltage"))),
        |verdict| verdict.lost.get(&Loss::Unexplained) == Some(&1) && !verdict.is_fine(),
    );
    check(
        "too little",
        |history| history.deliver(0, false, "meter", START_MS + 1105, "meter/voltage", 230.1.into(), "good"),
        |verdict| verdict.wrong == 0 && verdict.delivered == 45 && !verdict.is_fine(),
    );
}

#[test]
fn plugins_that_forgot_may_send_more_once() {
    let mut history = history(20, None, 5);
    // The plugins' process was killed after 6.6 s: what it last let through is forgotten, and a new band starts.
    history.voltage_afresh(0, 7..20);
    let verdict = history.judge_without_ledger(&[START_MS + 6600]);
    assert!(verdict.is_fine(), "{verdict:#?}");
    let verdict = history.judge_without_ledger(&[]);
    assert!(verdict.problems.iter().any(|problem| problem.contains("deadband")), "{verdict:#?}");
    // Twice within a second: once each.
    history.voltage_afresh(0, 9..20);
    let verdict = history.judge_without_ledger(&[START_MS + 6600, START_MS + 8000]);
    assert!(verdict.is_fine(), "{verdict:#?}");
}

#[test]
fn the_ledger_is_read_as_it_is_documented() {
    let text = r#"{"v":1,"closes":true,"refused_messages":0,"hubs":[{"site":"port-credit","hub":"lamp-0042","closes":true,
        "read":34,"delivered":31,"filtered":3,"refused":0,"gaps":{"full":0},"unaccounted":0,"duplicates":2,"complaints":[],
        "runs":[{"run":"12-00a1b2c3d4e5f607","ended":"clean","closes":true,"streams":[{"stream":"meter","closes":true,
        "read":34,"delivered":31,"filtered":3,"refused":0,"gaps":{"full":2},"unaccounted":0,"duplicates":2,
        "missing":[{"from":4,"to":7}]}]}],"days":{}}]}"#;
    let ledger = Ledger::parse(text.as_bytes()).unwrap();
    let account = Account {
        run: "12-00a1b2c3d4e5f607".to_owned(),
        stream: "meter".to_owned(),
        read: 34,
        filtered: 3,
        delivered: 31,
        gaps: BTreeMap::from([("full".to_owned(), 2)]),
    };
    assert_eq!(ledger, Ledger { closes: true, accounts: vec![account] });
}

#[test]
fn lines_are_read_as_the_ingester_prints_them() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingest.out");
    let mut follower = Follower::new(&path);
    assert_eq!(follower.more().unwrap(), []);
    let mut file = std::fs::File::create(&path).unwrap();
    let line = r#"{"received_ms":1795555555123,"site":"port-credit","hub":"lamp-0042","run":"12-00a1b2c3d4e5f607","stream":"meter","seq":17,"duplicate":false,"readings":[{"point":"meter/voltage","value":230.1,"unit":"V","quality":"good","time_ms":1795555555100},{"point":"meter/on","value":null,"unit":null,"quality":"bad:timeout","time_ms":null}]}"#;
    let (begin, end) = line.split_at(50);
    file.write_all(begin.as_bytes()).unwrap();
    assert_eq!(follower.more().unwrap(), [], "half a line is not read");
    writeln!(file, "{end}").unwrap();
    let [message] = &follower.more().unwrap()[..] else { panic!("one message") };
    assert_eq!((message.seq, message.readings[0].value()), (17, Some(Value::Number(230.1))));
    assert_eq!((message.readings[1].value(), message.readings[1].time_ms), (None, None));
    writeln!(file, "{{}}").unwrap();
    assert!(matches!(follower.more(), Err(crate::Error::Output { line: 2, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order, however often copies come, and whenever the hub is killed: an honest hub is believed, and
    /// the columns add up to what was offered.
    #[test]
    fn honest_histories_are_fine(
        seconds in 3_u32..60,
        kill in proptest::option::of(1_u32..50),
        jitter_ms in 0_i64..200,
        copies in proptest::collection::vec(0_usize..500, 0..20),
        turn in 0_usize..500,
    ) {
        let killed_at = kill.filter(|kill| kill + 1 < seconds);
        let mut history = history(seconds, killed_at, jitter_ms);
        let held = history.accepted.len();
        for copy in copies {
            let copy = Accepted { duplicate: true, ..history.accepted[copy % held].clone() };
            history.accepted.push(copy);
        }
        let all = history.accepted.len();
        history.accepted.rotate_left(turn % all);
        let verdict = history.judge();
        prop_assert!(verdict.is_fine(), "{:#?}", verdict);
        prop_assert_eq!(verdict.duplicates, (all - held) as u64);
        prop_assert_eq!(verdict.read, verdict.filtered + verdict.delivered + verdict.bad + verdict.lost());
    }

    /// Whichever message is missing: it is missed, unless the SIGKILL explains it.
    #[test]
    fn a_dropped_message_is_missed(seconds in 5_u32..40, which in 0_usize..500) {
        let mut history = history(seconds, None, 5);
        let which = which % history.accepted.len();
        history.accepted.remove(which);
        let verdict = history.judge();
        prop_assert!(verdict.lost.contains_key(&Loss::Unexplained) && !verdict.is_fine(), "{:#?}", verdict);
    }

    /// Whatever another value is put in: it is wrong.
    #[test]
    fn an_altered_value_is_wrong(seconds in 5_u32..40, which in 0_usize..500, by in 1_i32..1000) {
        let mut history = history(seconds, None, 5);
        let readings = history.accepted.iter_mut().map(|message| &mut message.readings[0]);
        let mut numbers: Vec<&mut Arrived> = readings.filter(|reading| reading.value.is_number()).collect();
        let which = which % numbers.len();
        let value = numbers[which].value.as_f64().unwrap();
        numbers[which].value = (value - f64::from(by) * 0.01).into();
        let verdict = history.judge();
        prop_assert!(verdict.wrong >= 1 && !verdict.is_fine(), "{:#?}", verdict);
    }
}

#[test]
fn devices_are_decoded_as_they_encode() {
    let check = |register: Register, expected: Value| {
        let device = Device::new("d").with(register);
        let (point, words) = (&Point::of_device(&device)[0], &device.registers[0]);
        let words = device.read(0, words.table, words.address, words.kind.width()).unwrap();
        let Register { table, address, .. } = device.registers[0];
        let served = [Served {
            device: Arc::clone(&device.name),
            at_ms: 1,
            what: What::Answer { table, address, words, heard: true },
        }];
        let (offers, _) = truth::of_point(point, &served);
        assert_eq!(offers[0].value, expected, "{point:?}");
    };
    let register = |kind, low| Register::new("p", Table::Holding, 3, kind, Signal::new(low, 1, 5));
    check(register(Kind::U16, 2301).scale(0.1), Value::Number(230.1));
    check(register(Kind::U16, 7).scale(100.0), Value::Number(700.0));
    check(register(Kind::I16, -40), Value::Number(-40.0));
    check(register(Kind::U32, 0xFFFF_FFFE), Value::Number(4_294_967_294.0));
    check(register(Kind::I32, -2).low_word_first().scale(0.01), Value::Number(-0.02));
    check(register(Kind::F32, 23010), Value::Number(230.1));
    check(Register::new("p", Table::Coil, 0, Kind::Bool, Signal::new(1, 1, 1)), Value::Bit(true));
}
