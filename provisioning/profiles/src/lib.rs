//! Device profiles: what a kind of device has and how it is read, written once for every hub.
//!
//! A profile is a TOML file of this folder; `README.md` says what stands in it. [`embedded`] gives those that are compiled
//! in, [`Profile::parse`] reads one. The daemon lays the part `[device]` below a device's own settings (`daemon/config`),
//! the tools list profiles and tell devices apart by their fingerprints.
//!
//! Deliberately absent: what the keys of a device and a point mean. They are the configuration's own, and its schema in the
//! daemon judges them, so that there is one notation of a register. And any grant: a profile says what a device can take,
//! never what may be written.

mod embedded;
mod profile;
mod scalar;

#[cfg(test)]
mod tests;

pub use profile::{
    About, Confirmed, Device, Error, Example, Fingerprint, Identification, Kind, Limits, Parity, Point, Profile,
    Serial, Setting, Setup, Weight,
};
pub use scalar::Scalar;

/// Every profile that is compiled in: its name, and the text of `<name>.toml`.
pub fn embedded() -> impl Iterator<Item = (&'static str, &'static str)> {
    embedded::EMBEDDED.into_iter()
}
