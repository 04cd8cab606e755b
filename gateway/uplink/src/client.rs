//! The MQTT client: the only file that names `rumqttc`.
//!
//! What is used of it is one connection, once. Its queue, its session and its reconnecting lose messages, so none of
//! them is used: after the first error the [`Link`] is dropped, event loop and all, and the next connection is a new one.
//! Its `poll` is not cancel-safe, so the future is kept between calls and never dropped while the link lives; but it may
//! be dropped at any moment *with* the link, and the watchdog does so when a flush never returns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use curb_identity::Refusal;
use curb_wire::senml::content_type;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, Packet, PubAckReason, Publish, PublishProperties,
    RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use rumqttc::v5::{
    AsyncClient, ClientError, ConnectionError, Event as RawEvent, EventLoop, MqttOptions, StateError, TlsError,
};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio_util::sync::ReusableBoxFuture;

use crate::command::Answer;

/// Requests that wait in the client at most. The window, two documents, two answers, a subscription and a goodbye are 22.
const REQUESTS: usize = 32;
/// Packet ids in use at most. Twice the window: a broker that acknowledges out of order is not yet a collision.
const PACKET_IDS: u16 = 32;
/// Bytes of an incoming packet at most. Receipts and commands have some hundred; stops a core that would fill the hub's memory.
const INCOMING_MAX: u32 = 64 * 1024;
/// Messages that the core may have in flight to the hub.
const RECEIVE_MAX: u16 = 16;

/// How to make one connection.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) keep_alive: Duration,
    pub(crate) timeout: Duration,
    /// Topic and text of the retained will.
    pub(crate) will: (String, Vec<u8>),
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// CONNACK.
    Connected { receive_max: u16, packet_max: Option<u32> },
    /// SUBACK: a reason code for each filter, 0, 1, 2 if granted.
    Subscribed { codes: Vec<u8> },
    /// The oldest publish without a number has this one, and is on its way.
    Numbered { id: u16 },
    /// PUBACK.
    Acked { id: u16, code: u8 },
    /// A message from the core. Already acknowledged.
    Received(Box<Incoming>),
    /// Pings and the like: the connection lives.
    Alive,
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

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Stable word of the fault.
    pub(crate) word: &'static str,
    /// For people.
    pub(crate) detail: String,
}

impl Lost {
    pub(crate) fn new(word: &'static str, detail: impl Into<String>) -> Self {
        Self { word, detail: detail.into() }
    }
}

type Polled = (Box<EventLoop>, Result<RawEvent, ConnectionError>);

/// One connection, from dialling to its first error.
pub(crate) struct Link {
    requests: AsyncClient,
    polling: ReusableBoxFuture<'static, Polled>,
    /// After the error: what had been read before it, and the error. A broker that closes right behind a PUBACK has
    /// still acknowledged.
    over: Option<(VecDeque<RawEvent>, Lost)>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Prepares a connection; it is made by the first call of [`event`](Self::event).
    pub(crate) fn new(dial: Dial<'_>) -> Self {
        let mut options = MqttOptions::new(dial.client_id, dial.host, dial.port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let (topic, will) = dial.will;
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(dial.tls)))
            .set_network_options(network)
            .set_keep_alive(dial.keep_alive)
            .set_connection_timeout(dial.timeout.as_secs().max(1))
            .set_clean_start(true)
            .set_session_expiry_interval(Some(0))
            .set_receive_maximum(Some(RECEIVE_MAX))
            .set_max_packet_size(Some(INCOMING_MAX))
            .set_topic_alias_max(Some(0))
            .set_outgoing_inflight_upper_limit(PACKET_IDS)
            .set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, true, None));
        let (requests, events) = AsyncClient::new(options, REQUESTS);
        Self { requests, polling: ReusableBoxFuture::new(poll(Box::new(events))), over: None }
    }

    /// The next thing that happens. After an error the link is over.
    ///
    /// # Cancel safety
    /// Safe: what `rumqttc` was doing goes on with the next call.
    pub(crate) async fn event(&mut self) -> Result<Event, Lost> {
        loop {
            let raw = match &mut self.over {
                Some((left, lost)) => left.pop_front().ok_or_else(|| lost.clone())?,
                None => {
                    let (mut events, polled) = (&mut self.polling).await;
                    match polled {
                        Ok(raw) => {
                            self.polling.set(poll(events));
                            raw
                        }
                        Err(error) => {
                            self.over = Some((std::mem::take(&mut events.state.events), lost(&error)));
                            continue;
                        }
                    }
                }
            };
            if let Some(event) = event(raw)? {
                return Ok(event);
            }
        }
    }

    /// Publishes with `QoS` 1, and with the content type if the payload is no JSON. The payload is not copied. Nothing
    /// happens on a link that is over.
    pub(crate) fn publish(&self, topic: String, payload: Bytes, retain: Retain) {
        if self.over.is_some() {
            return;
        }
        let (qos, retain) = (QoS::AtLeastOnce, retain == Retain::Yes);
        taken(match content_type(&payload) {
            None => self.requests.try_publish(topic, qos, retain, payload),
            Some(text) => {
                let properties =
                    PublishProperties { content_type: Some(text.to_owned()), ..PublishProperties::default() };
                self.requests.try_publish_with_properties(topic, qos, retain, payload, properties)
            }
        });
    }

    /// Publishes with `QoS` 1 and correlation data. `topic` has no wildcards.
    pub(crate) fn answer(&self, answer: Answer) {
        let properties = PublishProperties { correlation_data: answer.correlation, ..PublishProperties::default() };
        let topic = String::from(answer.topic);
        if self.over.is_none() {
            let qos = QoS::AtLeastOnce;
            taken(self.requests.try_publish_with_properties(topic, qos, false, answer.payload, properties));
        }
    }

    /// Subscribes with `QoS` 1, in one packet. What was retained before is not asked for; what is retained later comes marked.
    pub(crate) fn subscribe(&self, topics: impl IntoIterator<Item = String>) {
        let filter = |topic| Filter {
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::Never,
            ..Filter::new(topic, QoS::AtLeastOnce)
        };
        if self.over.is_none() {
            taken(self.requests.try_subscribe_many(topics.into_iter().map(filter)));
        }
    }

    /// Says goodbye. The will is not sent then.
    pub(crate) fn leave(&self) {
        if self.over.is_none() {
            taken(self.requests.try_disconnect());
        }
    }
}

fn taken(request: Result<(), ClientError>) {
    request.expect("the line is longer than the window, and topics are made of checked names");
}

/// Whether the broker keeps a message for later subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain {
    Yes,
    No,
}

async fn poll(mut events: Box<EventLoop>) -> Polled {
    let polled = events.poll().await;
    (events, polled)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "packets that a client never gets or that say nothing")]
fn event(raw: RawEvent) -> Result<Option<Event>, Lost> {
    Ok(Some(match raw {
        RawEvent::Incoming(Packet::ConnAck(ack)) => {
            let properties = ack.properties.as_ref();
            Event::Connected {
                receive_max: properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX),
                packet_max: properties.and_then(|p| p.max_packet_size),
            }
        }
        RawEvent::Incoming(Packet::SubAck(ack)) => {
            Event::Subscribed { codes: ack.return_codes.iter().map(|code| subscribe_code(*code)).collect() }
        }
        RawEvent::Incoming(Packet::PubAck(ack)) => Event::Acked { id: ack.pkid, code: puback_code(ack.reason) },
        RawEvent::Incoming(Packet::Publish(publish)) => Event::Received(Box::new(incoming(publish))),
        RawEvent::Outgoing(Outgoing::Publish(id)) => Event::Numbered { id },
        RawEvent::Outgoing(Outgoing::AwaitAck(id)) => {
            return Err(Lost::new(
                "core-protocol",
                format!("the core leaves packet {id} unacknowledged among later ones"),
            ));
        }
        RawEvent::Incoming(Packet::PingResp(_)) | RawEvent::Outgoing(Outgoing::PingReq) => Event::Alive,
        _ => return Ok(None),
    }))
}

fn incoming(publish: Publish) -> Incoming {
    let properties = publish.properties.unwrap_or_default();
    Incoming {
        // A topic that is no UTF-8 is none of ours.
        topic: String::from_utf8(publish.topic.into()).unwrap_or_default(),
        payload: publish.payload,
        retained: publish.retain,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data,
        expiry_s: properties.message_expiry_interval,
    }
}

const fn puback_code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0x00,
        PubAckReason::NoMatchingSubscribers => 0x10,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    }
}

const fn subscribe_code(reason: SubscribeReasonCode) -> u8 {
    match reason {
        SubscribeReasonCode::Success(_) => 0x00,
        SubscribeReasonCode::NotAuthorized => 0x87,
        SubscribeReasonCode::QuotaExceeded => 0x97,
        SubscribeReasonCode::Failure
        | SubscribeReasonCode::Unspecified
        | SubscribeReasonCode::ImplementationSpecific
        | SubscribeReasonCode::TopicFilterInvalid
        | SubscribeReasonCode::PkidInUse
        | SubscribeReasonCode::SharedSubscriptionsNotSupported
        | SubscribeReasonCode::SubscriptionIdNotSupported
        | SubscribeReasonCode::WildcardSubscriptionsNotSupported => 0x80,
    }
}

/// Words for the end of a connection.
fn lost(error: &ConnectionError) -> Lost {
    if let Some(refusal) = refusal(error) {
        return Lost::new(refusal.word(), refusal.to_string());
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums; the rest is told as it is")]
    match error {
        ConnectionError::Timeout(_) => Lost::new("core-unreachable", "no answer to TCP, TLS or CONNECT in time"),
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            disconnected(*reason_code, reason_string.as_deref())
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Lost::new("core-unreachable", "the core closed the connection")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Lost::new("core-silent", "the core does not answer pings")
        }
        ConnectionError::Io(_)
        | ConnectionError::Tls(_)
        | ConnectionError::MqttState(StateError::Io(_) | StateError::Deserialization(CodecError::Io(_))) => {
            Lost::new("core-unreachable", error.to_string())
        }
        other => Lost::new("core-protocol", other.to_string()),
    }
}

/// Looks for a TLS refusal where `rumqttc` may put one; some of its errors do not name their source.
fn refusal(error: &ConnectionError) -> Option<Refusal> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest cannot hold one")]
    match error {
        ConnectionError::Io(io)
        | ConnectionError::Tls(TlsError::Io(io))
        | ConnectionError::MqttState(StateError::Io(io) | StateError::Deserialization(CodecError::Io(io))) => {
            Refusal::find(io)
        }
        ConnectionError::Tls(TlsError::TLS(tls)) => Refusal::find(tls),
        _ => None,
    }
}

/// The CONNACK refused.
fn refused(code: ConnectReturnCode) -> Lost {
    use ConnectReturnCode as C;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told as it is")]
    let word = match code {
        C::NotAuthorized | C::BadUserNamePassword | C::Banned | C::ClientIdentifierNotValid => "not-authorised",
        C::ServerBusy | C::ServerUnavailable | C::ConnectionRateExceeded => "core-busy",
        C::QuotaExceeded => "quota",
        _ => "core-refuses",
    };
    Lost::new(word, format!("the core refused the connection ({code:?})"))
}

/// The core sent DISCONNECT.
fn disconnected(code: DisconnectReasonCode, text: Option<&str>) -> Lost {
    use DisconnectReasonCode as D;
    let text = text.map_or_else(String::new, |text| format!(": {text}"));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told as it is")]
    let (word, hint) = match code {
        D::SessionTakenOver => ("taken-over", "; another client uses this hub's name: look for a copied certificate"),
        D::NotAuthorized => ("not-authorised", ""),
        D::ServerBusy | D::ServerShuttingDown | D::ConnectionRateExceeded => ("core-busy", ""),
        D::QuotaExceeded => ("quota", ""),
        _ => ("core-refuses", ""),
    };
    Lost::new(word, format!("the core ended the connection ({code:?}{text}){hint}"))
}

#[cfg(test)]
mod tests;
