//! The task: connects, lets the [`Session`] decide, acts, and connects again.
//!
//! One task owns everything. Each turn of the loop sends what may be sent, waits for one thing to happen, and applies it.

mod hear;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use curb_identity::Identity;
use curb_model::{Fault, Page};
use curb_wire::record::Document as _;
use curb_wire::status::{Points, State as Presence, Status};
use curb_wire::topic::Topics;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout_at};

use crate::address::Address;
use crate::air::Air;
use crate::backoff::Backoff;
use crate::client::{Event, Hello, Link, Retain};
use crate::command::{Answer, Command, Desk};
use crate::config::{Ack, Config};
use crate::dial::Dial;
use crate::health::{Health, State};
use crate::lost::{Lost, Reached};
use crate::outbox::{Closed, Outbox};
use crate::route::Route;
use crate::session::{Document, Kept, READ_BYTES, READ_ROWS, Read, Report, Session};
use crate::size::payload_max;
use crate::unreached::Unreached;
use crate::wait::{Call, Signal};

use tell::{Goodbye, tell};

/// Time kept of the grace for the last status and the goodbye, at most.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the store may take to hear of the last acknowledgements of a connection.
const SETTLE: Duration = Duration::from_secs(10);

/// What one turn of the loop waited for.
enum Step {
    Link(Result<Event, Lost>),
    Rows(Read, Result<Page, Closed>),
    Reported,
    More,
    Changed(Document),
    Answer(Answer),
    Stop,
    Tick,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Sends.
    Open,
    /// A stop was asked for: sends on until all is out, or until this time.
    Draining { until: Instant },
    /// The last status is out; its answer is awaited, for a socket that is closed over unread bytes takes back what it
    /// sent.
    Farewell,
    /// DISCONNECT is out; the core closes.
    Leaving,
}

impl Phase {
    const fn sends(self) -> bool {
        matches!(self, Self::Open | Self::Draining { .. })
    }
}

/// How a connection ended.
enum End {
    Lost(Lost),
    Stopped,
}

pub(crate) struct Room<O> {
    config: Config,
    identity: Identity,
    topics: Topics,
    outbox: Arc<O>,
    changed: Signal<u64>,
    status: Signal<Arc<Status>>,
    points: Signal<Arc<Points>>,
    /// The end of the grace, once a stop is asked for.
    stop: Signal<Option<Instant>>,
    health: watch::Sender<Health>,
    desk: Desk,
    now: Health,
    /// Why the last connection ended, or none came about, until the next one stands.
    unreached: Unreached,
    /// Why this connection brings no commands.
    deaf: Option<Fault>,
    /// What the next connection has to know.
    kept: Kept,
    started: Instant,
    /// Which address this connection has, or the next try.
    route: Route,
}

/// The uplink's ends of what joins it to the daemon.
pub(crate) struct Ends {
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) points: watch::Receiver<Arc<Points>>,
    pub(crate) stop: watch::Receiver<Option<Instant>>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl<O: Outbox> Room<O> {
    pub(crate) fn new(config: Config, identity: &Identity, outbox: O, ends: Ends) -> Self {
        let Ends { status, points, stop, health, commands } = ends;
        Self {
            desk: Desk::new(identity.hub.clone(), commands),
            topics: Topics::new(&identity.site, &identity.hub),
            identity: identity.clone(),
            changed: Signal::new(outbox.changed()),
            outbox: Arc::new(outbox),
            status: Signal::new(status),
            points: Signal::new(points),
            stop: Signal::new(stop),
            health,
            now: Health {
                connection: config.before.connections,
                line_bytes: config.before.line_bytes,
                ..Health::default()
            },
            unreached: Unreached::default(),
            deaf: None,
            kept: Kept { air: Air::new(config.budget, config.before.line_bytes, Instant::now()), ..Kept::default() },
            started: Instant::now(),
            route: Route::default(),
            config,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.config.reconnect_spread);
        let mut lasted = None;
        loop {
            let up = self.config.uptime + self.started.elapsed();
            let wait = backoff.wait(up, lasted, fastrand::f64());
            self.show(State::Waiting, self.kept.hold.fault().into_iter().collect());
            tokio::select! {
                () = self.stop.changed() => return,
                () = sleep_until((Instant::now() + wait).into()) => {}
            }
            let end;
            (end, lasted) = self.connection().await;
            match end {
                End::Stopped => return,
                End::Lost(lost) => self.lose(lost),
            }
            if self.config.fallback.is_some() {
                self.route = self.route.next(lasted);
            }
            // A core that is lost while the hub stops is not looked for again.
            if self.stop.value().is_some() {
                self.show(State::Waiting, self.kept.hold.fault().into_iter().collect());
                return;
            }
        }
    }

    /// Where the next connection goes.
    fn address(&self) -> &Address {
        match (self.route, &self.config.fallback) {
            (Route::Fallback, Some(fallback)) => fallback,
            (Route::First, _) | (Route::Fallback, None) => &self.config.core,
        }
    }

    /// One connection, and how long it stood.
    async fn connection(&mut self) -> (End, Option<Duration>) {
        self.now.connection += 1;
        let address = self.address().clone();
        self.now.on_fallback = self.route == Route::Fallback;
        self.now.address = Some(address.clone());
        self.show(State::Connecting, self.kept.hold.fault().into_iter().collect());
        let dial = Dial {
            core: &address,
            setting: self.route.setting(),
            proxy: self.config.proxy.as_ref(),
            tls: Arc::clone(&self.identity.tls),
            timeout: self.config.connect_timeout,
        };
        let hello = Hello {
            client_id: self.identity.hub.as_str(),
            keep_alive: self.config.keep_alive,
            will: (self.topics.status(), self.presence(Presence::Offline, Goodbye::None)),
        };
        let opened = tokio::select! {
            () = self.stop.changed() => return (End::Stopped, None),
            opened = Link::open(&dial, hello) => opened,
        };
        let (mut link, broker) = match opened {
            Ok(opened) => opened,
            Err(lost) => {
                self.kept.air.dialled(lost.reached, Instant::now());
                self.now.line_bytes = self.kept.air.spent();
                return (End::Lost(lost), None);
            }
        };
        self.unreached.clear();
        self.deaf = None;
        let connected = Instant::now();
        let mut session = Session::new(&self.config, broker, std::mem::take(&mut self.kept), connected);
        session.air.dialled(Reached::Core, connected);
        let mut reporting = Call::none();
        let payload_max = session.told_packet_max(connected).map(payload_max);
        let outbox = Arc::clone(&self.outbox);
        reporting.start(async move { outbox.payload_max(payload_max).await });
        tracing::info!(connection = self.now.connection, %address, "connected to the core");
        let end = self.serve(&mut link, &mut session, &mut reporting).await;
        drop(link);
        let lasted = connected.elapsed();
        if let End::Lost(Lost { code, .. }) = end {
            session.ended(code, Instant::now());
        }

        // What was acknowledged must not come up again on the next connection. If the store does not hear it in time,
        // it does, and the core sees a duplicate.
        let deadline = Instant::now() + SETTLE;
        let settled = timeout_at(deadline.into(), async {
            reporting.finish().await;
            while let Some(report) = session.report() {
                self.now.set_aside += u64::from(matches!(report, Report::SetAside { .. }));
                tell(Arc::clone(&self.outbox), report).await;
            }
        });
        if settled.await.is_err() {
            tracing::warn!("the store did not hear of all acknowledged rows; they will be sent again");
        }
        self.kept = session.into_kept();
        self.deaf = None;
        (end, Some(lasted))
    }

    async fn serve(&mut self, link: &mut Link, session: &mut Session, reporting: &mut Call<()>) -> End {
        let connected = Instant::now();
        let mut phase = Phase::Open;
        let mut deadline = None;
        let mut reading = Call::none();
        // With receipts, nothing is sent before it is sure that they can arrive.
        let mut ready = self.config.ack == Ack::Broker;
        let filters: Vec<String> =
            (!ready).then(|| self.topics.receipt()).into_iter().chain([self.topics.commands()]).collect();
        link.subscribe(filters.clone());
        let mut subscribing = true;
        let silence = self.config.keep_alive * 2;
        let mut heard = connected;
        loop {
            let now = Instant::now();
            if session.stalled(now) || (!ready && now >= connected + self.config.stall) {
                return End::Lost(Lost::new("core-silent", "the core acknowledges nothing"));
            }
            if now >= heard + silence {
                return End::Lost(Lost::new(
                    "core-silent",
                    "nothing comes from the core, not even the answer to a ping",
                ));
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return End::Stopped;
            }
            if phase.sends() {
                if self.changed.take() {
                    session.more();
                }
                session.tick(now);
                // One at a time: a link that takes nothing has room for so many requests only.
                if session.subscribe_again() && !std::mem::replace(&mut subscribing, true) {
                    link.subscribe(filters.clone());
                }
                self.send(link, session, ready, now);
                if ready
                    && reading.is_none()
                    && let Some(read) = session.read(reporting.is_none())
                {
                    let outbox = Arc::clone(&self.outbox);
                    reading
                        .start(async move { (read, outbox.next(read.class, read.after, READ_ROWS, READ_BYTES).await) });
                }
            }
            if reporting.is_none()
                && let Some(report) = if phase == Phase::Open { session.report_due(now) } else { session.report() }
            {
                self.now.set_aside += u64::from(matches!(report, Report::SetAside { .. }));
                reporting.start(tell(Arc::clone(&self.outbox), report));
            }
            if let Phase::Draining { until } = phase
                && (now >= until || (session.is_idle() && self.desk.answers.is_empty() && reading.is_none()))
            {
                let goodbye = self.presence(Presence::Offline, Goodbye::Said);
                link.publish(self.topics.status(), goodbye.into(), Retain::Yes);
                session.farewell(now);
                phase = Phase::Farewell;
            }
            if phase == Phase::Farewell && session.is_answered() {
                link.leave();
                phase = Phase::Leaving;
            }
            let state = if session.holds() { State::Holding } else { State::Connected };
            self.now.in_flight = session.rows_in_flight();
            self.now.unreceipted = session.unreceipted();
            (self.now.line_bytes, self.now.waited) = (session.air.spent(), session.air.waited());
            self.show(state, session.faults(now).into_iter().chain(self.deaf.clone()).collect());

            let mut wake = heard + silence;
            let due = match phase {
                Phase::Open => session.due(),
                Phase::Draining { until } => session.due().into_iter().chain([until]).min(),
                Phase::Farewell | Phase::Leaving => None,
            };
            let subscribed_by = (!ready).then(|| connected + self.config.stall);
            for at in [due, deadline, subscribed_by].into_iter().flatten() {
                wake = wake.min(at);
            }
            let step = tokio::select! {
                event = link.event() => Step::Link(event),
                (read, rows) = reading.answer() => Step::Rows(read, rows),
                () = reporting.answer() => Step::Reported,
                () = self.changed.changed() => Step::More,
                () = self.status.changed() => Step::Changed(Document::Status),
                () = self.points.changed() => Step::Changed(Document::Points),
                Some(answer) = self.desk.answers.recv(), if session.takes_answers() && phase.sends() => Step::Answer(answer),
                () = self.stop.changed() => Step::Stop,
                () = sleep_until(wake.into()) => Step::Tick,
            };
            let now = Instant::now();
            match step {
                Step::Link(Ok(event)) => {
                    if event.is_heard() {
                        heard = now;
                    }
                    match self.hear(event, session, now) {
                        Ok(granted) => {
                            ready |= granted;
                            subscribing &= !granted;
                        }
                        Err(lost) => return End::Lost(lost),
                    }
                }
                Step::Link(Err(_)) if phase == Phase::Leaving => return End::Stopped,
                Step::Link(Err(lost)) => return End::Lost(lost),
                Step::Rows(read, rows) => session.rows(read, rows.unwrap_or_default()),
                Step::Reported | Step::Tick => {}
                Step::More => session.more(),
                Step::Changed(document) => session.document_changed(document),
                Step::Answer(answer) if session.send_answer(&answer, now) => link.answer(answer),
                Step::Answer(_) => tracing::warn!("an answer to the core is larger than it takes"),
                Step::Stop => {
                    let end = self.stop.value().unwrap_or(now);
                    let farewell = FAREWELL.min(end.saturating_duration_since(now) / 2);
                    deadline = Some(end);
                    phase = Phase::Draining { until: end - farewell };
                    session.stopping();
                }
            }
        }
    }

    /// Sends what may be sent: the documents first, for they are the birth.
    fn send(&mut self, link: &mut Link, session: &mut Session, ready: bool, now: Instant) {
        let online = || self.presence(Presence::Online, Goodbye::None);
        if let Some((topic, bytes)) = session.send_document(Document::Status, &self.topics, now, online) {
            link.publish(topic, bytes.into(), Retain::Yes);
        }
        let table = || self.points.value().encode();
        if let Some((topic, bytes)) = session.send_document(Document::Points, &self.topics, now, table) {
            link.publish(topic, bytes.into(), Retain::Yes);
        }
        while ready && let Some((topic, message)) = session.send(&self.topics, now) {
            self.now.sent += 1;
            self.now.bytes += u64::try_from(message.payload.len()).unwrap_or(u64::MAX);
            link.publish(topic, Bytes::from_owner(message.payload), Retain::No);
        }
    }
}
