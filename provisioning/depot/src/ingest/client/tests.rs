use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode;
use rumqttc::v5::{ConnectionError, StateError};

use super::ended;

#[test]
fn a_session_that_is_taken_over_is_told_with_what_to_do() {
    let check = |reason_code, expected: &str| {
        let error = ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string: None });
        let text = ended(error, "ingester-a").to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(DisconnectReasonCode::SessionTakenOver, "another client has taken over the session of ingester-a");
    check(DisconnectReasonCode::SessionTakenOver, "--group");
    check(DisconnectReasonCode::ServerBusy, "ServerBusy");
}
