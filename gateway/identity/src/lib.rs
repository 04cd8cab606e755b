//! Who the hub is: its name, its key and certificate, and whom it trusts.
//!
//! [`load`] reads three files once, judges them, and makes the one TLS configuration that `uplink` connects with. The
//! hub's name and site come from its certificate and from nowhere else. [`Refusal`] says in words why a handshake with
//! the core failed.
//!
//! Deliberately absent: connecting, asking for a certificate, renewing one. Nothing here writes a file, and the key
//! never leaves the TLS configuration.

mod certificate;
mod clock;
mod error;
mod load;
mod refusal;
mod tls;

pub use error::{Error, Field, Item, Moment, Warning};
pub use load::{Config, Identity, load};
pub use refusal::Refusal;

#[cfg(test)]
mod tests;
