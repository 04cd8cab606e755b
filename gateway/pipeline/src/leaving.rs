//! What leaves the pipeline, in one order.

use std::sync::Arc;

use curb_model::{Batch, Name};

use crate::bundle::Bundle;

/// For the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaving {
    /// Readings.
    Batch(Batch),
    /// What a plugin must not forget. To be on disk before anything behind it is sent.
    State {
        /// Whose it is; it takes the place of what was kept of that plugin before.
        plugin: Name,
        /// For [`Pipeline::start`](crate::Pipeline::start) of the next run; nobody else understands it.
        bytes: Arc<[u8]>,
    },
    /// What a plugin could not handle, and all that it takes to see that again. For a file at [`Bundle::file_name`] in
    /// [`Config::bundles`](crate::Config::bundles).
    Bundle(Box<Bundle>),
    /// What a plugin remembered is kept no longer: it was removed, and has given out what it held back.
    Forget {
        /// Whose it was.
        plugin: Name,
    },
}
