//! A store in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use curb_model::{Class, Lane, Message, Page, RowId, RunId, Stream};
use curb_uplink::{Closed, Outbox};
use tokio::sync::watch;

pub(crate) const RUN: RunId = RunId { counter: 1, nonce: 0xabcd };

#[derive(Clone)]
pub(crate) struct Queue(Arc<Inner>);

struct Inner {
    rows: Mutex<BTreeMap<RowId, Message>>,
    set_aside: Mutex<Vec<(RowId, u8)>>,
    payload_max: Mutex<Vec<Option<usize>>>,
    changed: watch::Sender<u64>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let changed = watch::Sender::new(0);
        let (set_aside, payload_max) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { rows: Mutex::default(), set_aside, payload_max, changed }))
    }

    /// Appends a message whose text is `<stream> <seq>`.
    pub(crate) fn append(&self, stream: &str, seq: u64) {
        self.append_text(stream, seq, &format!("{stream} {seq}"));
    }

    pub(crate) fn append_text(&self, stream: &str, seq: u64, text: &str) {
        let stream = Stream::parse(stream).unwrap();
        self.0.changed.send_modify(|count| {
            *count += 1;
            let row = RowId(i64::try_from(*count).unwrap());
            let payload = text.as_bytes().into();
            let message = Message { row, lane: Lane::Data, stream, run: RUN, seq, readings: 1, payload };
            self.0.rows.lock().unwrap().insert(row, message);
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.rows.lock().unwrap().len()
    }

    pub(crate) fn payload_max(&self) -> Vec<Option<usize>> {
        self.0.payload_max.lock().unwrap().clone()
    }

    pub(crate) fn set_aside(&self) -> Vec<(RowId, u8)> {
        self.0.set_aside.lock().unwrap().clone()
    }
}

impl Outbox for Queue {
    async fn next(&self, class: Class, after: Option<RowId>, rows: usize, _: usize) -> Result<Page, Closed> {
        let from = after.map_or(RowId(i64::MIN), |row| RowId(row.0 + 1));
        let waiting = self.0.rows.lock().unwrap();
        let is_meant = |row: &&Message| (row.lane == Lane::Alarm) == (class == Class::Alarm);
        let found: Vec<&Message> = waiting.range(from..).map(|(_, row)| row).filter(is_meant).collect();
        Ok(Page { more: found.len() > rows, messages: found.into_iter().take(rows).cloned().collect() })
    }

    async fn delivered(&self, rows: Vec<RowId>) {
        let mut queue = self.0.rows.lock().unwrap();
        for row in rows {
            queue.remove(&row);
        }
    }

    async fn receipt(&self, run: RunId, stream: Stream, seq: u64) {
        self.0.rows.lock().unwrap().retain(|_, row| row.run != run || row.stream != stream || row.seq > seq);
    }

    async fn set_aside(&self, row: RowId, code: u8) {
        self.0.rows.lock().unwrap().remove(&row);
        self.0.set_aside.lock().unwrap().push((row, code));
    }

    async fn payload_max(&self, bytes: Option<usize>) {
        self.0.payload_max.lock().unwrap().push(bytes);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}
