//! Why the core is not connected, for each of its addresses as its last try found it. Pure.
//!
//! Each address keeps its fault until a connection stands: a person who has two of them to mend has to see both, and a fault
//! that turned into the other with each try would be told anew each time.

use curb_model::{Fault, Room};

use crate::address::Address;
use crate::lost::Lost;
use crate::route::Route;

/// How many addresses a core has: with two it has to be said which one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    One,
    Two,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Unreached {
    first: Option<Fault>,
    fallback: Option<Fault>,
}

impl Unreached {
    /// A try by this route, or the connection that it made, is over.
    pub(crate) fn note(&mut self, route: Route, address: &Address, addresses: Addresses, lost: Lost) {
        let Lost { word, detail, .. } = lost;
        let at = address.to_string();
        // What fails at a proxy is the same for both.
        let is_plain = addresses == Addresses::One || word.starts_with("proxy-") || detail.contains(&at);
        let detail = if is_plain { detail } else { format!("{at}: {detail}") };
        let (subject, place) = match route {
            Route::First => ("core", &mut self.first),
            Route::Fallback => ("fallback", &mut self.fallback),
        };
        *place = Some(Fault { room: Room::Uplink, subject: subject.to_owned(), word, detail });
    }

    /// A connection stands.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What stands wrong; what is the same for both is told once.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        let same = |other: &Fault| {
            self.first.as_ref().is_some_and(|first| (first.word, &first.detail) == (other.word, &other.detail))
        };
        self.first.iter().chain(self.fallback.iter().filter(move |fallback| !same(fallback)))
    }
}

#[cfg(test)]
mod tests;
