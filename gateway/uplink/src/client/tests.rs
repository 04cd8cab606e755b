use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode, Publish, PublishProperties};
use rumqttc::v5::{Event as RawEvent, StateError};

use super::words::{disconnected, ended, event, foreign_puback, refused};
use crate::lost::Lost;
use crate::size::{answer_size, packet_size, payload_max};

#[test]
fn our_sum_of_a_packet_is_the_clients() {
    let topic = "curb/v1/pier/hub-7/data/meter";
    for len in [0, 1, 93, 94, 16_349, 16_350, 70_000, 2_097_117, 2_097_118] {
        for (first, content_type) in
            [(b'[', None), (0x82, Some("application/senml+cbor")), (0x78, Some("application/zlib"))]
        {
            let payload = vec![first; len];
            let content_type = content_type.filter(|_| len > 0).map(str::to_owned);
            let properties =
                content_type.map(|text| PublishProperties { content_type: Some(text), ..PublishProperties::default() });
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload.clone(), properties);
            publish.pkid = 1;
            assert_eq!(packet_size(topic.len(), &payload), publish.size(), "payload {len} of {first:#x}");
        }
    }
    for correlation in [0, 1, 124, 125, 65_535] {
        let correlation_data = Some(vec![0; correlation].into());
        let properties = PublishProperties { correlation_data, ..PublishProperties::default() };
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, vec![0; 90], Some(properties));
        publish.pkid = 1;
        assert_eq!(answer_size(topic.len(), Some(correlation), 90), publish.size(), "correlation {correlation}");
    }
}

#[test]
fn a_payload_that_is_told_to_fit_does_whatever_its_topic() {
    let name = "n".repeat(32);
    let topic = format!("curb/v1/{name}/{name}/alarm/{name}.{name}");
    for packet_max in [0_usize, 100, 200, 250, 2_000, 20_000, 131_072, 3_000_000, 268_435_455] {
        let len = payload_max(packet_max).min(70_000);
        assert!(len == 0 || packet_size(topic.len(), &vec![0x82; len]) <= packet_max, "{packet_max}");
        assert!(payload_max(packet_max) + 220 >= packet_max, "little is given away: {packet_max}");
    }
}

#[test]
fn a_puback_is_read_whatever_its_reason() {
    type Case = (&'static [u8], Option<(u16, u8, usize)>);
    let cases: [Case; 9] = [
        (&[0x40, 3, 1, 2, 0x95], Some((0x102, 0x95, 5))),
        (&[0x40, 3, 1, 2, 0x95, 0x40, 2], Some((0x102, 0x95, 5))),
        (&[0x40, 6, 0, 9, 0x8f, 2, 0x1f, 0], Some((9, 0x8f, 8))),
        // Left to rumqttc: reasons that it knows, packets that have not come whole, others.
        (&[0x40, 3, 1, 2, 0x97], None),
        (&[0x40, 2, 1, 2, 0x95], None),
        (&[0x40, 6, 0, 9, 0x8f, 2, 0x1f], None),
        (&[0x40, 3, 1, 2], None),
        (&[0x90, 3, 1, 2, 0x95], None),
        (&[], None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(foreign_puback(bytes), expected, "{bytes:x?}");
    }
}

#[test]
fn each_end_that_the_core_gives_a_reason_for_has_its_word() {
    let disconnect =
        |reason_code| ended(&StateError::ServerDisconnect { reason_code, reason_string: Some("because".into()) });
    let cases = [
        ("not-authorised", refused(ConnectReturnCode::NotAuthorized)),
        ("not-authorised", refused(ConnectReturnCode::Banned)),
        ("core-busy", refused(ConnectReturnCode::ServerBusy)),
        ("quota", refused(ConnectReturnCode::QuotaExceeded)),
        ("core-refuses", refused(ConnectReturnCode::UseAnotherServer)),
        ("taken-over", disconnect(DisconnectReasonCode::SessionTakenOver)),
        ("not-authorised", disconnect(DisconnectReasonCode::NotAuthorized)),
        ("core-busy", disconnect(DisconnectReasonCode::ServerShuttingDown)),
        ("core-refuses", disconnect(DisconnectReasonCode::PacketTooLarge)),
        ("core-silent", ended(&StateError::AwaitPingResp)),
        ("core-protocol", ended(&StateError::WrongPacket)),
        ("core-protocol", event(RawEvent::Outgoing(Outgoing::AwaitAck(7))).unwrap_err()),
        ("core-unreachable", Lost::closed()),
        ("core-unreachable", Lost::io(&std::io::ErrorKind::ConnectionReset.into())),
        ("core-unreachable", Lost::io(&std::io::ErrorKind::UnexpectedEof.into())),
    ];
    for (word, lost) in cases {
        assert_eq!(lost.word, word, "{lost:?}");
    }
    let taken_over = disconnected(DisconnectReasonCode::SessionTakenOver, Some("because"));
    assert!(taken_over.detail.contains("because") && taken_over.detail.contains("copied certificate"));
}
