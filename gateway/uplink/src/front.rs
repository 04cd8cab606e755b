//! The front of the room: start, look, stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_identity::Identity;
use curb_wire::status::{Points, Status};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::command::Command;
use crate::config::{Config, Error};
use crate::health::Health;
use crate::outbox::Outbox;
use crate::run::{Ends, Room};

/// The running uplink.
#[derive(Debug)]
pub struct Uplink {
    task: JoinSet<()>,
    stop: watch::Sender<Option<Instant>>,
    health: watch::Receiver<Health>,
}

impl Uplink {
    /// Starts the uplink on the current runtime. Dropping it ends the connection without a goodbye; see
    /// [`stop`](Self::stop).
    ///
    /// Of `status` the uplink itself fills in `state`, `connection` and `clean`; the rest is the daemon's to say. Each
    /// document is published at every birth and when it changes, `status` at most once a second.
    ///
    /// What the core commands goes to `commands`; when that is full or closed, the core is told so.
    ///
    /// # Errors
    /// The host or the keep-alive cannot be used.
    pub fn start<O: Outbox>(
        config: Config,
        identity: &Identity,
        outbox: O,
        status: watch::Receiver<Arc<Status>>,
        points: watch::Receiver<Arc<Points>>,
        commands: mpsc::Sender<Command>,
    ) -> Result<Self, Error> {
        config.check()?;
        let (stop, stopped) = watch::channel(None);
        let (publish, health) = watch::channel(Health::default());
        let room =
            Room::new(config, identity, outbox, Ends { status, points, stop: stopped, health: publish, commands });
        let mut task = JoinSet::new();
        task.spawn(room.run());
        Ok(Self { task, stop, health })
    }

    /// How it stands.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Follows how it stands. The channel closes when the uplink has ended.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Ends the uplink: sends what is queued, as long as the core takes it and `grace` lasts, then says goodbye. Rows
    /// that did not get through stay in the store. Without a connection it ends at once.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection without a goodbye.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(Some(Instant::now() + grace));
        while let Some(ended) = self.task.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the uplink's task failed");
            }
        }
    }
}
