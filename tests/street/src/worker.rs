//! A thread for each simulator: what one device does late is then never another device's fault.

use std::thread::{Builder, JoinHandle};

use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// A named thread with a single-threaded runtime of its own. Letting go of it ends the work and waits for the thread;
/// sockets and tasks that the work left behind go with the runtime.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts `work` on a thread called `name`. The token that it is given asks it to end.
    pub(crate) fn start<W, F>(name: &str, work: W) -> Result<Self, Error>
    where
        W: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let failed = |source| Error::Thread { name: name.to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let stop = CancellationToken::new();
        let token = stop.clone();
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(work(token)))
            .map_err(|source| Error::Thread { name: name.to_owned(), source })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("a simulator's thread panicked; its message is above");
        }
    }
}
