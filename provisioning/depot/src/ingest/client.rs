//! The connection to the broker. The only file here that names `rumqttc`.
//!
//! The event loop is thrown away and rebuilt after any error: rumqttc drops and wedges in too many ways to be trusted
//! across a reconnect (its queue is cleared when the broker lost the session, a lost acknowledgement can block it for
//! ever). Nothing is lost by that: what was not acknowledged the broker sends again, and receipts wait here until they
//! are sent, the latest of each stream.
//!
//! A session has three parts, which do not wait for each other in a circle: `receive` polls, and waits for the broker and
//! the writer; `collect` takes commits from the writer, and never waits to hand them on;
//! `send` waits for the event loop to take what is to go out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use curb_model::Name;
use curb_wire::record::{Document as _, Receipt, VERSION};
use curb_wire::topic::{PREFIX, Topics};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, Filter, Packet, PubAckReason, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use super::Stop;
use super::backoff::Backoff;
use super::book::Due;
use super::pace::Pace;
use super::rival::Rival;
use super::writer::Done;

/// Publishes that the broker may have on their way to us. Enough for a full transaction while the next one fills. Not
/// every broker keeps to it: mosquitto 2.0.11 was seen with three times as many. Then TCP holds it back.
pub(super) const RECEIVE_MAXIMUM: u16 = 512;

/// Receipts on their way to the broker: below the 20 that mosquitto takes by default.
const IN_FLIGHT: u16 = 16;

/// Acknowledgements and receipts waiting for the event loop. When full, `send` waits.
const REQUESTS: usize = 64;

/// Acknowledgements waiting for that. With a broker that keeps to [`RECEIVE_MAXIMUM`] there are never more than that; one
/// that sends without end is cut off here, some 20 MB later, and sends again on the next connection.
const ACKS: usize = 100_000;

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
/// How long an ingester whose session somebody has taken over leaves it to them, and up to as long again: a person has to
/// see it in the log of both, and neither is to keep the other from its work every second.
const TAKEN_OVER_WAIT: Duration = Duration::from_secs(30);
/// What a person is to look for.
const RIVAL: &str = "a second `depot ingest` with this certificate? Stop one of them, or give both the same --db and --group and \
                     each a --name of its own";
/// For the last acknowledgements and the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What hubs send to be stored, below `curb/v1/<site>/<hub>/`.
const LANES: [&str; 7] = ["data/+", "alarm/+", "run", "gap", "clock", "audit", "status"];

/// The broker, and who we are to it.
#[derive(Debug)]
pub(super) struct Broker {
    /// Our client id: the same after a restart, so that the broker knows our session.
    pub(super) client_id: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Arc<ClientConfig>,
    /// Only this site's hubs.
    pub(super) site: Option<Name>,
    /// The ingesters that share the work with us.
    pub(super) group: Option<Name>,
}

/// A publish on its way to the writer.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// Whether we are the one of the group who repeats receipts, if it is a birth.
    pub(super) answers_births: bool,
    pub(super) ticket: Ticket,
}

/// What acknowledges a publish, on the connection that it came on and on no other.
#[derive(Debug)]
pub(super) struct Ticket {
    session: u64,
    /// Without its payload.
    publish: Publish,
}

/// What is to go out.
#[derive(Debug, Default)]
struct Outbox {
    /// Of this session only.
    acks: VecDeque<Publish>,
    /// Kept over sessions.
    receipts: Pace,
    /// Whether the last to go was an acknowledgement: the two take turns, so that neither waits for all of the other.
    acked: bool,
}

enum Next {
    Ack(Publish),
    Receipt { topic: String, payload: Vec<u8> },
}

impl Outbox {
    fn add(&mut self, done: Done, session: u64, now: Instant) {
        let ours = done.acks.into_iter().filter(|ticket| ticket.session == session);
        self.acks.extend(ours.map(|ticket| ticket.publish));
        done.receipts.into_iter().for_each(|due| self.receipts.add(due, now));
    }

    fn next(&mut self, now: Instant) -> Option<Next> {
        let receipt = if self.acked || self.acks.is_empty() { self.receipts.next(now) } else { None };
        self.acked = receipt.is_none();
        match receipt {
            None => self.acks.pop_front().map(Next::Ack),
            Some(Due { stream, seq }) => {
                let topic = Topics::new(&stream.site, &stream.hub).receipt();
                let receipt = Receipt { v: VERSION, run: stream.run, stream: stream.stream, seq };
                Some(Next::Receipt { topic, payload: receipt.encode() })
            }
        }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Its text has its causes in it already.
    #[error("{0}")]
    Connection(Box<ConnectionError>),
    /// Who comes back at once takes it over in turn, and so on for ever.
    #[error("another client has taken over the session of {client_id}: {RIVAL}")]
    TakenOver { client_id: String },
    #[error("the broker was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the broker refused the subscription to {filter} ({code:?}); allow it for this certificate")]
    Subscription { filter: String, code: SubscribeReasonCode },
    #[error("the broker sends on and on without acknowledgement")]
    TooMany,
    #[error("the writer ended")]
    WriterGone,
    #[error("asked to stop")]
    Stopped,
}

/// Keeps a session with the broker until asked to stop, or until the writer is gone.
pub(super) async fn run(broker: &Broker, jobs: mpsc::Sender<Job>, mut done: mpsc::Receiver<Done>, mut stop: Stop) {
    let outbox = RefCell::new(Outbox::default());
    let (mut backoff, mut rival) = (Backoff::default(), Rival::default());
    for number in 1.. {
        let began = Instant::now();
        outbox.borrow_mut().acks.clear();
        let (client, events) = AsyncClient::new(broker.options(), REQUESTS);
        let session =
            Session { number, client: &client, broker, outbox: &outbox, stood: Cell::new(false), added: Notify::new() };
        let ended = session.run(events, &jobs, &mut done, &mut stop).await;
        if matches!(ended, Ended::Stopped | Ended::WriterGone) {
            return;
        }
        let mut wait = backoff.after(began.elapsed(), fastrand::f64());
        let was_closed = session.stood.get() && matches!(ended, Ended::Connection(_));
        let is_fought = rival.closed_after(was_closed.then(|| began.elapsed()));
        if matches!(ended, Ended::TakenOver { .. }) {
            wait = TAKEN_OVER_WAIT.mul_f64(1.0 + fastrand::f64());
            error!(why = %ended, retry_in_ms = wait.as_millis(), "not connected");
        } else if is_fought {
            let hint = format!("if another client has the id {}: {RIVAL}", broker.client_id);
            error!(why = %ended, hint, retry_in_ms = wait.as_millis(), "not connected, again and again");
        } else {
            warn!(why = %ended, retry_in_ms = wait.as_millis(), "not connected");
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.asked() => return,
        }
    }
}

impl Broker {
    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.host, self.port);
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

    /// What to subscribe to. Alone: all of our hubs, but not our own receipts, which lie below the same topics. In a group:
    /// each message goes to one of us. The broker keeps retained messages from shared subscriptions, so each of us also
    /// has the status of every hub for itself; it comes with its retain flag, by which it is told from the shared one. And
    /// each has the table of points of every hub.
    fn filters(&self) -> Vec<Filter> {
        let base = self.site.as_ref().map_or_else(|| format!("{PREFIX}/+/+"), |site| format!("{PREFIX}/{site}/+"));
        let filter = |path: String| Filter::new(path, QoS::AtLeastOnce);
        match &self.group {
            None => vec![Filter { nolocal: true, ..filter(format!("{base}/#")) }],
            Some(group) => {
                let shared = LANES.iter().map(|lane| filter(format!("$share/{group}/{base}/{lane}")));
                let status = Filter { preserve_retain: true, ..filter(format!("{base}/status")) };
                shared.chain([status, filter(format!("{base}/points"))]).collect()
            }
        }
    }
}

/// One connection.
struct Session<'a> {
    number: u64,
    client: &'a AsyncClient,
    broker: &'a Broker,
    outbox: &'a RefCell<Outbox>,
    /// The broker has taken the connection.
    stood: Cell<bool>,
    /// Something was added to the outbox.
    added: Notify,
}

impl Session<'_> {
    async fn run(
        &self,
        mut events: EventLoop,
        jobs: &mpsc::Sender<Job>,
        done: &mut mpsc::Receiver<Done>,
        stop: &mut Stop,
    ) -> Ended {
        // The first request of a new event loop, so it goes out before any receipt.
        self.client.try_subscribe_many(self.broker.filters()).expect("the request queue of a new event loop is empty");
        let ended = {
            let receive = pin!(self.receive(&mut events, jobs));
            let collect = pin!(self.collect(done));
            let send = pin!(self.send());
            tokio::select! {
                ended = receive => ended,
                ended = collect => ended,
                ended = send => ended,
                () = stop.asked() => Ended::Stopped,
            }
        };
        if matches!(ended, Ended::Stopped) {
            // A poll that was dropped may have lost a request; all that is asked of this event loop is to say goodbye.
            drop(timeout(GOODBYE, goodbye(&mut events, self.client)).await);
        }
        ended
    }

    /// Takes what the broker sends until the connection fails. While the writer's queue is full nothing is taken, and TCP
    /// holds the broker back.
    async fn receive(&self, events: &mut EventLoop, jobs: &mpsc::Sender<Job>) -> Ended {
        loop {
            // Dropping a poll is safe here alone: after a time-out the whole event loop is dropped.
            let event = match timeout(SILENCE, events.poll()).await {
                Err(_) => return Ended::Silent,
                Ok(Err(error)) => return ended(error, &self.broker.client_id),
                Ok(Ok(event)) => event,
            };
            let Event::Incoming(packet) = event else { continue };
            match self.take(packet) {
                Err(ended) => return ended,
                Ok(None) => {}
                Ok(Some(job)) => {
                    if jobs.send(job).await.is_err() {
                        return Ended::WriterGone;
                    }
                }
            }
        }
    }

    /// Takes commits from the writer.
    async fn collect(&self, done: &mut mpsc::Receiver<Done>) -> Ended {
        while let Some(commit) = done.recv().await {
            let mut outbox = self.outbox.borrow_mut();
            outbox.add(commit, self.number, Instant::now());
            if outbox.acks.len() > ACKS {
                return Ended::TooMany;
            }
            self.added.notify_one();
        }
        Ended::WriterGone
    }

    /// Sends what is in the outbox. A receipt that is on its way when the connection fails is not sent again by itself:
    /// the hub gets it at its next birth, or when it sends the message again.
    async fn send(&self) -> Ended {
        loop {
            let (next, wake) = {
                let mut outbox = self.outbox.borrow_mut();
                (outbox.next(Instant::now()), outbox.receipts.wake())
            };
            let sent = match next {
                None => {
                    let turn = async {
                        match wake {
                            Some(at) => sleep_until(at.into()).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.added.notified() => {}
                        () = turn => {}
                    }
                    Ok(())
                }
                Some(Next::Ack(publish)) => self.client.ack(&publish).await,
                Some(Next::Receipt { topic, payload }) => {
                    self.client.publish(topic, QoS::AtLeastOnce, false, payload).await
                }
            };
            if sent.is_err() {
                // The event loop is gone: the part that polled it says why.
                return std::future::pending().await;
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other packets are the protocol's own business")]
    fn take(&self, packet: Packet) -> Result<Option<Job>, Ended> {
        match packet {
            Packet::ConnAck(connack) => {
                self.stood.set(true);
                info!(session_present = connack.session_present, "connected");
            }
            Packet::SubAck(suback) => {
                for (filter, code) in self.broker.filters().into_iter().zip(suback.return_codes) {
                    if code != SubscribeReasonCode::Success(QoS::AtLeastOnce) {
                        return Err(Ended::Subscription { filter: filter.path, code });
                    }
                }
                info!(group = self.broker.group.as_ref().map(tracing::field::display), "subscribed");
            }
            Packet::PubAck(puback) => match puback.reason {
                // No subscriber: the hub is offline, and gets its receipts at its next birth.
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {}
                reason => warn!(?reason, "the broker refused a receipt; allow publishing to curb/v1/+/+/receipt"),
            },
            Packet::Publish(mut publish) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let payload = std::mem::take(&mut publish.payload);
                let answers_births = self.broker.group.is_none() || !publish.retain;
                let ticket = Ticket { session: self.number, publish };
                return Ok(Some(Job { topic, payload, answers_births, ticket }));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// Why a connection ended, from what the event loop says of it.
fn ended(error: ConnectionError, client_id: &str) -> Ended {
    if let ConnectionError::MqttState(StateError::ServerDisconnect {
        reason_code: DisconnectReasonCode::SessionTakenOver,
        ..
    }) = error
    {
        return Ended::TakenOver { client_id: client_id.to_owned() };
    }
    Ended::Connection(Box::new(error))
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

#[cfg(test)]
mod tests;
