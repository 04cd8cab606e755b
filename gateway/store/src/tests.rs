//! Promises of the store.

mod damage;
mod expire;
mod front;
mod kill;
mod limit;
mod model;
mod outage;
mod power;
mod shelf;
mod split;
mod support;
mod window;
