//! What a PUBACK means for the row it answers: one table.

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// At least one subscriber has it.
    Taken,
    /// Nobody subscribes. Not delivery.
    Nobody,
    /// Wrong in itself: it would be refused for ever.
    Message,
    /// Wrong with this connection, these rights or this broker: the same message may pass later. Whatever is not known
    /// to be the message's own fault is taken for this, so that a typo in a broker's rules never loses data.
    Session,
}

/// Too large for the broker, which would close the connection: known before it is sent.
pub(crate) const PACKET_TOO_LARGE: u8 = 0x95;

/// What this reason code means.
pub(crate) const fn verdict(code: u8) -> Verdict {
    match code {
        0x00 => Verdict::Taken,
        0x10 => Verdict::Nobody,
        0x90 | PACKET_TOO_LARGE | 0x99 => Verdict::Message,
        _ => Verdict::Session,
    }
}

/// The fault's word for a code that is a session's fault.
pub(crate) const fn word(code: u8) -> &'static str {
    match code {
        0x87 => "not-authorised",
        0x97 => "quota",
        _ => "core-refuses",
    }
}

/// The name of a PUBACK's reason code in the standard (MQTT 5, 3.4.2.1).
#[must_use]
pub const fn name(code: u8) -> &'static str {
    match code {
        0x80 => "unspecified error",
        0x83 => "implementation specific error",
        0x87 => "not authorized",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        PACKET_TOO_LARGE => "packet too large",
        0x97 => "quota exceeded",
        0x99 => "payload format invalid",
        _ => "reason unknown",
    }
}
