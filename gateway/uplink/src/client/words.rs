//! What rumqttc says, in our words. Pure.

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason, Publish, SubscribeReasonCode,
};
use rumqttc::v5::{Event as RawEvent, StateError};

use super::{Event, Incoming};
use crate::lost::Lost;
use crate::reason;

/// What a packet tells, if anything.
#[expect(clippy::wildcard_enum_match_arm, reason = "packets that a client never gets or that say nothing")]
pub(super) fn event(raw: RawEvent) -> Result<Option<Event>, Lost> {
    Ok(Some(match raw {
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
        RawEvent::Incoming(Packet::PingResp(_)) => Event::Alive,
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

/// The PUBACK at the head of `bytes`, if it is whole and its reason is none that MQTT 5 has for one (3.4.2.1), such as 0x95:
/// its packet id, its reason and its length. rumqttc takes it for the end of the connection, and does not say of which
/// message it spoke.
pub(super) fn foreign_puback(bytes: &[u8]) -> Option<(u16, u8, usize)> {
    const KNOWN: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let [0x40, rest @ 3..=127, high, low, code, ..] = *bytes else { return None };
    let len = 2 + usize::from(rest);
    let is_foreign = bytes.len() >= len && !KNOWN.contains(&code);
    is_foreign.then(|| (u16::from_be_bytes([high, low]), code, len))
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

/// Words for an end that the packets brought.
pub(super) fn ended(error: &StateError) -> Lost {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; the rest is told as it is")]
    match error {
        StateError::ServerDisconnect { reason_code, reason_string } => {
            disconnected(*reason_code, reason_string.as_deref())
        }
        StateError::AwaitPingResp => Lost::new("core-silent", "the core does not answer pings"),
        other => Lost::new("core-protocol", other.to_string()),
    }
}

/// The CONNACK refused.
pub(super) fn refused(code: ConnectReturnCode) -> Lost {
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
pub(super) fn disconnected(code: DisconnectReasonCode, text: Option<&str>) -> Lost {
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
    let lost = Lost::new(word, format!("the core ended the connection ({code:?}{text}){hint}"));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is no word on a message")]
    match code {
        D::PacketTooLarge => Lost { code: Some(reason::PACKET_TOO_LARGE), ..lost },
        D::TopicNameInvalid => Lost { code: Some(0x90), ..lost },
        D::PayloadFormatInvalid => Lost { code: Some(0x99), ..lost },
        _ => lost,
    }
}
