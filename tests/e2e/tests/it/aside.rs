//! What the core refuses for what it is: set aside and told, looked at, copied out, and sent again once the cause is mended.

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use serde_json::Value;
use street::eventually;

use crate::meter;

/// Less than eight readings take as JSON, and more than a record.
const PACKET_MAX: u32 = 400;

async fn store(hub: &Hub, words: &[&str]) -> (Option<i32>, String) {
    let config = hub.config().display().to_string();
    hub.curb(&[&["store"], words, &["--config", &config]].concat()).await
}

async fn shown(hub: &Hub) -> (Option<i32>, Value) {
    let (code, out) = store(hub, &["show", "--json"]).await;
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}")))
}

/// Every file of a hub's state, whatever umask it was started with.
fn for_its_user_only(state: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let files =
        |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect::<Vec<_>>();
    let all: Vec<_> = files(state).into_iter().chain(files(&state.join("queue"))).collect();
    assert!(all.iter().any(|file| file.file_name() == "queue.db-wal"), "{all:?}");
    for file in all {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has {mode:o}", file.path());
    }
}

/// A hub has read for a while without a core; then it meets one that takes only short packets.
#[tokio::test]
async fn what_a_broker_refuses_as_too_long_is_released_when_it_takes_more_and_the_ledger_closes() {
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "200ms"));
    broker.go_away().await;
    hub.start().await;
    hub.shows("messages of eight readings", |status| (status["queue"]["readings"].as_u64()? >= 40).then_some(())).await;
    let (_, all) = shown(&hub).await;
    assert!(all["waiting"].as_array().unwrap().iter().any(|line| line["stream"] == "meter"), "{all:#}");

    broker.limit_packets(Some(PACKET_MAX));
    broker.come_back().await;
    let ingest = Ingest::start(&site, &broker).await;
    let of_meter = || ingest.messages().into_iter().filter(|message| message["stream"] == "meter").collect::<Vec<_>>();
    let enough = || (of_meter().len() > 4).then_some(());
    let logs = [hub.process(), &ingest.process];
    eventually(e2e::PATIENCE, "new messages at the core", &logs, enough).await.unwrap();
    let parts = of_meter();
    assert!(parts.iter().all(|message| message["readings"].as_array().unwrap().len() < 8), "each fits: {parts:#?}");

    let (code, refused) = shown(&hub).await;
    let aside = refused["aside"].as_array().unwrap().clone();
    assert_eq!(code, Some(1), "something is set aside: {refused:#}");
    assert!(aside.len() >= 5, "{refused:#}");
    for row in &aside {
        let facts = (&row["stream"], &row["code"], &row["reason"], &row["readings"]);
        assert_eq!(facts, (&"meter".into(), &0x95.into(), &"packet too large".into(), &8.into()));
        assert!(row["last_ms"].as_i64().unwrap() >= row["first_ms"].as_i64().unwrap());
    }
    for_its_user_only(&hub.config().with_file_name("state"));
    let file = site.path().join("refused.jsonl");
    let path = file.display().to_string();
    assert_eq!(store(&hub, &["export", "--aside", &path]).await.0, Some(0));
    let (code, out) = store(&hub, &["export", "--aside", "-"]).await;
    assert_eq!((code, out.lines().count()), (Some(0), aside.len()), "messages alone: {out}");
    assert!(out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{out}");
    assert_eq!(store(&hub, &["export", "--aside", &path]).await.0, Some(2), "a file that is there stays as it is");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), aside.len());
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(line["payload"]["text"].as_str().unwrap().starts_with("[{\"bn\":\"meter/\""), "{line}");

    // The broker refuses them once more; what was put back is put back once.
    let (code, said) = store(&hub, &["release", "--all"]).await;
    assert_eq!((code, said.contains(&format!("{} messages put back", aside.len()))), (Some(0), true), "{said}");
    let again = |status: &Value| (status["queue"]["aside"].as_u64()? == aside.len() as u64).then_some(());
    hub.shows("all of them refused once more", again).await;
    let aside = shown(&hub).await.1["aside"].as_array().unwrap().clone();
    hub.fault("set-aside").await;

    // While no daemon runs the same is done in its file: one is deleted. The rest goes when the broker takes it.
    assert_eq!(hub.stop().await, Some(0));
    let first = aside[0]["row"].to_string();
    let (code, said) = store(&hub, &["drop", &first]).await;
    assert_eq!((code, said.contains("1 messages deleted")), (Some(0), true), "{said}");
    assert_eq!(store(&hub, &["drop", &first]).await.0, Some(1), "it is not there");
    broker.go_away().await;
    broker.limit_packets(None);
    broker.come_back().await;
    hub.start().await;
    let (code, said) = store(&hub, &["release", "--all"]).await;
    assert_eq!((code, said.contains("put back")), (Some(0), true), "{said}");
    let back = || {
        (of_meter().iter().filter(|message| message["readings"].as_array().unwrap().len() == 8).count()
            >= aside.len() - 1)
            .then_some(())
    };
    eventually(e2e::PATIENCE, "what was released", &[hub.process(), &ingest.process], back).await.unwrap();
    assert_eq!(shown(&hub).await.1["aside"].as_array().unwrap().len(), 0);
    let none = site.path().join("none.jsonl");
    let (code, said) = store(&hub, &["export", "--aside", &none.display().to_string()]).await;
    assert_eq!((code, said.starts_with("0 messages"), none.exists()), (Some(0), true, false), "{said}");
    let audits = || ingest.messages().iter().filter(|message| message["stream"] == "_audit").count();
    let recorded = || (audits() >= 3).then_some(());
    eventually(e2e::PATIENCE, "records of what was done", &[hub.process(), &ingest.process], recorded).await.unwrap();
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
    assert_eq!(ledger["hubs"][0]["gaps"]["set-aside"], 8, "only what was deleted: {ledger:#}");
}

/// What the policy of now denies does not leave by hand, with the daemon or without.
#[tokio::test]
async fn what_the_policy_denies_now_is_neither_copied_out_nor_put_back() {
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let rest = meter(server.port, "200ms");
    let mut hub = Hub::new(&site, &broker, &rest);
    broker.go_away().await;
    hub.start().await;
    hub.shows("messages of eight readings", |status| (status["queue"]["readings"].as_u64()? >= 16).then_some(())).await;
    broker.limit_packets(Some(PACKET_MAX));
    broker.come_back().await;
    let _ingest = Ingest::start(&site, &broker).await;
    hub.shows("refused messages", |status| (status["queue"]["aside"].as_u64()? >= 2).then_some(())).await;

    let url = format!("mqtts://localhost:{}", broker.port());
    hub.configure(&site, &url, &format!("[policy]\ndeny = [\"meter/door\"]\n\n{rest}"));
    let file = site.path().join("all.jsonl").display().to_string();
    let check = async |hub: &Hub, case: &str| {
        let (code, said) = store(hub, &["export", "--aside", &file]).await;
        assert_eq!(code, Some(1), "{case}: {said}");
        assert!(said.contains("left out") && !std::path::Path::new(&file).exists(), "{case}: {said}");
        let (code, said) = store(hub, &["release", "--all"]).await;
        assert_eq!((code, said.contains("0 messages put back")), (Some(1), true), "{case}: {said}");
    };
    assert_eq!(hub.curb(&["reload"]).await.0, Some(0));
    check(&hub, "with the daemon").await;
    assert_eq!(hub.stop().await, Some(0));
    check(&hub, "without").await;
    let nowhere = site.path().join("nowhere.toml").display().to_string();
    let (code, said) = hub.curb(&["store", "show", "--config", &nowhere]).await;
    assert_eq!((code, said.contains(&nowhere)), (Some(2), true), "the queue of no other hub: {said}");
    assert_eq!(store(&hub, &["drop", "--all"]).await.0, Some(0));
    assert_eq!(shown(&hub).await.0, Some(0), "nothing is set aside");
}
