use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;

use super::packet_size;

#[test]
fn our_sum_of_a_packet_is_the_clients() {
    let topic = "curb/v1/pier/hub-7/data/meter";
    for payload in [0, 1, 93, 94, 16_349, 16_350, 70_000, 2_097_117, 2_097_118] {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, vec![0; payload], None);
        publish.pkid = 1;
        assert_eq!(packet_size(topic.len(), payload), publish.size(), "payload {payload}");
    }
}
