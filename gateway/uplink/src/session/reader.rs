//! How far the store has been read, for alarms and for all else. Pure.

use std::collections::VecDeque;

use curb_model::{Message, RowId};

/// Where the reading of alarms, or of all else, is.
#[derive(Debug)]
pub(super) struct Reader {
    /// The last row read.
    pub(super) cursor: Option<RowId>,
    /// There may be rows after the cursor.
    pub(super) more: bool,
    /// Read and not sent.
    pub(super) queue: VecDeque<Message>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { cursor: None, more: true, queue: VecDeque::new() }
    }
}

impl Reader {
    /// To read again behind `before`; whether that is back.
    pub(super) fn go_back(&mut self, before: RowId) -> bool {
        if self.cursor.is_none_or(|cursor| cursor <= before) {
            return false;
        }
        self.cursor = Some(before);
        self.more = true;
        // What waits before it has been read and not been sent: the cursor will not meet it again.
        self.queue.retain(|message| message.row <= before);
        true
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.more && self.queue.is_empty()
    }
}
