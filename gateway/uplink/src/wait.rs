//! Two things that the task waits for besides the connection: a watched value, and an answer of the store.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;

/// A watched value whose sender may have gone: then it never changes again.
pub(crate) struct Signal<T> {
    receiver: watch::Receiver<T>,
    gone: bool,
}

impl<T> Signal<T> {
    pub(crate) const fn new(receiver: watch::Receiver<T>) -> Self {
        Self { receiver, gone: false }
    }

    /// Waits for a change. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if !self.gone {
            if self.receiver.changed().await.is_ok() {
                return;
            }
            self.gone = true;
        }
        std::future::pending().await
    }

    /// The value.
    pub(crate) fn value(&self) -> watch::Ref<'_, T> {
        self.receiver.borrow()
    }

    /// Whether it has changed, without waiting.
    pub(crate) fn take(&mut self) -> bool {
        let changed = self.receiver.has_changed().unwrap_or(false);
        if changed {
            self.receiver.mark_unchanged();
        }
        changed
    }
}

/// A call to the store on its way, or none.
pub(crate) struct Call<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Call<T> {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn start(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.0 = Some(Box::pin(future));
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Its answer; waits for ever if there is no call. Cancel-safe: the call goes on.
    pub(crate) async fn answer(&mut self) -> T {
        let Some(future) = &mut self.0 else { return std::future::pending().await };
        let answer = future.await;
        self.0 = None;
        answer
    }

    /// Lets a call that is on its way end.
    pub(crate) async fn finish(&mut self) {
        if !self.is_none() {
            self.answer().await;
        }
    }
}
