//! How fast the store takes messages, on this disk: `cargo run --release -p curb-store --example append_rate -- [folder]`.
//!
//! Appends 100,000 messages of 10 readings as fast as they are accepted, waits until all are durable, and prints the rate,
//! the commits and what the file has grown to.

use std::sync::Arc;
use std::time::Instant;

use curb_model::{
    Batch, Class, HubClock, Name, Point, PointName, Reading, Sample, Stream, UtcOffset, Value, ValueType,
};
use curb_store::{Config, Store};

const MESSAGES: u32 = 100_000;
const READINGS: u64 = 10;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("curb-append-rate"), Into::into);
    let config = Config::new(folder, Name::new("bench")?);
    let file = config.dir.join("queue.db");
    let opened = Store::open(config)?;
    let clock = HubClock::starting_at(opened.hub_time);
    let store = opened.begin(clock.clone())?;

    let stream = Stream::parse("meter")?;
    let point = Arc::new(Point {
        name: PointName::parse("meter/power")?,
        stream: stream.clone(),
        class: Class::Data,
        unit: Some("W".into()),
        value_type: ValueType::U32,
        range: None,
    });
    let reading =
        |value| Reading { point: Arc::clone(&point), at: clock.now(), sample: Sample::Good(Value::U64(value)) };
    let offset = Some(UtcOffset::from_nanos(1_795_555_555_000_000_000));

    let started = Instant::now();
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        for _ in 0..MESSAGES {
            let readings = (0..READINGS).map(reading).collect();
            store.append(Batch::read(stream.clone(), Class::Data, offset, readings)).await?;
        }
        store.sync().await
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let health = store.health();
    let len = std::fs::metadata(&file)?.len();
    println!(
        "{:.0} messages/s, {} commits, {len} bytes in {}",
        f64::from(MESSAGES) / seconds,
        health.commits,
        file.display()
    );
    Ok(())
}
