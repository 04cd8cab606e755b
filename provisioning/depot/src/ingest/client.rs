//! The connection to the broker. The only file here that names `rumqttc`.
//!
//! The event loop is thrown away and rebuilt after any error: rumqttc drops and wedges in too many ways to be trusted
//! across a reconnect (its queue is cleared when the broker lost the session, a lost acknowledgement can block it for
//! ever). Nothing is lost by that: what was not acknowledged the broker sends again, and receipts wait here until they
//! are sent, the latest of each stream.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use curb_model::{Name, RunId, Stream};
use curb_wire::record::{Document as _, Receipt, VERSION};
use curb_wire::topic::{ALL_HUBS, PREFIX, Topics};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, PubAckReason, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Stop;
use super::backoff::Backoff;
use super::writer::Done;
use crate::error::chain;

/// Publishes that the broker may have on their way to us. Enough for a full transaction while the next one fills.
pub(super) const RECEIVE_MAXIMUM: u16 = 512;

/// Receipts on their way to the broker: below the 20 that mosquitto takes by default.
const IN_FLIGHT: u16 = 16;

/// Acknowledgements and receipts between the two halves of a session. When full the half that sends waits.
const REQUESTS: usize = 64;

/// How long the broker keeps our session, and queues for it, while the ingester is away.
const SESSION_EXPIRY_SECS: u32 = 86_400;

/// The largest message taken. Larger ones the broker drops in silence (MQTT 5, section 3.1.2.11.4), so it is far above
/// what a hub makes: 40,000 readings.
const MAX_PACKET_BYTES: u32 = 4 << 20;

const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A healthy connection has a ping and its answer in each keep-alive time. rumqttc itself does not notice a peer that
/// stopped reading.
const SILENCE: Duration = Duration::from_secs(25);
/// TCP, TLS and CONNACK together.
const CONNECT_SECS: u64 = 15;
/// For the last acknowledgements and the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The broker, and who we are to it.
#[derive(Debug)]
pub(super) struct Broker {
    /// The common name of our certificate.
    pub(super) identity: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Arc<ClientConfig>,
    /// Only this site's hubs.
    pub(super) site: Option<Name>,
}

/// A publish on its way to the writer.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) ticket: Ticket,
}

/// What acknowledges a publish, on the connection that it came on and on no other.
#[derive(Debug)]
pub(super) struct Ticket {
    session: u64,
    /// Without its payload.
    publish: Publish,
}

/// Receipts not yet sent. A later one says all that an earlier one said, so each stream has one place: the size is
/// bounded by the streams that are alive.
type Receipts = BTreeMap<(Name, Name, RunId, Stream), u64>;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Connection(#[from] Box<ConnectionError>),
    #[error("the broker was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the broker refused the subscription to {filter} ({code:?}); allow it for this certificate")]
    Subscription { filter: String, code: SubscribeReasonCode },
    #[error("the broker sent more than it may without acknowledgement")]
    TooMany,
    #[error("the writer ended")]
    WriterGone,
    #[error("asked to stop")]
    Stopped,
}

/// Keeps a session with the broker until asked to stop, or until the writer is gone.
pub(super) async fn run(broker: &Broker, jobs: mpsc::Sender<Job>, mut done: mpsc::Receiver<Done>, mut stop: Stop) {
    let mut receipts = Receipts::new();
    let mut backoff = Backoff::default();
    for number in 1.. {
        let began = Instant::now();
        let (client, events) = AsyncClient::new(broker.options(), REQUESTS);
        let mut session = Session { number, client: &client, filter: broker.filter(), receipts: &mut receipts };
        let ended = session.run(events, &jobs, &mut done, &mut stop).await;
        if matches!(ended, Ended::Stopped | Ended::WriterGone) {
            return;
        }
        let wait = backoff.after(began.elapsed(), fastrand::f64());
        let why = chain(&ended);
        warn!(%why, retry_in_ms = wait.as_millis(), "not connected");
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.asked() => return,
        }
    }
}

impl Broker {
    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.identity, &self.host, self.port);
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&self.tls))))
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT_SECS)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY_SECS))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(MAX_PACKET_BYTES))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT)
            .set_manual_acks(true);
        options
    }

    fn filter(&self) -> String {
        self.site.as_ref().map_or_else(|| ALL_HUBS.to_owned(), |site| format!("{PREFIX}/{site}/+/#"))
    }
}

/// One connection. Two halves share it: one only polls and never waits for anything but the broker, the other sends; so
/// that neither can hold up the other.
struct Session<'a> {
    number: u64,
    client: &'a AsyncClient,
    filter: String,
    receipts: &'a mut Receipts,
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut events: EventLoop,
        jobs: &mpsc::Sender<Job>,
        done: &mut mpsc::Receiver<Done>,
        stop: &mut Stop,
    ) -> Ended {
        let (client, number, filter) = (self.client, self.number, self.filter.clone());
        // The first request of a new event loop, so it goes out before any receipt. No local: our own receipts lie below
        // the same topics.
        let subscribe = Filter { nolocal: true, ..Filter::new(&filter, QoS::AtLeastOnce) };
        client.try_subscribe_many([subscribe]).expect("the request queue of a new event loop is empty");
        let ended = {
            let receive = pin!(receive(&mut events, &filter, number, jobs));
            let send = pin!(send(client, number, self.receipts, done));
            tokio::select! {
                ended = receive => ended,
                ended = send => ended,
                () = stop.asked() => Ended::Stopped,
            }
        };
        if matches!(ended, Ended::Stopped) {
            // A poll that was dropped may have lost a request; all that is asked of this event loop is to say goodbye.
            drop(timeout(GOODBYE, goodbye(&mut events, client)).await);
        }
        ended
    }
}

/// Takes what the broker sends until the connection fails.
async fn receive(events: &mut EventLoop, filter: &str, session: u64, jobs: &mpsc::Sender<Job>) -> Ended {
    loop {
        // Dropping a poll is safe here alone: after a time-out the whole event loop is dropped.
        let event = match timeout(SILENCE, events.poll()).await {
            Err(_) => return Ended::Silent,
            Ok(Err(error)) => return Ended::Connection(Box::new(error)),
            Ok(Ok(event)) => event,
        };
        let Event::Incoming(packet) = event else {
            continue;
        };
        if let Err(ended) = handle(packet, filter, session, jobs) {
            return ended;
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other packets are the protocol's own business")]
fn handle(packet: Packet, filter: &str, session: u64, jobs: &mpsc::Sender<Job>) -> Result<(), Ended> {
    match packet {
        Packet::ConnAck(connack) => {
            info!(session_present = connack.session_present, "connected");
        }
        Packet::SubAck(suback) => match suback.return_codes.first() {
            Some(SubscribeReasonCode::Success(QoS::AtLeastOnce)) => info!(filter, "subscribed"),
            Some(code) => {
                return Err(Ended::Subscription { filter: filter.to_owned(), code: *code });
            }
            None => {}
        },
        Packet::PubAck(puback) => match puback.reason {
            // No subscriber: the hub is offline, and gets its receipts at its next birth.
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {}
            reason => warn!(?reason, "the broker refused a receipt; allow publishing to curb/v1/+/+/receipt"),
        },
        Packet::Publish(mut publish) => {
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            let payload = std::mem::take(&mut publish.payload);
            let job = Job { topic, payload, ticket: Ticket { session, publish } };
            jobs.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Ended::TooMany,
                mpsc::error::TrySendError::Closed(_) => Ended::WriterGone,
            })?;
        }
        _ => {}
    }
    Ok(())
}

/// Sends acknowledgements and receipts of what was committed.
async fn send(client: &AsyncClient, session: u64, receipts: &mut Receipts, done: &mut mpsc::Receiver<Done>) -> Ended {
    // An error of the client means that the event loop is gone: the other half says why.
    let gone = std::future::pending::<Ended>;
    loop {
        while let Some(entry) = receipts.first_entry() {
            let (site, hub, run, stream) = entry.key().clone();
            let topic = Topics::new(&site, &hub).receipt();
            let payload = Receipt { v: VERSION, run, stream, seq: *entry.get() }.encode();
            if client.publish(topic, QoS::AtLeastOnce, false, payload).await.is_err() {
                return gone().await;
            }
            entry.remove();
        }
        let Some(Done { acks, receipts: due }) = done.recv().await else {
            return Ended::WriterGone;
        };
        for due in due {
            receipts.insert((due.site, due.hub, due.run, due.stream), due.seq);
        }
        for ticket in acks.iter().filter(|ticket| ticket.session == session) {
            if client.ack(&ticket.publish).await.is_err() {
                return gone().await;
            }
        }
    }
}

async fn goodbye(events: &mut EventLoop, client: &AsyncClient) {
    if client.try_disconnect().is_err() {
        return;
    }
    while let Ok(event) = events.poll().await {
        if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
            return;
        }
    }
}
