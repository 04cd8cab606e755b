//! The daemon's side of `curb store`: each request on a task of its own, each change recorded before it is answered.

use std::time::Duration;

use curb_model::HubClock;
use curb_pipeline::Policy;
use curb_store::Store;
use curb_wire::command::{Audit, Origin, Outcome, Proof};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::form::{Change, ExportLine, Exported};
use super::shelves::{Error, Shelves};
use crate::control::Answer;

/// How long the disk may take to keep the audit record; it is written as soon as there is room, and this answer is not
/// held up for longer.
const AUDIT: Duration = Duration::from_secs(8);

/// `store-show`.
///
/// # Cancel safety
/// Dropping it ends the call.
pub(crate) async fn show(mut shelves: Shelves, answers: mpsc::Sender<Answer>) {
    let answer = shelves.show().await.map_or_else(refused, |shown| Answer::json(&shown));
    // The caller may have hung up.
    answers.send(answer).await.ok();
}

/// `store-export`. Reads on as fast as the caller does.
///
/// # Cancel safety
/// Dropping it ends the call.
pub(crate) async fn export(mut shelves: Shelves, policy: Policy, what: Exported, answers: mpsc::Sender<Answer>) {
    let mut export = shelves.export(what, policy);
    let end = loop {
        match export.next().await {
            Ok(Some(rows)) => {
                for row in rows {
                    if answers.send(Answer::json(&ExportLine::Row(Box::new(row)))).await.is_err() {
                        return;
                    }
                }
            }
            Ok(None) => break Answer::json(&ExportLine::End { denied: export.denied }),
            Err(error) => break refused(error),
        }
    };
    answers.send(end).await.ok();
}

/// `store-change`.
///
/// # Cancel safety
/// Dropped half way, some may be done and not be recorded.
pub(crate) async fn change(
    store: Store,
    clock: HubClock,
    policy: Policy,
    change: Change,
    rows: Option<Vec<i64>>,
    answers: mpsc::Sender<Answer>,
) {
    let result = Shelves::Live(store.clone()).change(change, rows.as_deref(), &policy).await;
    if let Ok(changed) = &result
        && !changed.done.is_empty()
    {
        let now = clock.now();
        let time_ms = clock.offset().map(|offset| now.utc_millis(offset));
        let outcome = Outcome { point: None, value: None, result: Ok(Proof::Committed), time_ms };
        let command = super::command(change, &changed.done);
        let audit = Audit { ht: now, origin: Origin::Socket, command, correlation: None, outcome };
        if !matches!(timeout(AUDIT, store.audit(audit)).await, Ok(Ok(()))) {
            tracing::warn!("a change of what is set aside is not recorded yet");
        }
    }
    let answer = result.map_or_else(refused, |changed| Answer::json(&changed));
    answers.send(answer).await.ok();
}

fn refused(error: Error) -> Answer {
    Answer::Busy(crate::chain(&error))
}
