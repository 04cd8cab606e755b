//! `curb tap`: lets somebody look at readings as they pass, without slowing them down.
//!
//! A [`tee`] stands between two rooms. With nobody looking it costs one comparison a batch; a looker that is too slow
//! loses lines and is told how many.

use std::sync::Arc;

use curb_model::{Batch, Glob, Message, Reading};
use curb_wire::topic::Topics;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};

use crate::control::{Answer, TapPoint};
use crate::field::hex;

mod line;

use line::is_zero;
pub(crate) use line::{Kind, Line, Unreadable, sample};

/// Batches that a looker may be behind before it loses some: two seconds of a busy hub.
const BEHIND: usize = 64;

/// The places to look at.
#[derive(Debug, Clone)]
pub(crate) struct Taps {
    source: broadcast::Sender<Arc<Batch>>,
    pipeline: broadcast::Sender<Arc<Batch>>,
    uplink: broadcast::Sender<Arc<Sent>>,
}

/// A message on its way to the broker.
#[derive(Debug)]
struct Sent {
    topic: String,
    message: Message,
}

impl Taps {
    pub(crate) fn new() -> Self {
        let (source, pipeline) = (broadcast::Sender::new(BEHIND), broadcast::Sender::new(BEHIND));
        Self { source, pipeline, uplink: broadcast::Sender::new(BEHIND) }
    }

    /// Shows a batch to whoever looks at `place`.
    pub(crate) fn show(&self, place: TapPoint, batch: &Batch) {
        let tap = match place {
            TapPoint::Source => &self.source,
            TapPoint::Pipeline => &self.pipeline,
            TapPoint::Uplink => return,
        };
        if tap.receiver_count() > 0 {
            // An error means that the last looker has just gone.
            drop(tap.send(Arc::new(batch.clone())));
        }
    }

    /// Shows messages that are handed to the broker's connection.
    pub(crate) fn show_sent(&self, topics: &Topics, messages: &[Message]) {
        if self.uplink.receiver_count() == 0 {
            return;
        }
        for message in messages {
            let topic = topics.lane(message.lane, &message.stream);
            drop(self.uplink.send(Arc::new(Sent { topic, message: message.clone() })));
        }
    }
}

/// Passes batches on and shows them. Ends when the input ends or the output is gone.
///
/// # Cancel safety
/// Dropping it may lose the batch in hand: it runs to its end as a task.
pub(crate) async fn tee(mut input: mpsc::Receiver<Batch>, output: mpsc::Sender<Batch>, taps: Taps, place: TapPoint) {
    while let Some(batch) = input.recv().await {
        taps.show(place, &batch);
        if output.send(batch).await.is_err() {
            return;
        }
    }
}

/// One line of `curb tap --at uplink --json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SentLine {
    /// Empty in a line that only says what was missed.
    pub(crate) topic: String,
    pub(crate) stream: String,
    /// The run that numbered it.
    pub(crate) run: String,
    pub(crate) seq: u64,
    /// 0 for records.
    pub(crate) readings: u32,
    /// Bytes of the payload.
    pub(crate) bytes: usize,
    /// The payload itself: its text, or what is no text as `0x` and hexadecimal digits.
    pub(crate) payload: String,
    /// At least so many messages were not shown because the caller was too slow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) missed: u64,
}

impl SentLine {
    fn new(Sent { topic, message }: &Sent, missed: u64) -> Self {
        Self {
            topic: topic.clone(),
            stream: message.stream.to_string(),
            run: message.run.to_string(),
            seq: message.seq,
            readings: message.readings,
            bytes: message.payload.len(),
            payload: std::str::from_utf8(&message.payload)
                .map_or_else(|_| format!("0x{}", hex(&message.payload)), ToOwned::to_owned),
            missed,
        }
    }

    /// The line for people; with `verbose` the payload, too.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let Self { topic, run, seq, readings, bytes, .. } = self;
        let payload = if verbose { format!(" {}", self.payload) } else { String::new() };
        format!("{topic} run {run} seq {seq}: {readings} readings, {bytes} bytes{payload}")
    }
}

/// Shows one caller what passes until it hangs up or the daemon ends.
///
/// # Cancel safety
/// Dropping it ends the call.
pub(crate) async fn serve(taps: Taps, place: TapPoint, points: Vec<Glob>, answers: mpsc::Sender<Answer>) {
    match place {
        TapPoint::Source => readings(taps.source.subscribe(), points, answers).await,
        TapPoint::Pipeline => readings(taps.pipeline.subscribe(), points, answers).await,
        TapPoint::Uplink => messages(taps.uplink.subscribe(), answers).await,
    }
}

async fn messages(mut sent: broadcast::Receiver<Arc<Sent>>, answers: mpsc::Sender<Answer>) {
    let mut missed = 0;
    loop {
        let message = tokio::select! {
            message = sent.recv() => message,
            () = answers.closed() => return,
        };
        match message {
            Ok(message) => {
                let line = Answer::json(&SentLine::new(&message, missed));
                missed = if answers.try_send(line).is_ok() { 0 } else { missed + 1 };
            }
            Err(broadcast::error::RecvError::Lagged(messages)) => missed += messages,
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn readings(mut batches: broadcast::Receiver<Arc<Batch>>, points: Vec<Glob>, answers: mpsc::Sender<Answer>) {
    let mut missed = 0;
    loop {
        let batch = tokio::select! {
            batch = batches.recv() => batch,
            () = answers.closed() => return,
        };
        match batch {
            Ok(batch) => {
                let wanted =
                    |reading: &&Reading| points.is_empty() || points.iter().any(|p| p.matches(&reading.point.name));
                for reading in batch.readings.iter().filter(wanted) {
                    let line = Answer::json(&Line::new(reading, &batch.stream, batch.offset, missed));
                    missed = if answers.try_send(line).is_ok() { 0 } else { missed + 1 };
                }
            }
            Err(broadcast::error::RecvError::Lagged(batches)) => missed += batches,
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use curb_model::{Class, HubTime, Point, PointName, Reason, Sample, Stream, Value, ValueType};

    use super::*;

    fn batch(readings: usize) -> Batch {
        let name = PointName::parse("meter/power").unwrap();
        let stream = Stream::device(name.owner());
        let unit = Some("W".into());
        let point = Arc::new(Point {
            name,
            stream: stream.clone(),
            class: Class::Data,
            unit,
            value_type: ValueType::U16,
            range: None,
        });
        let reading = |i: usize| Reading {
            point: Arc::clone(&point),
            at: HubTime::from_nanos(i64::try_from(i).unwrap()),
            sample: if i == 0 { Sample::Bad(Reason::Timeout) } else { Sample::Good(Value::U64(12)) },
        };
        Batch::read(stream, Class::Data, None, (0..readings).map(reading).collect())
    }

    #[tokio::test]
    async fn a_slow_caller_is_told_what_it_missed_and_slows_nobody() {
        let taps = Taps::new();
        let (answers, mut lines) = mpsc::channel(2);
        let server = serve(taps.clone(), TapPoint::Pipeline, Vec::new(), answers);
        let caller = async {
            tokio::task::yield_now().await;
            taps.show(TapPoint::Pipeline, &batch(5));
            tokio::task::yield_now().await;
            for _ in 0..2 {
                assert!(matches!(lines.recv().await, Some(Answer::Json(_))));
            }
            taps.show(TapPoint::Pipeline, &batch(1));
            let Some(Answer::Json(line)) = lines.recv().await else { panic!("a line was expected") };
            let line: Line = serde_json::from_str(line.get()).unwrap();
            assert_eq!(line.missed, 3);
            drop(lines);
        };
        tokio::join!(server, caller);
    }
}
