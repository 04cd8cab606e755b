//! Several ingesters beside each other, with one PostgreSQL behind them.

use serde_json::json;

use crate::cluster::Cluster;
use crate::delivery::{READINGS, RUN, closed, data, golden, opened};
use crate::peers::{Process, Site, eventually};

fn subscribed(site: &Site, db: &str, name: &str) -> Process {
    let ingester = site.member(db, name);
    let count = || ingester.log().matches("subscribed").count();
    let before = count();
    eventually("the ingester subscribes", &[&ingester], || (count() > before).then_some(()));
    ingester
}

#[test]
fn three_ingesters_store_each_message_once_while_one_is_killed_again_and_again() {
    const MESSAGES: u64 = 1_500;
    let (site, cluster) = (Site::new(), Cluster::new());
    let broker = site.broker();
    let (first, second) = (subscribed(&site, &cluster.url(), "a"), subscribed(&site, &cluster.url(), "b"));
    let mut third = subscribed(&site, &cluster.url(), "c");
    let receipts = site.receipts(&broker);
    let mut publisher = site.publisher("data/meter");
    site.publish("run", &opened());
    for seq in 1..=MESSAGES {
        publisher.say(&data(seq));
        if seq % 300 == 0 {
            // Killed while messages are on their way, at whatever point of a transaction it is.
            eventually("some are stored", &[&broker, &first, &second, &third], || {
                (cluster.number("SELECT count(*) FROM message") > i64::try_from(seq / 3).unwrap()).then_some(())
            });
            third.sigkill();
            third = site.member(&cluster.url(), "c");
        }
    }
    site.publish("run", &closed(2, MESSAGES));
    let processes = [&broker, &first, &second, &third, &receipts];
    let ledger = eventually("the finished run closes", &processes, || {
        let (ledger, code) = site.ledger_of(&cluster.url());
        (code == 0 && ledger["hubs"][0]["runs"][0]["ended"] == "clean").then_some(ledger)
    });
    assert_eq!(ledger["hubs"][0]["delivered"], json!(READINGS * MESSAGES), "{ledger}");
    let number = |sql: &str| cluster.number(sql).cast_unsigned();
    assert_eq!(number("SELECT count(*) FROM sample"), READINGS * MESSAGES);
    assert_eq!(number("SELECT count(DISTINCT (stream, seq, n)) FROM sample"), READINGS * MESSAGES);
    assert_eq!(number("SELECT count(*) FROM message"), MESSAGES);
    assert_eq!(number("SELECT count(*) FROM held"), 2, "_run and meter, one interval each");
    let shares = [&first, &second].map(|ingester| ingester.lines().len());
    assert!(shares.iter().all(|&share| share > 0), "the work is shared: {shares:?}");
    let last = format!(r#"{{"v":1,"run":"{RUN}","stream":"meter","seq":{MESSAGES}}}"#);
    eventually("the receipt for the last comes", &processes, || receipts.output().contains(&last).then_some(()));
}

#[test]
fn a_database_that_goes_away_loses_nothing_and_is_used_again() {
    let (site, mut cluster) = (Site::new(), Cluster::new());
    let broker = site.broker();
    let receipts = site.receipts(&broker);
    let ingester = subscribed(&site, &cluster.url(), "a");
    site.publish("data/meter", &data(1));
    eventually("the message is stored", &[&ingester], || (ingester.lines().len() == 1).then_some(()));
    cluster.stop();
    for seq in 2..=20 {
        site.publish("data/meter", &data(seq));
    }
    eventually("the ingester says what is wrong", &[&ingester], || {
        ingester.log().contains("not stored yet").then_some(())
    });
    assert!(!receipts.output().contains(r#""seq":20}"#));
    cluster.start();
    let processes = [&broker, &ingester, &receipts];
    eventually("all are stored", &processes, || (cluster.number("SELECT count(*) FROM message") == 20).then_some(()));
    eventually("the receipt comes", &processes, || receipts.output().contains(r#""seq":20}"#).then_some(()));
    assert_eq!(site.ledger_of(&cluster.url()).1, 0);
    assert_eq!(ingester.sigterm(), Some(0));
}

#[test]
fn a_group_knows_hubs_that_came_before_it_and_answers_a_birth_once() {
    let (site, cluster) = (Site::new(), Cluster::new());
    let broker = site.broker();
    let receipts = site.receipts(&broker);
    let status = golden("status.json");
    site.retain("status", &status);
    let members = [subscribed(&site, &cluster.url(), "a"), subscribed(&site, &cluster.url(), "b")];
    let processes = [&broker, &members[0], &members[1], &receipts];
    eventually("the retained status is noted", &processes, || {
        (cluster.number("SELECT count(*) FROM status WHERE online = 1 AND queue_rows = 3") == 1).then_some(())
    });
    let told = |seq: u64| receipts.output().matches(&format!("\"stream\":\"meter\",\"seq\":{seq}}}")).count();
    site.publish("data/meter", &data(1));
    eventually("the receipt comes", &processes, || (told(1) == 1).then_some(()));
    site.retain("status", &status);
    eventually("the receipt comes again", &processes, || (told(1) == 2).then_some(()));
    // What a second member would have sent is here before what is sent later.
    site.publish("data/meter", &data(2));
    eventually("the next receipt comes", &processes, || (told(2) == 1).then_some(()));
    assert_eq!(told(1), 2);
}

/// What a reading looks like in the view, whatever the database.
type Shown = (Option<i64>, String, Option<f64>, Option<String>, Option<String>, String);

const SHOWN: &str = "SELECT time_ms, device || '/' || point, value, text, unit, quality FROM reading";

fn shown_of_file(path: &std::path::Path) -> Vec<Shown> {
    let db = rusqlite::Connection::open(path).unwrap();
    let mut statement = db.prepare(SHOWN).unwrap();
    let row =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
    let mut rows: Vec<Shown> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    rows.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    rows
}

fn shown_of_server(cluster: &Cluster) -> Vec<Shown> {
    let rows = cluster.client("curb").query(SHOWN, &[]).unwrap();
    let row = |row: &postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5));
    let mut rows: Vec<Shown> = rows.iter().map(row).collect();
    rows.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    rows
}

#[test]
fn both_databases_hold_the_same() {
    let (site, cluster) = (Site::new(), Cluster::new());
    let broker = site.broker();
    let file = site.subscribed_ingester();
    let server = subscribed(&site, &cluster.url(), "a");
    // Each kind of message, with duplicates, holes, a gap, and readings that wait for their clock record.
    let numbered = |name: &str, seq: u64| {
        let mut record: serde_json::Value = serde_json::from_str(&golden(name)).unwrap();
        record["seq"] = json!(seq);
        record.to_string()
    };
    let undated = golden("undated.senml.json").replace("\"seq\":17,\"read\":34", "\"seq\":12,\"read\":130");
    let early =
        undated.replace("\"seq\":12,\"read\":130", "\"seq\":11,\"read\":120").replace("55123000000", "54123000000");
    let publishes = [
        ("run", opened()),
        ("data/meter", data(1)),
        ("data/meter", data(2)),
        ("data/meter", data(2)),
        ("gap", numbered("gap.json", 1)),
        ("data/meter", data(5)),
        ("data/meter", data(10)),
        ("data/meter", early),
        ("clock", numbered("clock.json", 1)),
        ("data/meter", undated),
        ("audit", numbered("audit.json", 1)),
        ("audit", numbered("audit-refused.json", 2)),
        ("audit", numbered("audit-unread.json", 3)),
        ("status", golden("status.json")),
        ("run", numbered("run-counts.json", 2)),
        ("data/meter", "{not SenML".to_owned()),
        ("data/meter", "{not SenML".to_owned()),
        ("data/meter", data(14)),
    ];
    for (lane, payload) in &publishes {
        site.publish(lane, payload);
    }
    let ledgers = || [site.ledger(), site.ledger_of(&cluster.url())].map(|(ledger, _)| ledger);
    eventually("both have all", &[&broker, &file, &server], || {
        let all = |ledger: &serde_json::Value| {
            ledger["refused_messages"] == 2
                // With the last of them, number 14: of what follows it the hub has told.
                && ledger["hubs"][0]["runs"][0]["streams"].to_string().contains("{\"from\":13,\"to\":13}")
        };
        ledgers().iter().all(all).then_some(())
    });
    let mut ledgers = ledgers();
    for ledger in &mut ledgers {
        ledger["hubs"][0]["status"]["received_ms"].take();
    }
    assert_eq!(ledgers[0], ledgers[1]);
    assert_eq!(ledgers[0]["hubs"][0]["status"]["queue"]["rows"], 3);
    let shown = shown_of_file(&site.path("core.db"));
    assert_eq!(shown, shown_of_server(&cluster));
    assert!(
        shown.iter().any(|row| row.0.is_none()) && shown.iter().any(|row| row.0 == Some(1_795_555_554_123)),
        "{shown:?}"
    );
    let audits = "SELECT count(*) FROM audit WHERE word IN ('read-back', 'out-of-bounds', 'bad-request')";
    assert_eq!(cluster.number(audits), 3);
    assert_eq!(cluster.number("SELECT times FROM refused"), 2);
}

#[test]
fn a_dashboard_reads_the_views_and_old_readings_go() {
    let (site, cluster) = (Site::new(), Cluster::new());
    let broker = site.broker();
    let ingester = site.ingester_of(&cluster.url(), &[]);
    let now = crate::peers::ok("date", &["+%s"]);
    let dated = |seq, second: &str| data(seq).replace("1795555555.123", &format!("{}.123", second.trim()));
    eventually("the ingester subscribes", &[&ingester], || ingester.log().contains("subscribed").then_some(()));
    site.publish("data/meter", &dated(1, "1577836800"));
    site.publish("data/meter", &dated(2, &now));
    eventually("both are stored", &[&broker, &ingester], || (ingester.lines().len() == 2).then_some(()));

    let check = |sql: &str, expected: i64| assert_eq!(cluster.number(sql), expected, "{sql}");
    check(
        "SELECT count(*) FROM reading WHERE time = '2020-01-01T00:00:00.123Z' AND site = 'port-credit' AND hub = 'lamp-0042'
         AND device = 'meter' AND point = 'voltage' AND value = 230.1 AND text IS NULL AND unit = 'V' AND quality = 'good'",
        1,
    );
    check("SELECT count(*) FROM reading WHERE point = 'serial' AND text IN ('A-17', '0xff0010') AND value IS NULL", 4);
    check("SELECT count(*) FROM reading WHERE quality LIKE 'bad:%' AND value IS NULL AND text IS NULL", 4);
    check("SELECT count(*) FROM point_latest", 5);
    check("SELECT count(*) FROM point_latest WHERE time < '2021-01-01'", 0);
    check(
        "SELECT count(*) FROM point_latest WHERE point = 'voltage' AND value = 999 AND quality = 'uncertain:range'",
        1,
    );

    assert_eq!(ingester.sigterm(), Some(0));
    let before = site.ledger_of(&cluster.url()).0;
    let ingester = site.ingester_of(&cluster.url(), &["--keep", "90d"]);
    eventually("the old one is deleted", &[&ingester], || {
        ingester.log().contains("deleted old readings messages=1").then_some(())
    });
    check("SELECT count(*) FROM sample", 10);
    check("SELECT count(*) FROM message", 1);
    let after = site.ledger_of(&cluster.url()).0;
    assert_eq!(after["hubs"][0]["delivered"], json!(2 * READINGS));
    assert_eq!(after["hubs"], before["hubs"]);
    assert_eq!(ingester.sigterm(), Some(0));
}

#[test]
fn a_database_is_refused_with_the_reason() {
    let (site, cluster) = (Site::new(), Cluster::new());
    let check = |db: &str, code: i32, says: &str| {
        let out = crate::peers::output(crate::peers::DEPOT, &["ledger", "--db", db]);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{db}: {text}");
        assert!(text.contains(says) && !text.contains("secret"), "{db}: {text}");
    };
    check(&cluster.url(), 2, "no ingester has made its tables there yet");
    check(&format!("{}-not", cluster.url()), 3, "database \"curb-not\" does not exist");
    check("postgres://curb@%2Fnowhere/curb", 3, "connect to postgres://curb@/nowhere/curb");
    check("postgres://curb:secret@core.city.example/curb", 2, "host core.city.example is not this machine");
    check("postgres://curb@localhost", 2, "no database is named");
    check("postgres://localhost/curb", 2, "no user is named");
    check("postgres://curb@localhost:port/curb", 2, "expected postgres://USER");
    check("mysql://curb@localhost/curb", 2, "expected a file, or postgres://");
    let _broker = site.broker();
    let ingester = subscribed(&site, &cluster.url(), "a");
    cluster.client("curb").execute("UPDATE depot SET version = 99", &[]).unwrap();
    check(&cluster.url(), 3, "its tables are of version 99, and this depot reads 2; use the newer depot");
    drop(ingester);
}
