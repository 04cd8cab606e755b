//! From a topic and its bytes to a message that can be stored, or the reason why it cannot. Pure.
//!
//! A message must come on the topic of the hub, lane and stream that its payload names. The broker's access rules tie a
//! hub's certificate to its topics; this check ties the payload to the topic, so that no hub can write another's data.

use curb_model::{Name, RunId, Stream, UtcOffset};
use curb_wire::command::AuditRecord;
use curb_wire::record::{ClockRecord, Document as _, GapRecord, Identity, RunRecord, StreamCounts};
use curb_wire::senml::{self, Record, Time};
use curb_wire::status::{Points, Status};
use curb_wire::topic::{Address, Kind, PREFIX};

/// No number or counter is greater: JSON readers lose exactness there, and sums over streams stay far from overflow. A hub
/// that counts a thousand readings a second gets there in 285,000 years.
const MOST: u64 = 1 << 53;

/// Hub times and offsets in nanoseconds lie between minus this and this (146 years), so that their sum is an integer to
/// SQLite, which would go on in floating point.
const MOST_NANOS: i64 = 1 << 62;

/// What a publish means to the ingester.
#[derive(Debug)]
pub(super) enum Incoming {
    /// To be stored.
    Message(Box<Accepted>),
    /// What a hub, or its will, says of itself. One that is online may have missed receipts.
    Status {
        /// Its site.
        site: Name,
        /// Its name.
        hub: Name,
        /// `status.run`, checked.
        run: RunId,
        status: Box<Status>,
    },
    /// What a hub's points mean.
    Points { site: Name, hub: Name, points: Box<Points> },
    /// Not for the ingester: receipts, commands and their answers, topics of other
    /// parts.
    NotForUs,
}

/// A queued message whose identity was checked.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) site: Name,
    pub(crate) hub: Name,
    pub(crate) run: RunId,
    pub(crate) stream: Stream,
    pub(crate) seq: u64,
    pub(crate) body: Body,
}

/// What a message carries.
#[derive(Debug)]
pub(crate) enum Body {
    /// Readings, and the stream's counters up to and with this message.
    Readings {
        counts: StreamCounts,
        records: Vec<Record>,
    },
    Run(RunRecord),
    Gap(GapRecord),
    Clock(ClockRecord),
    Audit(AuditRecord),
}

/// Why a publish cannot be stored. Shown to people, in the table `refused`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the topic is none of curb/v1's")]
    Topic,
    #[error(transparent)]
    Wire(#[from] curb_wire::Error),
    #[error("came on the topic of hub {topic}, and says that it is from hub {payload:?}")]
    OtherHub { topic: Name, payload: String },
    #[error("came on the topic of stream {topic}, and says that it is of stream {payload:?}")]
    OtherStream { topic: Stream, payload: String },
    #[error("message number {0} is not in 1..=2^53")]
    Number(u64),
    #[error("counter {0} is above 2^53")]
    Counter(u64),
    #[error("hub time or offset {0} ns is further than 2^62 from 0")]
    Nanos(i64),
    #[error("a gap goes from message {from:?} to {to:?}")]
    GapRange { from: Option<u64>, to: Option<u64> },
    #[error("{0:?} is no run")]
    RunName(String),
    #[error("{0:?} is no stream name")]
    StreamName(String),
}

/// Takes a publish apart.
pub(super) fn accept(topic: &str, payload: &[u8]) -> Result<Incoming, Refusal> {
    let Some(Address { site, hub, kind }) = Address::parse(topic) else {
        return if is_queued(topic) { Err(Refusal::Topic) } else { Ok(Incoming::NotForUs) };
    };
    let (run, stream, seq, body) = match kind {
        Kind::Data(stream) | Kind::Alarm(stream) => {
            let pack = senml::decode(payload)?;
            let header = pack.header;
            same_hub(&hub, header.hub.as_str())?;
            same_stream(&stream, header.stream.as_str())?;
            let counts =
                StreamCounts { seq: header.seq, read: header.read, filtered: header.filtered, refused: header.refused };
            check_counts(&counts)?;
            for record in &pack.records {
                if let Time::Hub(at) = record.time {
                    check_nanos(at.as_nanos())?;
                }
            }
            (header.run, stream, header.seq, Body::Readings { counts, records: pack.records })
        }
        Kind::Run => {
            let record = RunRecord::decode(payload)?;
            let (stream, id) = (Stream::run(), record.id.clone());
            same(&hub, &stream, &id)?;
            record.previous.as_ref().map_or(Ok(()), |previous| check_run(previous.run))?;
            let previous = record.previous.iter().flat_map(|previous| &previous.streams);
            for (name, counts) in record.streams.iter().chain(previous) {
                Stream::parse(name).map_err(|_| Refusal::StreamName(name.clone()))?;
                check_counts(counts)?;
            }
            (id.run, stream, id.seq, Body::Run(record))
        }
        Kind::Gap => {
            let record = GapRecord::decode(payload)?;
            let (stream, id) = (Stream::gap(), record.id.clone());
            same(&hub, &stream, &id)?;
            check_gap(&record)?;
            (id.run, stream, id.seq, Body::Gap(record))
        }
        Kind::Clock => {
            let record = ClockRecord::decode(payload)?;
            let (stream, id) = (Stream::clock(), record.id.clone());
            same(&hub, &stream, &id)?;
            check_nanos(record.ht.as_nanos())?;
            check_nanos(record.offset.map_or(0, UtcOffset::as_nanos))?;
            (id.run, stream, id.seq, Body::Clock(record))
        }
        Kind::Audit => {
            let record = AuditRecord::decode(payload)?;
            let (stream, id) = (Stream::audit(), record.id.clone());
            same(&hub, &stream, &id)?;
            check_nanos(record.audit.ht.as_nanos())?;
            (id.run, stream, id.seq, Body::Audit(record))
        }
        Kind::Status => {
            let status = Status::decode(payload)?;
            same_hub(&hub, &status.hub)?;
            let run = status.run.parse().map_err(|_| Refusal::RunName(status.run.clone()))?;
            check_run(run)?;
            let queue = status.queue.unwrap_or_default();
            let counts = [status.connection, queue.rows, queue.readings];
            if let Some(count) = counts.into_iter().find(|&count| count > MOST) {
                return Err(Refusal::Counter(count));
            }
            return Ok(Incoming::Status { site, hub, run, status: Box::new(status) });
        }
        Kind::Points => {
            let points = Points::decode(payload)?;
            same_hub(&hub, &points.hub)?;
            return Ok(Incoming::Points { site, hub, points: Box::new(points) });
        }
        Kind::Receipt | Kind::Command(_) => return Ok(Incoming::NotForUs),
    };
    if !(1..=MOST).contains(&seq) {
        return Err(Refusal::Number(seq));
    }
    check_run(run)?;
    Ok(Incoming::Message(Box::new(Accepted { site, hub, run, stream, seq, body })))
}

/// Whether a topic that could not be taken apart claims to be one that carries messages.
fn is_queued(topic: &str) -> bool {
    let lane = topic.strip_prefix(PREFIX).and_then(|rest| rest.split('/').nth(3));
    matches!(lane, Some("data" | "alarm" | "run" | "gap" | "clock" | "audit"))
}

fn same(hub: &Name, stream: &Stream, id: &Identity) -> Result<(), Refusal> {
    same_hub(hub, &id.hub)?;
    same_stream(stream, &id.stream)
}

fn same_hub(topic: &Name, payload: &str) -> Result<(), Refusal> {
    let other = || Refusal::OtherHub { topic: topic.clone(), payload: payload.to_owned() };
    if topic.as_str() == payload { Ok(()) } else { Err(other()) }
}

fn same_stream(topic: &Stream, payload: &str) -> Result<(), Refusal> {
    let other = || Refusal::OtherStream { topic: topic.clone(), payload: payload.to_owned() };
    if topic.as_str() == payload { Ok(()) } else { Err(other()) }
}

fn check_counts(counts: &StreamCounts) -> Result<(), Refusal> {
    let all = [counts.seq, counts.read, counts.filtered, counts.refused];
    all.into_iter().find(|&count| count > MOST).map_or(Ok(()), |count| Err(Refusal::Counter(count)))
}

fn check_run(run: RunId) -> Result<(), Refusal> {
    if run.counter > MOST { Err(Refusal::Counter(run.counter)) } else { Ok(()) }
}

fn check_nanos(nanos: i64) -> Result<(), Refusal> {
    if (-MOST_NANOS..=MOST_NANOS).contains(&nanos) { Ok(()) } else { Err(Refusal::Nanos(nanos)) }
}

fn check_gap(record: &GapRecord) -> Result<(), Refusal> {
    let gap = &record.gap;
    check_nanos(gap.from_ht.as_nanos())?;
    check_nanos(gap.to_ht.as_nanos())?;
    check_run(gap.run)?;
    Stream::parse(&gap.stream).map_err(|_| Refusal::StreamName(gap.stream.clone()))?;
    let fits = match (gap.from, gap.to) {
        (None, None) => true,
        (Some(from), Some(to)) => 1 <= from && from <= to && to <= MOST,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !fits {
        return Err(Refusal::GapRange { from: gap.from, to: gap.to });
    }
    if gap.count > MOST { Err(Refusal::Counter(gap.count)) } else { Ok(()) }
}
