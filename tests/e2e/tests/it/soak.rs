//! The soak, for less than a minute: `make soak FOR=1h` is the long one.

use std::time::Duration;

use street::soak::{Kind, Options, Span, run};

use crate::component;

/// Some thirty kills; with the start, the back-log and the judge it stays below a minute.
const KILLING: Duration = Duration::from_secs(40);

#[tokio::test]
async fn the_ledger_closes_over_kills_at_random_moments() {
    let (curb, depot) = (street::binary("curb").unwrap(), street::binary("depot").unwrap());
    let plugin = component("deadband.wasm");
    // Another one each time; a failure prints it.
    let seed = u64::from(std::process::id());
    let options = Options { length: Span(KILLING), seed, broker: Kind::Mosquitto, curb, depot, plugin };
    let report = run(options).await.unwrap();
    assert!(report.verdict.is_fine(), "{report}");
}
