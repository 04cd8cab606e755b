//! Bytes of our packets on the wire (MQTT 5, 3.3), known before they are sent. Pure.

use curb_wire::senml::content_type;

/// Bytes of a publish on the wire. Known before it is sent: a broker ends the connection over one that is too large.
pub(crate) const fn packet_size(topic_len: usize, payload: &[u8]) -> usize {
    let properties = match content_type(payload) {
        // 1 which property, 2 its length
        Some(text) => 1 + 2 + text.len(),
        None => 0,
    };
    publish_size(topic_len, properties, payload.len())
}

/// The longest topic of a message: `curb/v1/`, site, hub, `alarm`, and a stream with the plugin's name and its own.
const TOPIC_MAX: usize = 8 + (NAME_MAX + 1) * 2 + 6 + NAME_MAX * 2 + 1;
/// Bytes of a name at most.
const NAME_MAX: usize = 32;
/// The longest content type is `application/senml+cbor`.
const CONTENT_TYPE_MAX: usize = 22;

/// Bytes of payload that always fit into a packet of `packet_max`, whatever their topic.
pub(crate) const fn payload_max(packet_max: usize) -> usize {
    packet_max.saturating_sub(publish_size(TOPIC_MAX, 1 + 2 + CONTENT_TYPE_MAX, packet_max) - packet_max)
}

/// The same of an answer.
pub(crate) const fn answer_size(topic_len: usize, correlation_len: Option<usize>, payload_len: usize) -> usize {
    let properties = match correlation_len {
        // 1 which property, 2 its length
        Some(len) => 1 + 2 + len,
        None => 0,
    };
    publish_size(topic_len, properties, payload_len)
}

const fn publish_size(topic_len: usize, properties_len: usize, payload_len: usize) -> usize {
    // 2 length of topic, 2 packet id
    let rest = 2 + topic_len + 2 + length_bytes(properties_len) + properties_len + payload_len;
    1 + length_bytes(rest) + rest
}

/// Bytes of a length (MQTT 5, 1.5.5).
const fn length_bytes(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}
