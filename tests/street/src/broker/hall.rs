//! What all connections of the broker share: who sits where, what waits for whom, and which fault is on. Pure: it moves
//! messages between tables, and time is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fault::{ASLEEP_MAX, Fault, Then, Treatment};
use super::packet::{Connect, Publish};

/// The level of a topic that makes it data, which faults are about: `curb/v1/<site>/<hub>/data/<stream>`.
const LANE: usize = 4;

/// All of it.
#[derive(Debug)]
pub(super) struct Hall {
    /// The client that is treated badly.
    victim: String,
    fault: Option<Fault>,
    bites: u64,
    violations: Vec<String>,
    seats: BTreeMap<String, Seat>,
    connections: u64,
    /// Since when the victim waits for an acknowledgement that will not come, and on which connection.
    owing: Option<(u64, Instant)>,
    stalls: Vec<Duration>,
}

/// A client, connected or expected.
#[derive(Debug, Default)]
struct Seat {
    filters: Vec<String>,
    queue: VecDeque<Publish>,
    flight: VecDeque<(u16, Publish)>,
    receive_max: usize,
    last_id: u16,
    connection: Option<(u64, Door)>,
}

/// A connection, seen from the hall.
#[derive(Debug, Clone, Default)]
pub(super) struct Door {
    /// Something waits for it.
    pub(super) wake: Arc<Notify>,
    /// It is to end.
    pub(super) cut: CancellationToken,
}

/// What a client is told when it comes in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) door: Door,
    pub(super) session_present: bool,
    pub(super) receive_max: Option<u16>,
    pub(super) packet_max: Option<u32>,
    pub(super) is_victim: bool,
}

impl Hall {
    pub(super) fn new(victim: &str) -> Self {
        Self {
            victim: victim.to_owned(),
            fault: None,
            bites: 0,
            violations: Vec::new(),
            seats: BTreeMap::new(),
            connections: 0,
            owing: None,
            stalls: Vec::new(),
        }
    }

    // Whoever plays with it.

    pub(super) fn behave(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.bites = 0;
        let Some(seat) = self.seats.get_mut(&self.victim) else { return };
        if fault == Fault::SubscriptionLost {
            seat.filters.clear();
        }
        if fault.limits() != (None, None) {
            seat.cut();
        }
    }

    pub(super) fn heal(&mut self) {
        let Some(fault) = self.fault.take() else { return };
        if fault == Fault::SessionLost {
            self.seats.values().for_each(Seat::cut);
            self.seats.clear();
        }
        if fault.limits() != (None, None)
            && let Some(seat) = self.seats.get(&self.victim)
        {
            seat.cut();
        }
        self.seats.values().for_each(Seat::wake);
    }

    pub(super) const fn bites(&self) -> u64 {
        self.bites
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(super) fn stalls(&self) -> &[Duration] {
        &self.stalls
    }

    pub(super) fn subscribers(&self) -> usize {
        self.seats.values().filter(|seat| !seat.filters.is_empty()).count()
    }

    // Connections.

    /// A client connects; one of the same name is cut.
    pub(super) fn enter(&mut self, connect: &Connect) -> Entry {
        self.connections += 1;
        let (number, door) = (self.connections, Door::default());
        let is_victim = connect.client == self.victim;
        let before = self.seats.remove(&connect.client);
        if let Some(before) = &before {
            before.cut();
        }
        let session_present = before.is_some() && !connect.clean_start;
        let mut seat = before.filter(|_| session_present).unwrap_or_default();
        // What was on its way and not acknowledged goes again.
        let again: Vec<Publish> = seat.flight.drain(..).map(|(_, message)| message).collect();
        again.into_iter().rev().for_each(|message| seat.queue.push_front(message));
        seat.receive_max = usize::from(connect.receive_max);
        seat.connection = Some((number, door.clone()));
        self.seats.insert(connect.client.clone(), seat);
        let (receive_max, packet_max) = self.fault.filter(|_| is_victim).map_or((None, None), |fault| fault.limits());
        Entry { number, door, session_present, receive_max, packet_max, is_victim }
    }

    /// A connection is over. Its session stays for whoever comes back with it.
    pub(super) fn leave(&mut self, client: &str, number: u64) {
        if let Some(seat) = self.seats.get_mut(client)
            && seat.connection.as_ref().is_some_and(|(now, _)| *now == number)
        {
            seat.connection = None;
        }
    }

    pub(super) fn subscribe(&mut self, client: &str, filters: Vec<String>) {
        if let Some(seat) = self.seats.get_mut(client) {
            seat.filters.retain(|old| !filters.contains(old));
            seat.filters.extend(filters);
            seat.wake();
        }
    }

    // Messages.

    /// The fault that a message of the victim meets, if it is on.
    pub(super) const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// How to treat a data message of the victim: the `count`-th of its connection.
    pub(super) fn treat(&mut self, fault: Fault, number: u64, count: u64, size: usize, now: Instant) -> Treatment {
        let treatment = fault.treat(count, self.bites, size);
        let well = Treatment { pass_on: true, code: 0, acks: vec![Duration::ZERO], then: Then::GoOn };
        // A sleeping subscriber's queue counts what it drops.
        if treatment != well || matches!(fault, Fault::SessionLost | Fault::SubscriptionLost | Fault::PacketSizeSmall) {
            self.bites += 1;
        }
        if treatment.acks.is_empty() && treatment.code == 0 && self.owing.is_none() {
            self.owing = Some((number, now));
        }
        treatment
    }

    /// The victim has sent a data message: if it was left waiting on an earlier connection, that is over.
    pub(super) fn heard(&mut self, number: u64, now: Instant) {
        if let Some((_, since)) = self.owing.take_if(|(before, _)| *before < number) {
            self.stalls.push(now.saturating_duration_since(since));
        }
    }

    /// The victim has done what it was told not to do.
    pub(super) fn violated(&mut self, how: String) {
        self.violations.push(how);
    }

    /// Passes a message on to whoever wants it; whether anybody does.
    pub(super) fn publish(&mut self, from: &str, message: &Publish) -> bool {
        let mut taken = false;
        for (client, seat) in &mut self.seats {
            if client == from || !seat.filters.iter().any(|filter| matches(filter, &message.topic)) {
                continue;
            }
            taken = true;
            if self.fault == Some(Fault::SleepingSubscriber) && *client != self.victim && seat.queue.len() >= ASLEEP_MAX
            {
                self.bites += 1;
                continue;
            }
            seat.queue.push_back(message.clone());
            seat.wake();
        }
        taken
    }

    /// The next message for a client, with its packet id.
    pub(super) fn next(&mut self, client: &str, number: u64) -> Option<(u16, Publish)> {
        if client != self.victim && self.fault.is_some_and(Fault::is_asleep) {
            return None;
        }
        let seat = self.seats.get_mut(client)?;
        if seat.connection.as_ref()?.0 != number || seat.flight.len() >= seat.receive_max {
            return None;
        }
        let message = seat.queue.pop_front()?;
        let is_free = |id: u16| id != 0 && seat.flight.iter().all(|(used, _)| *used != id);
        let id = (1..=u16::MAX).map(|step| seat.last_id.wrapping_add(step)).find(|id| is_free(*id))?;
        seat.last_id = id;
        seat.flight.push_back((id, message.clone()));
        Some((id, message))
    }

    pub(super) fn acked(&mut self, client: &str, id: u16) {
        if let Some(seat) = self.seats.get_mut(client) {
            seat.flight.retain(|(sent, _)| *sent != id);
            seat.wake();
        }
    }
}

impl Seat {
    fn cut(&self) {
        if let Some((_, door)) = &self.connection {
            door.cut.cancel();
        }
    }

    fn wake(&self) {
        if let Some((_, door)) = &self.connection {
            door.wake.notify_one();
        }
    }
}

/// Whether faults are about messages of this topic.
pub(super) fn is_data(topic: &str) -> bool {
    topic.split('/').nth(LANE) == Some("data")
}

/// Whether a filter (4.7.1) wants a topic.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
