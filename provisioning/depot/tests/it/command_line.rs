//! Exit codes, errors that say what to do, and output for programs.

use serde_json::Value;

use crate::peers::{DEPOT, HUB, SITE, Site, ok, output};

/// A file that these statements make.
fn sqlite(path: &str, statements: &str) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(&format!("VACUUM; {statements}")).unwrap();
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let site = Site::new();
    let ca = site.text("ca");
    let check = |args: &[&str], code: i32, says: &str| {
        let out = output(DEPOT, args);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    };
    check(&["hub", "list", "--dir", &ca], 0, "");
    check(&["nonsense"], 2, "Usage");
    check(&["init", "--site", "Port Credit", "--dir", &site.text("new")], 2, "allowed are a-z, 0-9 and -");
    check(&["init", "--site", SITE, "--dir", &site.text("new"), "--core-host", "a b"], 2, "expected a DNS name");
    check(&["hub", "add", "quality", "--dir", &ca], 2, "reserved");
    check(&["hub", "add", "ingester", "--dir", &ca], 2, "keeps it for the ingester");
    check(&["hub", "add", "x", "--dir", &site.text("nowhere")], 2, "depot init --site NAME");
    check(&["ledger", "--db", &site.text("no.db")], 2, "depot ingest");
    let no_ledger = |db: &str, code, says: &str| check(&["ledger", "--db", db], code, &format!("open {db}: {says}"));
    let foreign = "it is no database of `depot ingest`, and nothing was changed";
    no_ledger(&site.text("ca/site.toml"), 2, foreign);
    no_ledger(&ca, 2, foreign);
    // A hub's queue has a version, too.
    sqlite(&site.text("queue.db"), "CREATE TABLE run (counter); CREATE TABLE stream (id); PRAGMA user_version = 1");
    no_ledger(&site.text("queue.db"), 2, foreign);
    sqlite(&site.text("empty.db"), "");
    no_ledger(&site.text("empty.db"), 2, "no ingester has made its tables there yet");
    let ours = "CREATE TABLE hub (id); CREATE TABLE run (id); CREATE TABLE stream (id); CREATE TABLE told (id);";
    sqlite(&site.text("old.db"), &format!("{ours} PRAGMA user_version = 1"));
    no_ledger(&site.text("old.db"), 3, "its tables are of version 1, and this depot reads 2; `depot ingest` raises");
    sqlite(&site.text("new.db"), &format!("{ours} PRAGMA user_version = 3"));
    no_ledger(&site.text("new.db"), 3, "its tables are of version 3, and this depot reads 2; use the newer depot");
    let (cert, key, roots) =
        (site.text("ca/core/ingest.crt"), site.text("ca/core/core.key"), site.text("ca/core/roots.pem"));
    let db = site.text("core.db");
    let ingest = |url, key| {
        ["ingest", "--url", url, "--db", &db, "--cert", &cert, "--key", key, "--roots", &roots].map(str::to_owned)
    };
    let check_ingest = |args: [String; 11], code, says| check(&args.each_ref().map(String::as_str), code, says);
    check_ingest(ingest("mqtt://localhost", &key), 2, "mqtts://HOST:PORT");
    let more = |more: [&str; 4]| {
        let args = ingest("mqtts://localhost", &key);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more).filter(|arg| !arg.is_empty()).collect();
        output(DEPOT, &args)
    };
    for (args, says) in [
        (["--keep", "90", "", ""], "write 90d or 2y"),
        (["--keep", "1h", "", ""], "at least a day"),
        (["--group", "depot", "", ""], "--name"),
        (["--group", "Depot", "--name", "a"], "allowed are a-z, 0-9 and -"),
    ] {
        let out = more(args);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(2) && text.contains(says), "{args:?}: {text}");
    }
    check_ingest(ingest("mqtts://localhost", &key), 3, "ingest.crt with the key");
    let own = site.text("ca/core/ingest.key");
    let into_queue = ingest("mqtts://localhost", &own).map(|arg| if arg == db { site.text("queue.db") } else { arg });
    check_ingest(into_queue, 2, foreign);
    check_ingest(ingest("mqtts://localhost", &roots), 3, "no PEM private key");
}

#[test]
fn hubs_are_listed_for_people_and_for_programs() {
    let site = Site::new();
    let ca = site.text("ca");
    let text = ok(DEPOT, &["hub", "list", "--dir", &ca]);
    assert!(text.starts_with(HUB) && text.contains("until 20"), "{text}");
    let json: Value = serde_json::from_str(&ok(DEPOT, &["hub", "list", "--dir", &ca, "--json"])).unwrap();
    assert_eq!((json["hub"].as_str(), json["site"].as_str()), (Some(HUB), Some(SITE)));
    let added: Value = serde_json::from_str(&ok(DEPOT, &["hub", "add", "pole-1", "--dir", &ca, "--json"])).unwrap();
    assert!(added["key"].as_str().unwrap().ends_with("hubs/pole-1/hub.key"));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(ok(DEPOT, &["completions", shell]).contains("depot"), "{shell}");
    }
}
