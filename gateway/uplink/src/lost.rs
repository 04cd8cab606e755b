//! Why there is no connection, or not any more: the form that every cause takes on its way to the faults.

use std::io;

use curb_identity::Refusal;

/// How far a try came: what it has cost on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reached {
    /// Nobody spoke TLS: next to nothing.
    #[default]
    Nobody,
    /// A handshake, which was not to its end.
    Handshake,
    /// The core: CONNECT was sent, or everything before it.
    Core,
}

/// Why a connection is over, or was never made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Stable word of the fault.
    pub(crate) word: &'static str,
    /// For people.
    pub(crate) detail: String,
    /// What the core said of a message, without naming it.
    pub(crate) code: Option<u8>,
    /// How far it came.
    pub(crate) reached: Reached,
}

impl Lost {
    pub(crate) fn new(word: &'static str, detail: impl Into<String>) -> Self {
        Self { word, detail: detail.into(), code: None, reached: Reached::default() }
    }

    /// It came this far.
    pub(crate) fn at(self, reached: Reached) -> Self {
        Self { reached, ..self }
    }

    /// The end of a stream. A refusal of TLS 1.3 comes with the first bytes that are read.
    pub(crate) fn io(error: &io::Error) -> Self {
        if let Some(refusal) = Refusal::find(error) {
            return Self::new(refusal.word(), refusal.to_string());
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::closed();
        }
        Self::new("core-unreachable", error.to_string())
    }

    /// The core closed the connection, and did not say why.
    pub(crate) fn closed() -> Self {
        Self::new("core-unreachable", "the core closed the connection")
    }
}
