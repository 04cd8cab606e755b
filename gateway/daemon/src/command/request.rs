//! What a request says, and whether it may still be done: everything that needs no bus.

use std::time::Duration;

use curb_model::HubClock;
use curb_source::WriteError;
use curb_uplink::{Command, ReplyTo};
use curb_wire::command::{Refusal, WRITE, Write};
use curb_wire::record::Document as _;
use tokio::time::Instant;

use super::{ID_MAX, refusal};

/// How far ahead a deadline may lie: a command is for now. What is to happen tonight is the core's to remember, which can
/// change its mind.
const FARTHEST: Duration = Duration::from_hours(1);

/// A request as it was read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Vec<u8>,
    pub(super) write: Write,
}

/// Reads a request: everything about it that needs neither clock nor memory.
pub(super) fn read(command: &Command) -> Result<Request, Refusal> {
    if &*command.name != WRITE {
        return Err(refusal("unknown-command", format!("expected cmd/{WRITE}")));
    }
    if command.retained {
        return Err(refusal("retained", "a retained message is of an unknown age: publish commands without retain"));
    }
    if let ReplyTo::Unusable(topic) = &command.reply_to {
        let detail =
            format!("the response topic {topic:?} is no topic, or one of curb/v1 other than this hub's reply/…");
        return Err(refusal("bad-request", detail));
    }
    let id = command.correlation.as_deref().unwrap_or_default();
    if id.is_empty() {
        return Err(refusal(
            "no-correlation",
            "without correlation data a repeated request cannot be told from a new one",
        ));
    }
    if id.len() > ID_MAX {
        let detail = format!("the correlation data has {} bytes, expected {ID_MAX} at most", id.len());
        return Err(refusal("bad-request", detail));
    }
    let write = Write::decode(&command.payload).map_err(|error| refusal("bad-request", crate::chain(&error)))?;
    Ok(Request { id: id.to_vec(), write })
}

/// When a write has to be on its way, on the runtime's clock; `expires` is what the core's broker says.
pub(super) fn in_time(
    write: &Write,
    clock: &HubClock,
    expires: Option<std::time::Instant>,
) -> Result<(Instant, i64), Refusal> {
    let Some(offset) = clock.offset() else {
        let detail = "the hub's clock is not trusted: whether the deadline has passed is not known";
        return Err(refusal("clock-not-trusted", detail));
    };
    let now_ms = clock.now().utc_millis(offset);
    let left = u64::try_from(write.deadline_ms.saturating_sub(now_ms)).map_or(Duration::ZERO, Duration::from_millis);
    if left > FARTHEST {
        let detail = format!("the deadline is {} s ahead, expected {} at most", left.as_secs(), FARTHEST.as_secs());
        return Err(refusal("deadline-too-far", detail));
    }
    let now = Instant::now();
    let expires = expires.map_or(now + FARTHEST, Instant::from_std);
    let deadline = (now + left).min(expires);
    if deadline <= now {
        return Err(refusal(WriteError::Deadline.word(), "the deadline had passed when the hub came to it"));
    }
    Ok((deadline, now_ms))
}
