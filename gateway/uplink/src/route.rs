//! Which of the core's two addresses comes next. Pure.
//!
//! The first one is home. A try that fails there, or a connection that does not last, sends the hub to the fallback for the
//! next try; what follows on that is the first one again, whatever came of it. So while the first one is away every
//! second try finds the fallback, and a hub is home again with the first reconnect after it is back. A connection that
//! stands is never given up for that: it delivers.

use std::time::Duration;

use crate::backoff;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Route {
    /// `core.url`.
    #[default]
    First,
    /// `core.fallback`.
    Fallback,
}

impl Route {
    /// The setting that says where it leads.
    pub(crate) const fn setting(self) -> &'static str {
        match self {
            Self::First => "core.url",
            Self::Fallback => "core.fallback",
        }
    }

    /// The one after this one, if there is a fallback at all. `lasted`: how long the connection stood; none if there was none.
    pub(crate) fn next(self, lasted: Option<Duration>) -> Self {
        match self {
            Self::First if !lasted.is_some_and(backoff::is_good) => Self::Fallback,
            Self::First | Self::Fallback => Self::First,
        }
    }
}

#[cfg(test)]
mod tests;
