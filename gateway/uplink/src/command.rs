//! Commands from the core, on their way to whoever executes them, and the way back of their answers.
//!
//! ```text
//! broker ──cmd/<name>──► take ──Command──► the daemon
//!        ◄──response topic── run ◄──Answer──┘
//! ```
//!
//! Here a command is a name and bytes. Two things are decided: whether it can be handed over at all (if not it is answered at
//! once), and whether its answer may go where it asks for it. Deliberately absent: what a command means, whether it is
//! allowed or has been done before (the daemon's), and any memory: what the core sent while the hub was away is gone, for the
//! session ends with its connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use curb_model::Name;
use curb_wire::command::{Answer as Document, Outcome, Refusal};
use curb_wire::record::Document as _;
use curb_wire::topic::{Address, Kind, Topics};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::client::Incoming;

/// Commands that wait for the daemon. It starts them at once while fewer than as many are under way; a core that sends more
/// than these together is told `full`.
pub const COMMANDS: usize = 16;

/// Answers that wait for the connection: of all commands under way, and as many that the daemon cannot be asked.
const ANSWERS: usize = 4 * COMMANDS;

/// A command from the core.
#[derive(Debug)]
pub struct Command {
    /// The last level of its topic.
    pub name: Box<str>,
    /// Its bytes.
    pub payload: Bytes,
    /// Its correlation data.
    pub correlation: Option<Bytes>,
    /// When the core wants it forgotten (MQTT 5, 3.3.2.3.3).
    pub expires: Option<Instant>,
    /// Whether the broker kept it for whoever comes: then nobody knows how old it is.
    pub retained: bool,
    /// Where its answer goes.
    pub reply_to: ReplyTo,
    /// The way back.
    pub answers: mpsc::Sender<Answer>,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    /// Nobody asked for one.
    Nobody,
    /// To this topic.
    Topic(Box<str>),
    /// To a topic of ours, or to none at all: it is not sent.
    Unusable(Box<str>),
}

impl Command {
    /// A command that comes from elsewhere than a broker, for whoever tests what executes them; its answers go to `answers`.
    #[must_use]
    pub fn new(name: &str, payload: impl Into<Bytes>, answers: mpsc::Sender<Answer>) -> Self {
        Self {
            name: name.into(),
            payload: payload.into(),
            correlation: None,
            expires: None,
            retained: false,
            reply_to: ReplyTo::Topic("reply".into()),
            answers,
        }
    }

    /// Publishes the answer with the next connection that stands, if one was asked for. Nothing is waited for: when too many
    /// wait, or the uplink has been stopped, this one is lost, and the core asks again.
    pub fn answer(&self, payload: Vec<u8>) {
        let ReplyTo::Topic(topic) = &self.reply_to else { return };
        let answer = Answer { topic: topic.clone(), correlation: self.correlation.clone(), payload: payload.into() };
        if self.answers.try_send(answer).is_err() {
            tracing::warn!(topic = &**topic, "an answer to the core is lost: too many wait, or the uplink was stopped");
        }
    }
}

/// An answer on its way to the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where to.
    pub topic: Box<str>,
    /// The request's.
    pub correlation: Option<Bytes>,
    /// Its bytes.
    pub payload: Bytes,
}

/// Where commands come in and answers go out.
#[derive(Debug)]
pub(crate) struct Desk {
    hub: Name,
    commands: mpsc::Sender<Command>,
    answers_in: mpsc::Sender<Answer>,
    pub(crate) answers: mpsc::Receiver<Answer>,
}

/// What became of a command here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The daemon has it.
    HandedOver,
    /// Nobody takes it; answered.
    Refused,
    /// It is none.
    NotACommand,
}

impl Desk {
    pub(crate) fn new(hub: Name, commands: mpsc::Sender<Command>) -> Self {
        let (answers_in, answers) = mpsc::channel(ANSWERS);
        Self { hub, commands, answers_in, answers }
    }

    /// Takes what came on a topic of this hub.
    pub(crate) fn take(&self, incoming: Incoming, topics: &Topics, now: Instant) -> Taken {
        let Some(Address { kind: Kind::Command(name), .. }) = Address::parse(&incoming.topic) else {
            return Taken::NotACommand;
        };
        let reply_to = match incoming.response_topic {
            None => ReplyTo::Nobody,
            Some(topic) if topics.takes_replies(&topic) => ReplyTo::Topic(topic.into()),
            Some(topic) => ReplyTo::Unusable(topic.into()),
        };
        let command = Command {
            name: name.into(),
            payload: incoming.payload,
            correlation: incoming.correlation,
            expires: incoming.expiry_s.map(|seconds| now + Duration::from_secs(seconds.into())),
            retained: incoming.retained,
            reply_to,
            answers: self.answers_in.clone(),
        };
        let (command, word, detail) = match self.commands.try_send(command) {
            Ok(()) => return Taken::HandedOver,
            Err(TrySendError::Full(command)) => (command, "full", "too many commands are under way"),
            Err(TrySendError::Closed(command)) => (command, "stopped", "the hub is about to stop"),
        };
        tracing::warn!(command = &*command.name, word, "a command is refused");
        let refusal = Refusal { word: word.to_owned(), detail: detail.to_owned() };
        let outcome = Outcome { point: None, value: None, result: Err(refusal), time_ms: None };
        command.answer(Document { hub: self.hub.to_string(), outcome }.encode());
        Taken::Refused
    }
}

#[cfg(test)]
mod tests;
