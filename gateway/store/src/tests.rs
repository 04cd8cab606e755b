//! Promises of the store.

mod damage;
mod expire;
mod front;
mod io;
mod kill;
mod lie;
mod limit;
mod model;
mod outage;
mod power;
mod shelf;
mod split;
mod state;
mod support;
mod trouble;
mod window;
