//! The JSON lines of `--json`. Their form is a promise to the demo and to whoever reads them: see `depot ingest --help`.

use std::io::{self, BufWriter, Write};

use curb_model::{Sample, Value};
use curb_wire::senml::Time;
use serde::Serialize;

use super::accept::{Accepted, Body};
use super::book::{Applied, quality};

/// Where accepted messages are told, if anywhere.
pub(super) struct Feed(Option<BufWriter<Box<dyn Write + Send>>>);

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Feed").field(&self.0.is_some()).finish()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    received_ms: i64,
    site: &'a str,
    hub: &'a str,
    run: String,
    stream: &'a str,
    seq: u64,
    duplicate: bool,
    readings: Vec<Reading<'a>>,
}

#[derive(Serialize)]
struct Reading<'a> {
    point: String,
    value: serde_json::Value,
    unit: Option<&'a str>,
    quality: String,
    time_ms: Option<i64>,
}

impl Feed {
    /// Nowhere.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// To stdout.
    pub(super) fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// To `out`.
    pub(super) fn to(out: impl Write + Send + 'static) -> Self {
        Self(Some(BufWriter::new(Box::new(out))))
    }

    /// Tells of one message.
    pub(super) fn tell(&mut self, message: &Accepted, applied: Applied, received_ms: i64) -> io::Result<()> {
        let Some(out) = &mut self.0 else {
            return Ok(());
        };
        let records = match &message.body {
            Body::Readings { records, .. } => records.as_slice(),
            Body::Run(_) | Body::Gap(_) | Body::Clock(_) | Body::Audit(_) => &[],
        };
        let readings = records.iter().map(|record| Reading {
            point: record.point.to_string(),
            value: json_value(&record.sample),
            unit: record.unit.as_deref(),
            quality: quality(&record.sample),
            time_ms: match record.time {
                Time::Utc(millis) => Some(millis),
                Time::Hub(_) => None,
            },
        });
        let line = Line {
            received_ms,
            site: message.site.as_str(),
            hub: message.hub.as_str(),
            run: message.run.to_string(),
            stream: message.stream.as_str(),
            seq: message.seq,
            duplicate: applied == Applied::Duplicate,
            readings: readings.collect(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }

    /// Pushes out what was told.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn json_value(sample: &Sample) -> serde_json::Value {
    match sample.value() {
        None => serde_json::Value::Null,
        Some(Value::Bool(b)) => (*b).into(),
        Some(Value::I64(i)) => (*i).into(),
        Some(Value::U64(u)) => (*u).into(),
        Some(Value::F64(x)) => x.get().into(),
        Some(Value::Text(text)) => text.as_ref().into(),
        Some(bytes @ Value::Bytes(_)) => bytes.to_string().into(),
    }
}
