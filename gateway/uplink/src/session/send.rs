//! Sending: the next row, document or answer that may go. It is in flight from there.

use std::time::Instant;

use curb_model::{Class, Message};
use curb_wire::topic::Topics;

use super::{ANSWERS_IN_FLIGHT, Document, Sent, Session};
use crate::command::Answer;
use crate::config::Ack;
use crate::gates::Passage;
use crate::reason;
use crate::receipts::UNRECEIPTED_MAX;
use crate::retained::Retained;
use crate::size::{answer_size, packet_size};

impl Session {
    /// The next row to send, with its topic, if one may be sent now: an alarm, if there is one. It is in flight from here.
    pub(crate) fn send(&mut self, topics: &Topics, now: Instant) -> Option<(String, Message)> {
        self.send_of(Class::Alarm, topics, now).or_else(|| self.send_of(Class::Data, topics, now))
    }

    fn send_of(&mut self, class: Class, topics: &Topics, now: Instant) -> Option<(String, Message)> {
        if self.hold.holds() || !self.doubt.allows(self.flight.len()) {
            return None;
        }
        let packet_max = self.packet_max(now);
        loop {
            if self.rows_in_flight >= self.window || self.receipts.len() >= UNRECEIPTED_MAX {
                return None;
            }
            if class == Class::Data && self.data.queue.is_empty() {
                self.air.nothing_waits();
            }
            let message = self.reader(class).queue.front()?;
            let topic = (message.lane, message.stream.clone());
            let passage = self.gates.passage(&topic);
            if passage == Passage::Wait {
                return None;
            }
            if class == Class::Data && !self.air.allows(now) {
                return None;
            }
            let message = self.reader(class).queue.pop_front()?;
            // Its number is in a gap, and receipts cover gaps: of a released message only the broker tells.
            let ends = if message.is_released() { Ack::Broker } else { self.ack };
            let covered = ends == Ack::Core && self.receipts.covers(message.run, &message.stream, message.seq);
            if passage == Passage::Skip || covered {
                continue;
            }
            let address = topics.lane(message.lane, &message.stream);
            let size = packet_size(address.len(), &message.payload);
            if size > packet_max {
                self.set_aside(message.row, reason::PACKET_TOO_LARGE);
                continue;
            }
            self.air.published(size, now);
            self.gates.sent(&topic);
            self.rows_in_flight += 1;
            let (row, run, seq) = (message.row, message.run, message.seq);
            self.launch(Sent::Row { row, topic, run, seq, size, ends, at: now }, size, now);
            return Some((address, message));
        }
    }

    /// A retained document has changed.
    pub(crate) const fn document_changed(&mut self, document: Document) {
        self.retained(document).changed();
    }

    /// Renders this document, if it is to be sent now, and returns it with its topic. It is in flight from here.
    pub(crate) fn send_document(
        &mut self,
        document: Document,
        topics: &Topics,
        now: Instant,
        render: impl FnOnce() -> Vec<u8>,
    ) -> Option<(String, Vec<u8>)> {
        if !self.doubt.allows(self.flight.len()) || !self.retained(document).take(now) {
            return None;
        }
        let topic = match document {
            Document::Status => topics.status(),
            Document::Points => topics.points(),
        };
        let bytes = render();
        let size = packet_size(topic.len(), &bytes);
        if size > self.packet_max(now) {
            self.retained(document).too_large();
            return None;
        }
        self.air.published(size, now);
        self.launch(Sent::Document(document), size, now);
        Some((topic, bytes))
    }

    /// Whether one more answer may be sent.
    pub(crate) fn takes_answers(&self) -> bool {
        self.answers_in_flight < ANSWERS_IN_FLIGHT && self.doubt.allows(self.flight.len())
    }

    /// Whether this answer is to be sent: not one that is larger than the broker takes. It is in flight from here.
    pub(crate) fn send_answer(&mut self, answer: &Answer, now: Instant) -> bool {
        let correlation = answer.correlation.as_ref().map(|data| data.len());
        let size = answer_size(answer.topic.len(), correlation, answer.payload.len());
        let fits = size <= self.packet_max(now);
        if fits {
            self.air.published(size, now);
            self.answers_in_flight += 1;
            self.launch(Sent::Answer, size, now);
        }
        fits
    }

    /// The last status of a clean stop goes out, whatever the pace.
    pub(crate) fn farewell(&mut self, now: Instant) {
        self.launch(Sent::Document(Document::Status), 0, now);
    }

    /// How large packets are to be made, if there is such a limit: what the broker told, or was learned the hard way.
    pub(crate) fn told_packet_max(&self, now: Instant) -> Option<usize> {
        Some(self.packet_max).filter(|max| *max < usize::MAX).into_iter().chain(self.doubt.make_max(now)).min()
    }

    fn packet_max(&self, now: Instant) -> usize {
        self.doubt.packet_max(now).map_or(self.packet_max, |learned| learned.min(self.packet_max))
    }

    fn launch(&mut self, sent: Sent, size: usize, now: Instant) {
        self.last_size = size;
        if self.flight.len() == 0 {
            self.progress = now;
        }
        self.flight.sent(sent);
    }

    pub(super) const fn retained(&mut self, document: Document) -> &mut Retained {
        match document {
            Document::Status => &mut self.status,
            Document::Points => &mut self.points,
        }
    }
}
