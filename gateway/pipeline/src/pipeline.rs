//! The front of the room: starts the task, hands it new configuration, reads its health, waits for its end.

use std::path::Path;

use curb_model::{Batch, HubClock, PointSet};
use tokio::sync::mpsc;

use crate::{Config, Error, Health};

/// The running pipeline.
#[derive(Debug)]
pub struct Pipeline {}

impl Pipeline {
    /// Starts it.
    ///
    /// # Errors
    /// Two plugins have one name.
    pub fn start(
        config: Config,
        points: PointSet,
        clock: HubClock,
        input: mpsc::Receiver<Batch>,
        output: mpsc::Sender<Batch>,
    ) -> Result<Self, Error> {
        let _ = (config, points, clock, input, output);
        Ok(Self {})
    }

    /// Changes to `config` and `points`.
    ///
    /// # Errors
    /// Two plugins have one name; nothing changes.
    pub fn apply(&self, config: Config, points: PointSet) -> Result<(), Error> {
        let _ = (config, points);
        Ok(())
    }

    /// Points that plugins have declared so far.
    #[must_use]
    pub fn points(&self) -> PointSet {
        PointSet::default()
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::default()
    }

    /// Ends after the input ended and everything was passed on.
    pub async fn join(self) {}
}

/// Whether the file is a component that a hub would run.
///
/// # Errors
/// It is not.
pub fn inspect(component: &Path) -> Result<(), Error> {
    let _ = component;
    Ok(())
}

/// The body of `curb plugin-host`.
#[must_use]
pub fn plugin_host() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
