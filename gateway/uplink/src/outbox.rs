//! What the uplink asks of the store. The daemon implements it; so does every test.

use std::future::Future;

use curb_model::{Class, Page, RowId, RunId, Stream};
use tokio::sync::watch;

/// The store has ended; nothing more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has ended")]
pub struct Closed;

/// The queue, seen from its sending end.
///
/// A row that was reported (`delivered`, `receipt`, `set_aside`) is not handed out again once that call has returned,
/// whether or not it is deleted yet; a row that the store keeps all the same is sent again now and then. All calls may be
/// dropped before they return: `next` then has done nothing, and a report may or may not have been heard, which costs a
/// duplicate and nothing else.
pub trait Outbox: Send + Sync + 'static {
    /// The next rows of alarms, or of all else, in order of their ids: those after `after` (None: from the oldest), at most `rows` and some
    /// `bytes`, but at least one if there is one; and whether it left some behind. If not, see
    /// [`changed`](Self::changed).
    fn next(
        &self,
        class: Class,
        after: Option<RowId>,
        rows: usize,
        bytes: usize,
    ) -> impl Future<Output = Result<Page, Closed>> + Send;

    /// These rows are done.
    fn delivered(&self, rows: Vec<RowId>) -> impl Future<Output = ()> + Send;

    /// The core holds all of this stream and run up to and with `seq`: those rows are done. Only with
    /// [`Ack::Core`](crate::Ack::Core). The rows may be gone already: a core repeats its receipts after each birth.
    fn receipt(&self, run: RunId, stream: Stream, seq: u64) -> impl Future<Output = ()> + Send;

    /// The broker refuses this row for what it is (`code` of its PUBACK, 0x95 if it is too large for the broker): put
    /// it aside and leave a gap record.
    fn set_aside(&self, row: RowId, code: u8) -> impl Future<Output = ()> + Send;

    /// The core takes messages of so many bytes of payload at most (`None`: no bound): make new ones no longer. Told when
    /// a connection stands, and when a refusal has taught a smaller size.
    fn payload_max(&self, bytes: Option<usize>) -> impl Future<Output = ()> + Send;

    /// Changes whenever there are new rows.
    fn changed(&self) -> watch::Receiver<u64>;
}
