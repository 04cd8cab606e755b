//! Promises about buses that do not stop.

use curb_model::HubTime;

use super::*;
use crate::config::Link;

/// A source with a bus whose thread hangs until `driver` is dropped.
fn hanging(driver: std::sync::mpsc::Receiver<()>) -> (Source, mpsc::Receiver<Batch>) {
    let (out, received) = mpsc::channel(1);
    let mut source = Source::start(Config::default(), HubClock::starting_at(HubTime::ZERO), out).unwrap();
    let link = Link::Tcp("127.0.0.1:1".to_owned());
    let config = BusConfig { link, devices: BTreeMap::new() };
    let board = Board::default();
    // It has turned for the last time long ago.
    board.lock().turned = Instant::now().checked_sub(Duration::from_secs(3600));
    let (alive, done) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        driver.recv().unwrap_err();
        drop(alive);
    });
    let (handle, _orders) = mailbox(Trace::new(source.clock.clone()));
    let running = Running { config, board, stop: CancellationToken::new(), done, thread, handle };
    source.buses.insert(Name::new("cabinet").unwrap(), running);
    (source, received)
}

fn words(source: &Source) -> Vec<&'static str> {
    source.health().faults.iter().map(|fault| fault.word).collect()
}

#[tokio::test]
async fn a_stop_leaves_a_bus_behind_that_hangs_and_the_pipeline_sees_the_end() {
    let (_driver, blocked) = std::sync::mpsc::channel();
    let (source, mut received) = hanging(blocked);
    assert_eq!(words(&source), ["bus-hung"]);
    timeout(Duration::from_secs(20), source.stop()).await.expect("a stop waits for no driver");
    assert_eq!(received.recv().await, None);
}

#[tokio::test]
async fn a_reload_leaves_a_bus_behind_that_hangs_and_says_so_until_it_has_ended() {
    let (driver, blocked) = std::sync::mpsc::channel();
    let (mut source, _received) = hanging(blocked);
    let applied = timeout(Duration::from_secs(20), source.apply(Config::default())).await;
    applied.expect("a reload waits for no driver").unwrap();
    assert_eq!(words(&source), ["bus-hung"]);
    drop(driver);
    let ended = async {
        while !words(&source).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), ended).await.expect("it ends as soon as its driver lets it");
}
