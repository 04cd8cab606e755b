//! The broker's bytes and its manners.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::fault::Fault;
use super::hall::{Hall, matches};
use super::packet::{self, Connect, Packet, Publish, Unreadable};

#[test]
fn packets_are_read_as_the_standard_has_them() {
    let check = |bytes: &[u8], expected: Packet| {
        let mut buffer = [bytes, &[0xC0]].concat();
        assert_eq!(packet::take(&mut buffer), Ok(Some((expected, bytes.len()))));
        assert_eq!(buffer, [0xC0], "what is behind it stays");
        for end in 0..bytes.len() {
            assert_eq!(packet::take(&mut bytes[..end].to_vec()), Ok(None), "of {end} bytes");
        }
    };
    let connect = Connect { client: "a".to_owned(), clean_start: true, receive_max: 16 };
    let properties = [0x11, 0, 0, 0, 9, 0x21, 0, 16, 0x22, 0, 0];
    let bytes = [&[0x10, 25, 0, 4], &b"MQTT"[..], &[5, 2, 0, 30, 11], &properties, &[0, 1, b'a']].concat();
    check(&bytes, Packet::Connect(connect));
    let publish = Publish { topic: "t".to_owned(), id: Some(7), properties: vec![1, 1], payload: b"xy".to_vec() };
    check(&[0x32, 10, 0, 1, b't', 0, 7, 2, 1, 1, b'x', b'y'], Packet::Publish(publish));
    check(&[0x40, 2, 0, 7], Packet::PubAck { id: 7 });
    check(&[0x40, 4, 0, 7, 0, 0], Packet::PubAck { id: 7 });
    check(&[0x82, 7, 0, 9, 0, 0, 1, b'#', 1], Packet::Subscribe { id: 9, filters: vec!["#".to_owned()] });
    check(&[0xC0, 0], Packet::PingReq);
    check(&[0xE0, 0], Packet::Disconnect);
}

#[test]
fn what_no_client_may_send_is_refused() {
    for bytes in [&[0x00, 0][..], &[0x34, 4, 0, 1, b't', 0], &[0x10, 2, 0, 0], &[0xC0, 0xFF, 0xFF, 0xFF, 0xFF]] {
        assert_eq!(packet::take(&mut bytes.to_vec()), Err(Unreadable { first: bytes[0] }));
    }
}

#[test]
fn answers_are_the_standards_bytes() {
    let check = |bytes: Vec<u8>, expected: &[u8]| assert_eq!(bytes, expected);
    check(packet::connack(false, None, None), &[0x20, 3, 0, 0, 0]);
    check(packet::connack(true, Some(1), Some(1024)), &[0x20, 11, 1, 0, 8, 0x21, 0, 1, 0x27, 0, 0, 4, 0]);
    check(packet::puback(7, 0x95), &[0x40, 3, 0, 7, 0x95]);
    check(packet::suback(9, 2), &[0x90, 5, 0, 9, 0, 1, 1]);
    check(packet::pingresp(), &[0xD0, 0]);
    check(packet::disconnect(0x95), &[0xE0, 1, 0x95]);
}

proptest! {
    #[test]
    fn what_is_passed_on_is_what_came(topic in "[a-z/]{1,40}", properties in proptest::collection::vec(any::<u8>(), 0..200),
        payload in proptest::collection::vec(any::<u8>(), 0..20_000), id in 1_u16..) {
        let message = Publish { topic, id: Some(id), properties, payload };
        let mut bytes = packet::publish(&message, id);
        let size = bytes.len();
        prop_assert_eq!(packet::take(&mut bytes), Ok(Some((Packet::Publish(message), size))));
        prop_assert!(bytes.is_empty());
    }
}

#[test]
fn filters_want_what_the_standard_says() {
    let check = |filter, topic, wanted| assert_eq!(matches(filter, topic), wanted, "{filter} {topic}");
    check("curb/v1/+/+/#", "curb/v1/site/hub/data/meter", true);
    check("curb/v1/+/+/#", "curb/v1/site/hub", true);
    check("curb/v1/site/hub/receipt", "curb/v1/site/hub/receipt", true);
    check("curb/v1/site/hub/cmd/+", "curb/v1/site/hub/cmd/write/now", false);
    check("a/b", "a", false);
    check("a", "a/b", false);
}

const HUB: &str = "hub";

/// A hall with the hub and an ingester that wants everything; both numbers.
fn hall() -> (Hall, u64, u64) {
    let mut hall = Hall::new(HUB);
    let connect = |client: &str| Connect { client: client.to_owned(), clean_start: client == HUB, receive_max: 8 };
    let [hub, ingester] = [HUB, "ingester"].map(|client| hall.enter(&connect(client)).number);
    hall.subscribe("ingester", vec!["#".to_owned()]);
    (hall, hub, ingester)
}

fn message(number: u8) -> Publish {
    Publish { topic: "t".to_owned(), id: Some(1), properties: Vec::new(), payload: vec![number] }
}

#[test]
fn a_sleeping_subscriber_gets_what_its_queue_held() {
    let (mut hall, _, ingester) = hall();
    hall.behave(Fault::SleepingSubscriber);
    for number in 0..8 {
        assert!(hall.publish(HUB, &message(number)), "taken, whatever becomes of it");
    }
    assert_eq!(hall.next("ingester", ingester), None, "it sleeps");
    assert_eq!(hall.bites(), 3);
    hall.heal();
    let held: Vec<u8> = std::iter::from_fn(|| hall.next("ingester", ingester)).map(|(_, m)| m.payload[0]).collect();
    assert_eq!(held, [0, 1, 2, 3, 4]);
}

#[test]
fn what_a_client_did_not_acknowledge_goes_again_to_the_session_that_it_kept() {
    let (mut hall, _, ingester) = hall();
    for number in 0..3 {
        hall.publish(HUB, &message(number));
    }
    let ids: Vec<u16> = std::iter::from_fn(|| hall.next("ingester", ingester)).map(|(id, _)| id).collect();
    hall.acked("ingester", ids[1]);
    hall.leave("ingester", ingester);
    let back = hall.enter(&Connect { client: "ingester".to_owned(), clean_start: false, receive_max: 8 });
    assert!(back.session_present);
    let again: Vec<u8> = std::iter::from_fn(|| hall.next("ingester", back.number)).map(|(_, m)| m.payload[0]).collect();
    assert_eq!(again, [0, 2]);
    let clean = hall.enter(&Connect { client: "ingester".to_owned(), clean_start: true, receive_max: 8 });
    assert!(!clean.session_present && !hall.publish(HUB, &message(9)), "and not to a new one");
    assert!(back.door.cut.is_cancelled(), "one connection each");
}

#[test]
fn a_stall_lasts_until_the_victim_sends_on_another_connection() {
    let (mut hall, hub, _) = hall();
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    hall.treat(Fault::Never, hub, 0, 100, at(1));
    hall.treat(Fault::Never, hub, 1, 100, at(2));
    hall.heard(hub, at(3));
    assert_eq!(hall.stalls(), []);
    hall.heard(hub + 5, at(9));
    hall.heard(hub + 6, at(20));
    assert_eq!(hall.stalls(), [Duration::from_secs(8)]);
    assert_eq!(hall.bites(), 2);
}

#[test]
fn every_fault_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<String> = Fault::ALL.iter().map(Fault::to_string).collect();
    assert_eq!(names.len(), Fault::ALL.len(), "{names:?}");
}
