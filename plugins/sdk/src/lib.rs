//! What an author of a Curb plugin needs: implement [`Filter`], name the type in [`export!`], build for
//! `wasm32-unknown-unknown`.
//!
//! A plugin sees the readings of the points that its configuration names, a batch at a time, and says of each whether it
//! passes. It has no clock, no file, no socket and no randomness: the same readings give the same answer on a hub, on a
//! laptop and a year later. It forgets everything when it is started anew, and it is started anew after each mistake.
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
mod log;
mod out;
mod rows;
mod settings;
mod setup;
#[cfg(test)]
mod tests;

pub use bindings::curb::plugin::points::Class;
pub use bindings::curb::plugin::types::Now;
pub use log::{counter_add, debug, error, gauge_set, info, warn};
pub use out::Out;
pub use rows::{Quality, Row, Rows, Value};
pub use settings::{Setting, Settings};
pub use setup::{PointId, Setup};

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
}

#[doc(hidden)]
pub mod glue {
    //! What [`export!`](crate::export) expands to calls into here, so that the macro stays short.

    use crate::bindings::curb::plugin::types::{Columns, Emission, Now};
    use crate::bindings::exports::curb::plugin::transform::{Plan, Setup as RawSetup};
    use crate::{Filter, Out, Rows, Setup};

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
        *slot = Some(P::init(&Setup::new(setup))?);
        Ok(Plan { tick_ms: 0 })
    }

    /// Handles a batch.
    ///
    /// # Errors
    /// The plugin says that it cannot.
    pub fn process<P: Filter>(slot: &mut Option<P>, now: Now, readings: &Columns) -> Result<Emission, String> {
        let plugin = slot.as_mut().ok_or("process was called before init")?;
        let mut out = Out::default();
        plugin.process(now, Rows::new(readings), &mut out)?;
        Ok(out.into_emission())
    }
}

/// Makes the type, which implements [`Filter`], the plugin of this component. Once per crate.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
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
                fn tick(_: Now) -> Result<Columns, String> {
                    Ok($crate::glue::no_rows())
                }
                fn finish(_: Now) -> Result<Columns, String> {
                    Ok($crate::glue::no_rows())
                }
            }

    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
