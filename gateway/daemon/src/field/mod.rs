//! What callers of the control socket may ask of a bus: one request to a unit, a write to a granted point, its bytes.
//!
//! The daemon's loop finds the bus; what is then waited for runs as a task of its own, so that a slow unit holds up nobody
//! but its asker. The other end is `tools::line`.
//!
//! Deliberately absent: raw writes. They have no form ([`form`]).

mod form;

use std::time::Duration;

use curb_model::{PointName, Value};
use curb_source::{BusHandle, Encoding, Link, ModbusPoint, ProbeError, Proof, SerialConfig, WriteError, Written};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};

use crate::config::Settings;
use crate::control::Answer;

pub(crate) use form::{ChunkForm, Misformed, ProbeForm, ProbedForm, WriteForm, hex, json_value, unhex};

/// A write waits for the frame that is on the line, and for those before it in the queue; not for long.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// The longest that a caller may have a bus wait for one answer: one that has died must not silence it. A device to which
/// the config gives longer has it all the same.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// The serial settings of a link, where it has some.
pub(crate) const fn serial(link: &Link) -> Option<&SerialConfig> {
    match link {
        Link::Rtu(serial) | Link::Talker { serial, .. } => Some(serial),
        Link::RtuOverTcp(_) | Link::Tcp(_) => None,
    }
}

/// A point of the settings.
pub(crate) fn point<'a>(settings: &'a Settings, name: &PointName) -> Option<&'a ModbusPoint> {
    let mut devices = settings.source.buses.values().flat_map(|bus| &bus.devices);
    let (_, device) = devices.find(|(device, _)| *device == name.owner())?;
    match device {
        curb_source::DeviceConfig::Modbus(device) => device.points.iter().find(|point| point.point.name == *name),
        curb_source::DeviceConfig::Talker(_) => None,
    }
}

/// What somebody has typed or sent, as a value that the point takes: a point of text, or of names, takes all as it stands;
/// for any other a text is read as the number or the bit that it spells.
pub(crate) fn value_for(point: Option<&ModbusPoint>, json: &serde_json::Value) -> Option<Value> {
    let takes_text =
        point.is_some_and(|point| matches!(point.encoding, Encoding::Text(_)) || !point.conversion.names.is_empty());
    match json {
        serde_json::Value::String(text) if !takes_text => Some(spelt(text)),
        serde_json::Value::String(text) => Some(Value::Text(text.as_str().into())),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) if takes_text => {
            Some(Value::Text(json.to_string().into()))
        }
        serde_json::Value::Bool(bit) => Some(Value::Bool(*bit)),
        serde_json::Value::Number(number) => number_value(number),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}

/// The number or bit that a text spells; any other text as it stands, for the point to refuse.
fn spelt(text: &str) -> Value {
    let number = serde_json::from_str::<serde_json::Number>(text).ok();
    let value = match text {
        "true" | "on" => Some(Value::Bool(true)),
        "false" | "off" => Some(Value::Bool(false)),
        _ => number.as_ref().and_then(number_value),
    };
    value.unwrap_or_else(|| Value::Text(text.into()))
}

fn number_value(number: &serde_json::Number) -> Option<Value> {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => Some(Value::I64(whole)),
        (None, Some(whole)) => Some(Value::U64(whole)),
        (None, None) => number.as_f64().and_then(Value::from_f64),
    }
}

/// Asks one thing for a caller.
///
/// # Cancel safety
/// Dropped while it waits, the request may still be sent.
pub(crate) async fn probe(bus: BusHandle, form: ProbeForm, own: Option<SerialConfig>, answers: mpsc::Sender<Answer>) {
    let probe = form.probe(own.as_ref());
    let answer = if probe.timeout.is_some_and(|timeout| timeout > LONGEST_ANSWER) {
        Answer::Refused(
            "beside the daemon an answer is waited for 5 s at most: set the device's timeout in the config".to_owned(),
        )
    } else {
        match bus.probe(probe).await {
            Ok(probed) => Answer::json(&ProbedForm::from(&probed)),
            Err(error @ ProbeError::Unsound(_)) => Answer::Refused(error.to_string()),
            // It is full, or was stopped for another config.
            Err(error @ (ProbeError::Full | ProbeError::Stopped)) => Answer::Busy(error.to_string()),
        }
    };
    // A caller that hung up does not want it.
    drop(answers.try_send(answer));
}

/// Tells a caller what came of its write, which `command` carries out and records.
///
/// # Cancel safety
/// Dropped while it waits, the write is still done and recorded.
pub(crate) async fn write(written: oneshot::Receiver<Result<Written, WriteError>>, answers: mpsc::Sender<Answer>) {
    let result = written.await.unwrap_or(Err(WriteError::Stopped));
    drop(answers.try_send(Answer::json(&WriteForm::from(&result))));
}

impl From<&Result<Written, WriteError>> for WriteForm {
    fn from(result: &Result<Written, WriteError>) -> Self {
        match result {
            Ok(Written { value, proof, .. }) => {
                let proof = match proof {
                    Proof::ReadBack => "read-back",
                    Proof::Echo => "echo",
                };
                Self::Done { value: json_value(value), proof: proof.to_owned() }
            }
            Err(error) => Self::Refused { word: error.word().to_owned(), why: error.to_string() },
        }
    }
}

/// Shows a caller the bytes on a bus until it hangs up or the bus ends.
///
/// # Cancel safety
/// Dropping it ends the call.
pub(crate) async fn watch(bus: BusHandle, answers: mpsc::Sender<Answer>) {
    let mut chunks = bus.watch();
    // Only the trace is wanted: the bus is to be able to end.
    drop(bus);
    let mut missed = 0;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            () = answers.closed() => return,
        };
        match chunk {
            Ok(chunk) => {
                let line = Answer::json(&ChunkForm::new(&chunk, missed));
                missed = if answers.try_send(line).is_ok() { 0 } else { missed + 1 };
            }
            Err(RecvError::Lagged(chunks)) => missed += chunks,
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use curb_model::{Class, Point, Stream};
    use curb_source::Table;

    use super::*;

    #[tokio::test]
    async fn only_what_may_go_better_later_is_to_be_asked_again() {
        let (out, _unread) = mpsc::channel(1);
        let line = curb_source::BusConfig { link: Link::Tcp("127.0.0.1:9".to_owned()), devices: [].into() };
        let name = curb_model::Name::new("lan").unwrap();
        let config = curb_source::Config { buses: [(name.clone(), line)].into() };
        let clock = curb_model::HubClock::starting_at(curb_model::HubTime::ZERO);
        let source = curb_source::Source::start(config, clock, out).unwrap();
        let bus = source.bus(&name).unwrap();
        let refused = async |json: &str, word: &str| {
            let (answers, mut answer) = mpsc::channel(1);
            probe(bus.clone(), serde_json::from_str(json).unwrap(), None, answers).await;
            let answer = answer.recv().await.unwrap();
            assert!(matches!(&answer, Answer::Refused(why) if why.contains(word)), "{json}: {answer:?}");
        };
        let read = |address: u32, quantity: u32| {
            format!(
                r#"{{"unit":1,"question":{{"read":{{"table":"holding","address":{address},"quantity":{quantity}}}}}}}"#
            )
        };
        refused(&read(0, 126), "1 to 125").await;
        refused(&read(65_535, 2), "65535").await;
        refused(r#"{"unit":1,"question":"listen","timeout_ms":5001}"#, "5 s").await;
        source.stop().await;
        let (answers, mut answer) = mpsc::channel(1);
        probe(bus.clone(), serde_json::from_str(&read(0, 1)).unwrap(), None, answers).await;
        assert!(matches!(answer.recv().await, Some(Answer::Busy(_))));
    }

    fn point(encoding: Encoding) -> ModbusPoint {
        let name = PointName::parse("box/it").unwrap();
        let (stream, value_type) = (Stream::device(name.owner()), encoding.value_type());
        let point = Point { name, stream, class: Class::Data, unit: None, value_type, range: None };
        ModbusPoint::new(Arc::new(point), Table::Holding, 0, encoding)
    }

    #[test]
    fn the_point_decides_what_a_typed_word_means() {
        let check = |point: &ModbusPoint, typed: &str, expected: Value| {
            assert_eq!(value_for(Some(point), &typed.into()), Some(expected), "{typed}");
        };
        let text = |text: &str| Value::Text(text.into());
        let label = point(Encoding::Text(8));
        for typed in ["on", "true", "1.50", "1e3", "007", "lamp"] {
            check(&label, typed, text(typed));
        }
        let mut mode = point(Encoding::U16);
        mode.conversion.names = [(0, "off".into()), (1, "on".into())].into();
        check(&mode, "on", text("on"));
        check(&mode, "off", text("off"));
        let dim = point(Encoding::U16);
        check(&dim, "50", Value::I64(50));
        check(&dim, "-1.50", Value::from_f64(-1.5).unwrap());
        check(&dim, "18446744073709551615", Value::U64(u64::MAX));
        check(&dim, "on", Value::Bool(true));
        check(&dim, "false", Value::Bool(false));
        check(&dim, "inf", text("inf"));
        check(&dim, "bright", text("bright"));
        // A program may send the number itself.
        assert_eq!(value_for(Some(&dim), &serde_json::json!(50)), Some(Value::I64(50)));
        assert_eq!(value_for(Some(&label), &serde_json::json!(50)), Some(text("50")));
    }
}
