//! Which packet id is which message. Pure.
//!
//! The client numbers publishes itself, in the order in which they were handed to it, and says so afterwards: messages
//! wait in a line until they are numbered, then in a table until they are acknowledged.

use std::collections::VecDeque;

/// Everything handed to the client and not yet acknowledged. Bounded by its users: the window, and the two retained
/// documents.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    line: VecDeque<T>,
    table: Vec<(u16, T)>,
}

/// A packet id that fits nothing: this end and the other no longer mean the same. The connection must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mismatch(pub(crate) u16);

impl<T> Flight<T> {
    pub(crate) const fn new() -> Self {
        Self { line: VecDeque::new(), table: Vec::new() }
    }

    /// Handed to the client.
    pub(crate) fn sent(&mut self, message: T) {
        self.line.push_back(message);
    }

    /// The client gave the oldest unnumbered message this id.
    pub(crate) fn numbered(&mut self, id: u16) -> Result<(), Mismatch> {
        let message = self.line.pop_front().ok_or(Mismatch(id))?;
        self.table.push((id, message));
        Ok(())
    }

    /// The broker acknowledged this id.
    pub(crate) fn acked(&mut self, id: u16) -> Result<T, Mismatch> {
        let at = self.table.iter().position(|(entry, _)| *entry == id).ok_or(Mismatch(id))?;
        Ok(self.table.swap_remove(at).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.line.len() + self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.line.iter().chain(self.table.iter().map(|(_, message)| message))
    }
}
