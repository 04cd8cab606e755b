//! Cards that are copied, put back and wiped: what a hub reads on one never hides behind what was read on another.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::meter;

/// The state folder as it lies on another card.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "copy {} to {}", from.display(), to.display());
}

/// A life of the hub on the card that is in it, with the core in reach: readings of it arrive, all that waited is sent.
async fn live(hub: &mut Hub, ingest: &Ingest) {
    let before = ingest.readings("meter/voltage").len();
    hub.start().await;
    let run = hub.status().await["run"].as_str().unwrap().to_owned();
    let of_run = || ingest.messages().iter().filter(|m| m["run"] == run.as_str() && m["stream"] == "meter").count();
    let more = || (of_run() >= 3 && ingest.readings("meter/voltage").len() > before).then_some(());
    eventually(e2e::PATIENCE, "readings of this life", &[hub.process(), &ingest.process], more).await.unwrap();
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_restored_cloned_or_wiped_card_never_hides_new_data() {
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    let state = site.path().join("hub/state");
    let (image, second) = (site.path().join("image"), site.path().join("second"));

    // An image is taken of a card with a back-log.
    broker.go_away().await;
    hub.start().await;
    hub.shows("a back-log", |status| (status["queue"]["readings"].as_u64()? >= 40).then_some(())).await;
    assert_eq!(hub.stop().await, Some(0));
    copy(&state, &image);
    broker.come_back().await;
    // A broker that has come back has lost its subscribers: the ingester is there again when readings arrive.
    live(&mut hub, &ingest).await;
    // A clone: the same back-log, and the same last run, on a second card.
    copy(&state, &second);
    copy(&image, &state);
    live(&mut hub, &ingest).await;
    // The first card comes back, newer than the image and older than the core's newest.
    copy(&second, &state);
    live(&mut hub, &ingest).await;
    // An old image over a newer card.
    copy(&image, &state);
    live(&mut hub, &ingest).await;
    std::fs::remove_dir_all(&state).unwrap();
    live(&mut hub, &ingest).await;

    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
    let runs = ledger["hubs"][0]["runs"].as_array().unwrap();
    let names: BTreeSet<&str> = runs.iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 6, "each life is one of its own: {names:?}");
    let counters: Vec<&str> = names.iter().map(|name| name.split('-').next().unwrap()).collect();
    assert_eq!(counters, ["1", "1", "2", "2", "2", "3"], "although their start counters repeat");
    let book = &ledger["hubs"][0];
    assert_eq!(book["read"], book["delivered"], "{ledger:#}");
    assert!(book["duplicates"].as_u64() > Some(0), "the back-log came from three cards and is here once");
}
