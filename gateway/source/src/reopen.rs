//! When a port or connection that is gone is tried again, and who hears of it. Says so once when it goes, and once when it
//! is back.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::thread::Context;

/// Rest before the first try.
const FIRST: Duration = Duration::from_millis(250);

/// Where the rests stop growing, for something that costs nothing to try: a plug that is put back works within a second.
pub(crate) const PORT_REST: Duration = Duration::from_secs(1);

/// The same for a connection: a device that is down should not be knocked at all the time.
pub(crate) const CONNECTION_REST: Duration = Duration::from_secs(10);

/// How long it must have been open for its next loss to be a new one. What goes sooner, such as a server that takes a
/// connection and closes it at once, rests longer each time.
const STEADY: Duration = Duration::from_secs(10);

/// Whether the way to the devices is there.
#[derive(Debug)]
pub(crate) struct Reopen {
    longest: Duration,
    gone: Option<Gone>,
    /// The last rest, and when it was opened after it.
    before: Option<(Duration, Instant)>,
    opened: bool,
}

#[derive(Debug)]
struct Gone {
    rest: Duration,
    retry: Instant,
}

impl Reopen {
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { longest, gone: None, before: None, opened: false }
    }

    /// When to try next; `None` while nothing is known to be wrong.
    pub(crate) fn retry(&self) -> Option<Instant> {
        self.gone.as_ref().map(|gone| gone.retry)
    }

    /// It was opened. Says whether it had been open before.
    pub(crate) fn back(&mut self, context: &Context) -> bool {
        let bus = &context.bus;
        if let Some(gone) = self.gone.take() {
            self.before = Some((gone.rest, Instant::now()));
            tracing::info!(%bus, word = "port-back", "the port is open again");
        }
        let mut panel = context.board.lock();
        panel.bus.open = true;
        panel.gone = None;
        panel.crashed = None;
        std::mem::replace(&mut self.opened, true)
    }

    /// It is not there.
    pub(crate) fn lost(&mut self, context: &Context, error: &io::Error) {
        let bus = &context.bus;
        let before = self.before.take_if(|(_, opened)| opened.elapsed() < STEADY).map(|(rest, _)| rest);
        let last = self.gone.as_ref().map(|gone| gone.rest).or(before);
        let rest = last.map_or(FIRST, |last| (last * 2).min(self.longest));
        if self.gone.is_none() {
            tracing::warn!(%bus, word = "port-gone", %error, "the port is gone; readings are bad until it is back");
        }
        self.gone = Some(Gone { rest, retry: Instant::now() + rest });
        let mut panel = context.board.lock();
        panel.bus.open = false;
        panel.gone = Some(error.to_string());
    }
}
