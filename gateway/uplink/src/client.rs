//! The MQTT client: the only module that names `rumqttc`.
//!
//! What is used of it are its packets and its table of packet ids. The connection is ours, from [`Dial`] to the first
//! error; then the [`Link`] is dropped with all that it knew, and the next connection is a new one. Reading and writing
//! do not wait for each other: a peer that stops reading is still heard, and its pings are still missed.
//!
//! Deliberately absent: rumqttc's event loop. Its queue and its reconnecting lose messages, its flush has no end when the
//! peer does not read, and it dials by itself: one address after the other, and through no proxy without a second TLS.

mod words;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use curb_wire::senml::content_type;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Connect, ConnectProperties, ConnectReturnCode, Filter, LastWill, Packet, PubAck, PubAckReason, Publish,
    PublishProperties, RetainForwardRule, Subscribe,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use rumqttc::v5::{MqttState, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::{sleep_until, timeout_at};

use crate::command::Answer;
use crate::dial::{Dial, Stream};
use crate::lost::{Lost, Reached};
use crate::session::Broker;

use words::{disconnected, ended, event, foreign_puback, refused};

/// Packet ids in use at most. Twice the window: a broker that acknowledges out of order is not yet a collision.
const PACKET_IDS: u16 = 32;
/// Bytes of an incoming packet at most. Receipts and commands have some hundred; stops a core that would fill the hub's memory.
const INCOMING_MAX: u32 = 64 * 1024;
/// Messages that the core may have in flight to the hub.
const RECEIVE_MAX: u16 = 16;
/// Bytes that are made ready for the line at most, beyond the packet that reaches it: what the core does not take stays
/// in one copy.
const WRITE_AHEAD: usize = 64 * 1024;
/// Bytes that a read has room for. Receipts and PUBACKs are far smaller.
const READ_ROOM: usize = 4 * 1024;
/// After a failed write: how long what the core had sent before is read on. It may say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a connection begins with.
#[derive(Debug)]
pub(crate) struct Hello<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) keep_alive: Duration,
    /// Topic and text of the retained will.
    pub(crate) will: (String, Vec<u8>),
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// SUBACK: a reason code for each filter, 0, 1, 2 if granted.
    Subscribed { codes: Vec<u8> },
    /// The oldest publish without a number has this one, and is on its way.
    Numbered { id: u16 },
    /// PUBACK.
    Acked { id: u16, code: u8 },
    /// A message from the core. Already acknowledged.
    Received(Box<Incoming>),
    /// The answer to a ping: the connection lives.
    Alive,
}

impl Event {
    /// Whether it comes from the core: what goes out is no sign of life.
    pub(crate) const fn is_heard(&self) -> bool {
        !matches!(self, Self::Numbered { .. })
    }
}

/// A message from the core.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    /// Whether the broker kept it for whoever comes.
    pub(crate) retained: bool,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Bytes>,
    /// What is left of its life, in seconds.
    pub(crate) expiry_s: Option<u32>,
}

/// One connection, from CONNACK to its first error.
pub(crate) struct Link {
    reads: ReadHalf<Stream>,
    writes: WriteHalf<Stream>,
    state: MqttState,
    /// Not handed to the line yet. The window, two documents, two answers, a subscription and a goodbye are 22.
    waiting: VecDeque<Request>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// A PUBACK that is not told yet, with a reason that rumqttc does not know.
    acked: Option<Event>,
    /// TLS may hold bytes that the kernel did not take.
    unflushed: bool,
    /// Publishes that the core takes at once.
    receive_max: u16,
    ping_every: Duration,
    ping_at: Instant,
    /// A write failed. Nothing is written any more; what comes is read until then.
    broken: Option<(Lost, Instant)>,
    over: Option<Lost>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, and learns what the broker takes.
    ///
    /// # Cancel safety
    /// Dropping the future drops what there is of the connection.
    pub(crate) async fn open(dial: &Dial<'_>, hello: Hello<'_>) -> Result<(Self, Broker), Lost> {
        let deadline = Instant::now() + dial.timeout;
        let stream = dial.connect(deadline).await?;
        let mut link = Self::new(stream, hello, deadline)?;
        let greeted = match timeout_at(deadline.into(), link.greeting()).await {
            Ok(ack) => ack.and_then(|ack| link.greeted(ack)),
            Err(_) => Err(Lost::new("core-unreachable", format!("{} does not answer to CONNECT in time", dial.core))),
        };
        greeted.map(|broker| (link, broker)).map_err(|lost| lost.at(Reached::Core))
    }

    /// Nothing is said behind CONNECT before the answer to it, or before `deadline`.
    fn new(stream: Stream, hello: Hello<'_>, deadline: Instant) -> Result<Self, Lost> {
        let properties = ConnectProperties {
            session_expiry_interval: Some(0),
            receive_maximum: Some(RECEIVE_MAX),
            max_packet_size: Some(INCOMING_MAX),
            topic_alias_max: Some(0),
            ..ConnectProperties::new()
        };
        let connect = Connect {
            keep_alive: u16::try_from(hello.keep_alive.as_secs()).unwrap_or(u16::MAX),
            client_id: hello.client_id.to_owned(),
            clean_start: true,
            properties: Some(properties),
        };
        let (topic, will) = hello.will;
        let will = LastWill::new(topic, will, QoS::AtLeastOnce, true, None);
        let (reads, writes) = split(stream);
        let mut link = Self {
            reads,
            writes,
            state: MqttState::new(PACKET_IDS, false),
            waiting: VecDeque::new(),
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            acked: None,
            unflushed: false,
            receive_max: PACKET_IDS,
            ping_every: hello.keep_alive,
            ping_at: deadline,
            broken: None,
            over: None,
        };
        link.write(&Packet::Connect(connect, Some(will), None))?;
        Ok(link)
    }

    /// The first packet, which has to be CONNACK.
    async fn greeting(&mut self) -> Result<ConnAck, Lost> {
        loop {
            match self.packet() {
                Ok(Some(Packet::ConnAck(ack))) => return Ok(ack),
                Ok(Some(Packet::Disconnect(end))) => {
                    let text = end.properties.and_then(|properties| properties.reason_string);
                    return Err(disconnected(end.reason_code, text.as_deref()));
                }
                Ok(Some(_)) => {
                    return Err(Lost::new("core-protocol", "the core answers to CONNECT with another packet"));
                }
                Ok(None) => self.exchange().await?,
                Err(lost) => return Err(lost),
            }
        }
    }

    fn greeted(&mut self, ack: ConnAck) -> Result<Broker, Lost> {
        if ack.code != ConnectReturnCode::Success {
            return Err(refused(ack.code));
        }
        let properties = ack.properties.as_ref();
        let receive_max = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
        let packet_max = properties.and_then(|p| p.max_packet_size);
        self.receive_max = receive_max.min(PACKET_IDS);
        // A core may ask for more pings than the config; it has no reason to mind those that the config wants.
        if let Some(wanted @ 1..) = properties.and_then(|p| p.server_keep_alive) {
            self.ping_every = self.ping_every.min(Duration::from_secs(wanted.into()));
        }
        self.ping_at = Instant::now() + self.ping_every;
        Ok(Broker { receive_max, packet_max })
    }

    /// The next thing that happens. After an error the link is over; what had been read before it is told first: a broker
    /// that closes right behind a PUBACK has still acknowledged.
    ///
    /// # Cancel safety
    /// Safe: what was read or written stays so.
    pub(crate) async fn event(&mut self) -> Result<Event, Lost> {
        loop {
            while let Some(raw) = self.state.events.pop_front() {
                if let Some(event) = event(raw)? {
                    return Ok(event);
                }
            }
            if let Some(acked) = self.acked.take() {
                return Ok(acked);
            }
            if let Some(lost) = &self.over {
                return Err(lost.clone());
            }
            if let Err(lost) = self.turn().await {
                self.over = Some(lost);
            }
        }
    }

    /// Takes in what has come, or waits for more.
    async fn turn(&mut self) -> Result<(), Lost> {
        if let Some((id, code, len)) = foreign_puback(&self.incoming) {
            self.incoming.advance(len);
            let ack = PubAck { pkid: id, reason: PubAckReason::UnspecifiedError, properties: None };
            self.state.handle_incoming_packet(Packet::PubAck(ack)).map_err(|error| ended(&error))?;
            // It noted the reason that it was given.
            self.state.events.pop_back();
            self.acked = Some(Event::Acked { id, code });
            return Ok(());
        }
        if let Some(packet) = self.packet()? {
            let reply = self.state.handle_incoming_packet(packet).map_err(|error| ended(&error))?;
            return reply.map_or(Ok(()), |reply| self.write(&reply));
        }
        self.hand_over()?;
        if !self.state.events.is_empty() {
            return Ok(());
        }
        self.exchange().await
    }

    /// A packet that has come whole.
    fn packet(&mut self) -> Result<Option<Packet>, Lost> {
        match Packet::read(&mut self.incoming, Some(INCOMING_MAX)) {
            Ok(packet) => Ok(Some(packet)),
            Err(CodecError::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(Lost::new("core-protocol", format!("the core sends what is no packet ({error})"))),
        }
    }

    /// Hands waiting requests to the line, as many as the core and the line take.
    fn hand_over(&mut self) -> Result<(), Lost> {
        while self.outgoing.len() < WRITE_AHEAD
            && self.state.inflight() < self.receive_max
            && let Some(request) = self.waiting.pop_front()
        {
            self.encode(request)?;
        }
        Ok(())
    }

    fn encode(&mut self, request: Request) -> Result<(), Lost> {
        let packet = self.state.handle_outgoing_packet(request).map_err(|error| ended(&error))?;
        packet.map_or(Ok(()), |packet| self.write(&packet))
    }

    fn write(&mut self, packet: &Packet) -> Result<(), Lost> {
        let written = packet.write(&mut self.outgoing, None);
        written.map(drop).map_err(|error| Lost::new("core-protocol", format!("a packet cannot be written ({error})")))
    }

    /// Waits until bytes have come or gone, or a ping is due.
    async fn exchange(&mut self) -> Result<(), Lost> {
        enum Moved {
            Read(io::Result<usize>),
            Wrote(io::Result<()>),
            Due,
        }
        self.incoming.reserve(READ_ROOM);
        let due = self.broken.as_ref().map_or(self.ping_at, |(_, until)| *until);
        let writes = self.broken.is_none() && (self.unflushed || !self.outgoing.is_empty());
        let moved = tokio::select! {
            read = self.reads.read_buf(&mut self.incoming) => Moved::Read(read),
            wrote = send(&mut self.writes, &mut self.outgoing, &mut self.unflushed), if writes => Moved::Wrote(wrote),
            () = sleep_until(due.into()) => Moved::Due,
        };
        match (moved, &self.broken) {
            (Moved::Read(Ok(1..)) | Moved::Wrote(Ok(())), _) => Ok(()),
            (Moved::Read(Ok(0)), None) => Err(Lost::closed()),
            (Moved::Read(Err(error)), None) => Err(Lost::io(&error)),
            // Of the two ends of one connection the one that gives a reason is told.
            (Moved::Read(Err(error)), Some((lost, _))) => {
                let read = Lost::io(&error);
                Err(if read.word == "core-unreachable" { lost.clone() } else { read })
            }
            (Moved::Read(Ok(0)) | Moved::Due, Some((lost, _))) => Err(lost.clone()),
            (Moved::Wrote(Err(error)), _) => {
                self.broken = Some((Lost::io(&error), Instant::now() + LAST_WORDS));
                Ok(())
            }
            (Moved::Due, None) => {
                self.ping_at = Instant::now() + self.ping_every;
                self.encode(Request::PingReq)
            }
        }
    }

    /// Publishes with `QoS` 1, and with the content type if the payload is no JSON. The payload is not copied before the
    /// line takes it.
    pub(crate) fn publish(&mut self, topic: String, payload: Bytes, retain: Retain) {
        let properties = content_type(&payload)
            .map(|text| PublishProperties { content_type: Some(text.to_owned()), ..PublishProperties::default() });
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, properties);
        publish.retain = retain == Retain::Yes;
        self.waiting.push_back(Request::Publish(publish));
    }

    /// Publishes with `QoS` 1 and correlation data.
    pub(crate) fn answer(&mut self, answer: Answer) {
        let properties = PublishProperties { correlation_data: answer.correlation, ..PublishProperties::default() };
        let publish = Publish::new(String::from(answer.topic), QoS::AtLeastOnce, answer.payload, Some(properties));
        self.waiting.push_back(Request::Publish(publish));
    }

    /// Subscribes with `QoS` 1, in one packet. What was retained before is not asked for; what is retained later comes marked.
    pub(crate) fn subscribe(&mut self, topics: impl IntoIterator<Item = String>) {
        let filter = |topic| Filter {
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::Never,
            ..Filter::new(topic, QoS::AtLeastOnce)
        };
        self.waiting.push_back(Request::Subscribe(Subscribe::new_many(topics.into_iter().map(filter), None)));
    }

    /// Says goodbye. The will is not sent then.
    pub(crate) fn leave(&mut self) {
        self.waiting.push_back(Request::Disconnect);
    }
}

/// Writes until nothing is left to write. What is written is gone from `outgoing`, whenever the future is dropped.
async fn send(writes: &mut WriteHalf<Stream>, outgoing: &mut BytesMut, unflushed: &mut bool) -> io::Result<()> {
    while !outgoing.is_empty() {
        *unflushed = true;
        if writes.write_buf(outgoing).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writes.flush().await?;
    *unflushed = false;
    Ok(())
}

/// Whether the broker keeps a message for later subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
