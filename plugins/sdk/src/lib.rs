//! What an author of a Curb plugin needs: implement [`Filter`], name the type in [`export!`], build for
//! `wasm32-unknown-unknown`.
//!
//! A plugin sees the readings of the points that its configuration names, a batch at a time, and says of each whether it
//! passes. It has no clock, no file, no socket and no randomness: the same readings give the same answer on a hub, on a
//! laptop and a year later. It forgets everything when it is started anew, and it is started anew after each mistake: what
//! must outlive that is a [`Stateful`] plugin's, named in [`export_stateful!`].
//!
//! ```no_run
//! use curb_plugin::{Filter, Now, Out, Rows, Setup};
//!
//! struct EverySecond { last: i64 }
//!
//! impl Filter for EverySecond {
//!     fn init(_: &Setup) -> Result<Self, String> {
//!         Ok(Self { last: i64::MIN })
//!     }
//!
//!     fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
//!         for row in rows {
//!             if row.at.saturating_sub(self.last) >= 1_000_000_000 {
//!                 self.last = row.at;
//!                 out.keep(&row);
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! curb_plugin::export!(EverySecond);
//! # fn main() {}
//! ```
//!
//! Deliberately absent: the column format of the boundary, which [`Rows`] and [`Out`] hide.

pub mod bindings;
mod host;
mod log;
#[doc(hidden)]
pub mod manifest;
mod names;
mod out;
mod pack;
#[cfg(target_arch = "wasm32")]
mod panic;
mod rows;
mod settings;
mod setup;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod timeline;

pub use bindings::curb::plugin::points::Class;
pub use bindings::curb::plugin::types::Now;
pub use bindings::stateful::exports::curb::plugin::state::Saved;
pub use log::{counter_add, debug, error, gauge_set, info, warn};
pub use names::{Names, dashed};
pub use out::Out;
pub use pack::{Pack, Unpack};
pub use rows::{Quality, Reason, Row, Rows, Value};
pub use settings::{Setting, Settings, join, number};
pub use setup::{PointId, Setup};
pub use timeline::{Passed, Timeline};

/// Of every component, in place of that of std, which takes eight of its 64 KB.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// A plugin without state that outlives it.
pub trait Filter: Sized {
    /// Called once for each fresh instance. Declare the plugin's own points here.
    ///
    /// # Errors
    /// A setting is wrong: the text is shown to the operator, and the plugin does not run.
    fn init(setup: &Setup) -> Result<Self, String>;

    /// Decides what becomes of each row: keep it, mark it, reject it, or say nothing and leave it out.
    ///
    /// # Errors
    /// The batch cannot be handled: nothing of it counts, and the operator's `on_failure` decides.
    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String>;

    /// How often [`tick`](Self::tick) is to be called, in milliseconds, at least 100; asked once, behind `init`. 0: never.
    fn tick_ms(&self) -> u32 {
        0
    }

    /// Time has passed. Adds readings of the plugin's own, if it has any to say.
    ///
    /// # Errors
    /// Handled as a trap: there is no batch that could be blamed.
    fn tick(&mut self, _now: Now, _out: &mut Out) -> Result<(), String> {
        Ok(())
    }

    /// This instance is not called again: adds what it has held back.
    ///
    /// # Errors
    /// What it has held back is lost.
    fn finish(&mut self, _now: Now, _out: &mut Out) -> Result<(), String> {
        Ok(())
    }
}

/// A plugin whose state outlives it: restarts, power cuts, and its own mistakes.
///
/// After each answer that lets something out the hub asks for a snapshot and commits both together, so that nothing is ever
/// told twice or forgotten between. After other answers it asks once a second at most, and a power cut can cost the last
/// minute of those (`plugins.state_every`).
pub trait Stateful: Filter {
    /// What must be known to go on as if nothing had happened, and the version of these bytes; at most 256 KiB. Point ids may
    /// stand in it: they stay as they are for as long as it is kept. There is no clock, and hub time over a restart
    /// does not grow by what has passed: keep a [`Timeline`] if time away matters.
    ///
    /// # Errors
    /// The answer before it does not count, and this instance is thrown away.
    fn snapshot(&self) -> Result<Saved, String>;

    /// Called once, after `init` and before the first batch, with what `snapshot` gave. This version and the one before must
    /// be accepted.
    ///
    /// # Errors
    /// The bytes cannot be used: the plugin starts without them, and the operator is told why.
    fn restore(&mut self, saved: Saved) -> Result<(), String>;
}

#[doc(hidden)]
pub mod glue {
    //! What [`export!`](crate::export) expands to calls into here, so that the macro stays short.

    use crate::bindings::curb::plugin::types::{Columns, Emission, Now};
    use crate::bindings::exports::curb::plugin::transform::{Plan, Setup as RawSetup};
    use crate::{Filter, Out, Rows, Saved, Setup, Stateful};

    const NO_INIT: &str = "called before init";

    /// Nothing to give out.
    #[must_use]
    pub fn no_rows() -> Columns {
        Columns { points: vec![], times: vec![], values: vec![], kinds: vec![], quality: vec![], others: vec![] }
    }

    /// Makes the plugin.
    ///
    /// # Errors
    /// The plugin says that a setting is wrong.
    pub fn init<P: Filter>(slot: &mut Option<P>, setup: RawSetup) -> Result<Plan, String> {
        #[cfg(target_arch = "wasm32")]
        crate::panic::tell();
        let plugin = slot.insert(P::init(&Setup::new(setup))?);
        Ok(Plan { tick_ms: plugin.tick_ms() })
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn tick<P: Filter>(slot: &mut Option<P>, now: Now) -> Result<Columns, String> {
        added(slot, now, P::tick)
    }

    /// Asks for what is held back.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn finish<P: Filter>(slot: &mut Option<P>, now: Now) -> Result<Columns, String> {
        added(slot, now, P::finish)
    }

    fn added<P: Filter>(
        slot: &mut Option<P>,
        now: Now,
        call: fn(&mut P, Now, &mut Out) -> Result<(), String>,
    ) -> Result<Columns, String> {
        let mut out = Out::default();
        call(slot.as_mut().ok_or(NO_INIT)?, now, &mut out)?;
        Ok(out.into_emission().add)
    }

    /// Handles a batch.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn process<P: Filter>(slot: &mut Option<P>, now: Now, readings: &Columns) -> Result<Emission, String> {
        let plugin = slot.as_mut().ok_or(NO_INIT)?;
        let mut out = Out::default();
        plugin.process(now, Rows::new(readings), &mut out)?;
        Ok(out.into_emission())
    }

    /// Gives the state out.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn snapshot<P: Stateful>(slot: &Option<P>) -> Result<Saved, String> {
        slot.as_ref().ok_or(NO_INIT)?.snapshot()
    }

    /// Takes the state in.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn restore<P: Stateful>(slot: &mut Option<P>, saved: Saved) -> Result<(), String> {
        slot.as_mut().ok_or(NO_INIT)?.restore(saved)
    }
}

/// Makes the type, which implements [`Filter`], the plugin of this component. Once per crate.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            $crate::export!(@filter $plugin);
        };
    };
    (@filter $plugin:ty) => {
        use $crate::bindings::curb::plugin::types::{Columns, Emission, Now};
        use $crate::bindings::exports::curb::plugin::transform::{Guest, Plan, Setup};

        ::std::thread_local! {
            static PLUGIN: ::core::cell::RefCell<::core::option::Option<$plugin>> =
                const { ::core::cell::RefCell::new(::core::option::Option::None) };
        }

        struct Component;

        impl Guest for Component {
            fn init(setup: Setup) -> Result<Plan, String> {
                PLUGIN.with_borrow_mut(|plugin| $crate::glue::init(plugin, setup))
            }
            fn process(now: Now, readings: Columns) -> Result<Emission, String> {
                PLUGIN.with_borrow_mut(|plugin| $crate::glue::process(plugin, now, &readings))
            }
            fn tick(now: Now) -> Result<Columns, String> {
                PLUGIN.with_borrow_mut(|plugin| $crate::glue::tick(plugin, now))
            }
            fn finish(now: Now) -> Result<Columns, String> {
                PLUGIN.with_borrow_mut(|plugin| $crate::glue::finish(plugin, now))
            }
        }

        $crate::bindings::export!(Component with_types_in $crate::bindings);
    };
}

/// As [`export!`], for a type that implements [`Stateful`], too.
#[macro_export]
macro_rules! export_stateful {
    ($plugin:ty) => {
        const _: () = {
    $crate::export!(@filter $plugin);

            impl $crate::bindings::stateful::exports::curb::plugin::state::Guest for Component {
                fn snapshot() -> Result<$crate::Saved, String> {
                    PLUGIN.with_borrow(|plugin| $crate::glue::snapshot(plugin))
                }
                fn restore(saved: $crate::Saved) -> Result<(), String> {
                    PLUGIN.with_borrow_mut(|plugin| $crate::glue::restore(plugin, saved))
                }
            }

    $crate::bindings::stateful::export!(Component with_types_in $crate::bindings::stateful);
        };
    };
}

/// Puts name and version of the crate, and the JSON Schema of its settings from this file (relative to the source file), into the
/// component, where a hub and `curb check` read them without running it. Once per crate.
///
/// With `withholds` behind the file it says as well that what the plugin sees must not leave the hub as it is: when the plugin
/// fails, its readings are dropped, also where the operator has written `on_failure = "pass"`.
#[macro_export]
macro_rules! manifest {
    ($schema:literal) => {
        $crate::manifest!(@text $schema, "false");
    };
    ($schema:literal, withholds) => {
        $crate::manifest!(@text $schema, "true");
    };
    (@text $schema:literal, $withholds:literal) => {
        const _: () = {
            const TEXT: &str = ::core::concat!(
                "{\"name\":\"",
                ::core::env!("CARGO_PKG_NAME"),
                "\",\"version\":\"",
                ::core::env!("CARGO_PKG_VERSION"),
                "\",\"withholds\":",
                $withholds,
                ",\"settings\":",
                ::core::include_str!($schema),
                "}"
            );

            #[cfg(target_arch = "wasm32")]
            #[unsafe(link_section = "curb-plugin")]
            static MANIFEST: [u8; $crate::manifest::dense(TEXT)] = $crate::manifest::squeeze(TEXT);
        };
    };
}
