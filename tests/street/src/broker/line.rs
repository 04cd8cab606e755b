//! One connection of the broker: bytes in, what the hall says, bytes out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use super::fault::{Fault, Then};
use super::hall::{Entry, Hall, is_data};
use super::packet::{self, Packet, Publish};

/// Bytes read at once. Fewer than a message has, so that there is a middle of a packet to stop in.
const READ: usize = 128;

/// How long a connection is read on after a DISCONNECT.
const LINGER: Duration = Duration::from_secs(1);

/// The hall, as connections and whoever plays with it hold it.
pub(super) type SharedHall = Arc<Mutex<Hall>>;

pub(super) fn lock(hall: &SharedHall) -> MutexGuard<'_, Hall> {
    hall.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client, from its CONNECT on.
struct Line {
    hall: SharedHall,
    client: String,
    entry: Entry,
    /// Data messages that have come.
    count: u64,
    /// A fault that this connection has met and keeps.
    met: Option<Fault>,
    /// Acknowledgements: when, of which message, with which code.
    owed: Vec<(Instant, u16, u8)>,
    /// Messages that are not acknowledged.
    open: u64,
    /// Nothing is read any more.
    deaf: bool,
}

/// What a packet comes to.
enum Heard {
    Say(Vec<u8>),
    Close(Vec<u8>),
}

impl Line {
    /// What is sent for a packet.
    fn hear(&mut self, packet: Packet, size: usize, now: Instant) -> Heard {
        Heard::Say(match packet {
            Packet::Publish(message) => return self.publish(&message, size, now),
            Packet::PubAck { id } => {
                lock(&self.hall).acked(&self.client, id);
                Vec::new()
            }
            Packet::Subscribe { id, filters } => {
                let answer = packet::suback(id, filters.len());
                lock(&self.hall).subscribe(&self.client, filters);
                answer
            }
            Packet::PingReq => packet::pingresp(),
            Packet::Disconnect => return Heard::Close(Vec::new()),
            // A second CONNECT (3.1.0-2).
            Packet::Connect(_) => return Heard::Close(packet::disconnect(0x82)),
        })
    }

    fn publish(&mut self, message: &Publish, size: usize, now: Instant) -> Heard {
        let mut hall = lock(&self.hall);
        if let Some(violation) = self.violation(size) {
            hall.violated(violation);
            return Heard::Close(packet::disconnect(0x82));
        }
        let fault = if self.entry.is_victim && is_data(&message.topic) {
            hall.heard(self.entry.number, now);
            let fault = self.met.or(hall.fault());
            self.met = fault.filter(|fault| fault.stays());
            fault
        } else {
            None
        };
        let Some(fault) = fault else {
            let code = if hall.publish(&self.client, message) { 0x00 } else { 0x10 };
            drop(hall);
            self.open += u64::from(message.id.is_some());
            self.owed.extend(message.id.map(|id| (now, id, code)));
            return Heard::Say(Vec::new());
        };
        let treatment = hall.treat(fault, self.entry.number, self.count, size, now);
        self.count += 1;
        let mut code = treatment.code;
        if treatment.pass_on && !hall.publish(&self.client, message) {
            code = 0x10;
        }
        drop(hall);
        self.open += 1;
        self.owed.extend(
            message.id.into_iter().flat_map(|id| treatment.acks.iter().map(move |wait| (now + *wait, id, code))),
        );
        match treatment.then {
            Then::GoOn => Heard::Say(Vec::new()),
            Then::Deaf => {
                self.deaf = true;
                Heard::Say(Vec::new())
            }
            Then::Disconnect(code) => Heard::Close(packet::disconnect(code)),
            Then::Close => Heard::Close(Vec::new()),
        }
    }

    /// What CONNACK forbade.
    fn violation(&self, size: usize) -> Option<String> {
        let Entry { receive_max, packet_max, .. } = self.entry;
        if receive_max.is_some_and(|max| self.open >= u64::from(max)) {
            return Some(format!("{} messages in flight, {receive_max:?} allowed", self.open + 1));
        }
        let too_large = packet_max.is_some_and(|max| size > usize::try_from(max).unwrap_or(usize::MAX));
        too_large.then(|| format!("a packet of {size} bytes, {packet_max:?} allowed"))
    }

    /// Acknowledgements whose time has come.
    fn due(&mut self, now: Instant) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.owed.sort_by_key(|(at, _, _)| *at);
        while self.owed.first().is_some_and(|(at, _, _)| *at <= now) {
            let (_, id, code) = self.owed.remove(0);
            self.open = self.open.saturating_sub(1);
            bytes.extend(packet::puback(id, code));
        }
        bytes
    }

    /// Messages for the client.
    fn waiting(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut hall = lock(&self.hall);
        while let Some((id, message)) = hall.next(&self.client, self.entry.number) {
            bytes.extend(packet::publish(&message, id));
        }
        bytes
    }

    /// Whether the middle of a packet is where this broker stops reading.
    fn stops_here(&mut self, buffer: &[u8], now: Instant) -> bool {
        if !self.entry.is_victim || self.count == 0 || !packet::ends_inside_publish(buffer) {
            return false;
        }
        let mut hall = lock(&self.hall);
        if hall.fault() != Some(Fault::StopsReading) {
            return false;
        }
        hall.treat(Fault::StopsReading, self.entry.number, self.count, buffer.len(), now);
        true
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, hall: SharedHall) {
    let mut buffer = Vec::new();
    let Some(connect) = first(&mut stream, &mut buffer).await else { return };
    let entry = lock(&hall).enter(&connect);
    let Entry { number, session_present, receive_max, packet_max, .. } = entry;
    let door = entry.door.clone();
    let client = connect.client;
    let mut line = Line {
        hall: Arc::clone(&hall),
        client: client.clone(),
        entry,
        count: 0,
        met: None,
        owed: Vec::new(),
        open: 0,
        deaf: false,
    };
    let hello = packet::connack(session_present, receive_max, packet_max);
    if stream.write_all(&hello).await.is_ok() {
        tokio::select! {
            () = converse(&mut stream, &mut buffer, &mut line) => {}
            () = door.cut.cancelled() => {}
        }
    }
    lock(&hall).leave(&client, number);
}

/// The CONNECT that must come first.
async fn first<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<packet::Connect> {
    loop {
        match packet::take(buffer) {
            Ok(Some((Packet::Connect(connect), _))) => return Some(connect),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return None,
        }
        if read(stream, buffer).await == 0 {
            return None;
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, line: &mut Line) {
    let wake = Arc::clone(&line.entry.door.wake);
    loop {
        let mut out = Vec::new();
        let mut ends = false;
        while !line.deaf && !ends {
            match packet::take(buffer) {
                Ok(Some((packet, size))) => match line.hear(packet, size, Instant::now()) {
                    Heard::Say(bytes) => out.extend(bytes),
                    Heard::Close(bytes) => {
                        out.extend(bytes);
                        ends = true;
                    }
                },
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, client = line.client, "a client ends");
                    ends = true;
                }
            }
        }
        line.deaf |= line.stops_here(buffer, Instant::now());
        if !ends && !line.deaf {
            out.extend(line.due(Instant::now()));
            out.extend(line.waiting());
        }
        if !out.is_empty() && stream.write_all(&out).await.is_err() {
            return;
        }
        if ends {
            // Closed over unread bytes, the socket would take back what was said last.
            if !out.is_empty() && stream.shutdown().await.is_ok() {
                drop(timeout(LINGER, async { while read(stream, &mut Vec::new()).await > 0 {} }).await);
            }
            return;
        }
        let due = line.owed.iter().map(|(at, _, _)| *at).min().filter(|_| !line.deaf);
        tokio::select! {
            count = read(stream, buffer), if !line.deaf => if count == 0 { return },
            () = wake.notified() => {}
            () = async { sleep_until(due.expect("looked at").into()).await }, if due.is_some() => {}
        }
    }
}

/// Reads a little; 0 at the end, of whatever kind.
///
/// # Cancel safety
/// Cancel safe: what has been read is in the buffer.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> usize {
    let mut some = [0; READ];
    let count = stream.read(&mut some).await.unwrap_or(0);
    buffer.extend_from_slice(&some[..count]);
    count
}
