//! `curb reload` and SIGHUP: the settings are read again, and only what differs changes.

use curb_identity::Identity;
use curb_model::{Fault, Room};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::assemble;
use crate::clock;
use crate::config::{Settings, save_last_good};
use crate::renewal::{self, Watch};
use crate::run::{Daemon, fault, load_identity};
use crate::who;

/// What a reload did.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// 1.
    pub(crate) v: u32,
    /// Whether the files were right. If not, nothing has changed.
    pub(crate) accepted: bool,
    /// Rooms that changed.
    pub(crate) changed: Vec<String>,
    /// Sections or keys that differ and take effect at the next start only.
    pub(crate) needs_restart: Vec<String>,
    /// Why the files were refused.
    pub(crate) problems: Vec<String>,
}

impl Daemon {
    /// Reads the settings again. If they are right, changes only the rooms whose part differs.
    pub(crate) async fn reload(&mut self) -> Reloaded {
        let loaded = crate::config::load(&crate::sources(&self.args));
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        let mut reloaded = Reloaded { v: 1, accepted: false, changed: Vec::new(), needs_restart: Vec::new(), problems };
        let Some(mut new) = loaded.settings.clone() else {
            let detail =
                format!("{} problems; the settings that run stay. `curb check` shows them", reloaded.problems.len());
            self.refused = Some(fault(Room::Config, "settings", "config-refused", detail));
            return reloaded;
        };
        reloaded.problems.extend(loaded.too_full.iter().map(|problem| problem.as_warning().to_string()));
        let old = self.settings.clone();
        // The command line may have moved it.
        new.paths.run.clone_from(&old.paths.run);
        let differs = [
            ("paths", old.paths != new.paths),
            ("store", old.store != new.store),
            ("core.encoding and core.compress", old.form != new.form),
            ("log", old.log != new.log),
        ];
        reloaded.needs_restart =
            differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()).collect();
        // What takes effect at the next start stays what it is, and is told again by the next reload.
        new.paths.clone_from(&old.paths);
        new.store.clone_from(&old.store);
        new.form = old.form;
        new.log.clone_from(&old.log);
        let read = Watch::new(renewal::stamp(&who::files(&new)));
        let look_again = old.identity != new.identity
            || old.hub != new.hub
            || self.identity.is_err()
            || self.fingerprint != who::fingerprint(&new);
        let identity = look_again.then(|| load_identity(&new, self.verdict));
        if let (Some(Err(fault)), Ok(_)) = (&identity, &self.identity) {
            // The one that works stays; whoever put the files there is told.
            reloaded.problems.push(fault.to_string());
            let detail = format!("{}; the identity that works stays", fault.detail);
            if old == new {
                self.unfit = Some(Fault { detail, ..fault.clone() });
            } else {
                self.refused = Some(Fault { room: Room::Config, detail, ..fault.clone() });
            }
            return reloaded;
        }
        let result = self.change(&old, &new, identity, &mut reloaded.changed).await;
        if let Err(error) = result {
            reloaded.problems.push(format!("failed to {}", crate::chain(&error)));
            return reloaded;
        }
        self.settings = new;
        self.refused = None;
        self.watch = read;
        self.unfit = None;
        reloaded.accepted = true;
        if let Err(error) = save_last_good(&self.settings.paths.state, &loaded.merged) {
            tracing::warn!("failed to keep these settings as the last good ones: {}", crate::chain(&error));
        }
        tracing::info!(changed = ?reloaded.changed, "reloaded");
        reloaded
    }

    async fn change(
        &mut self,
        old: &Settings,
        new: &Settings,
        identity: Option<Result<Identity, Fault>>,
        changed: &mut Vec<String>,
    ) -> Result<(), assemble::Error> {
        if old.pipeline != new.pipeline || old.points != new.points {
            let config = self.rooms.secret.seeded(new.pipeline.clone());
            self.rooms.pipeline.apply(config, new.points.clone())?;
            changed.push("pipeline".to_owned());
        }
        if old.source != new.source {
            self.rooms.source.apply(new.source.clone()).await?;
            changed.push("source".to_owned());
        }
        if old.expire != new.expire && self.rooms.store.expire(assemble::expiry(new)).await.is_ok() {
            changed.push("store".to_owned());
        }
        if old.clock != new.clock {
            self.looked_at_clock = Instant::now();
            self.settings.clock = new.clock.clone();
            let verdict = clock::look(new.clock.trust, &self.clock).await;
            self.take_clock(verdict).await;
            changed.push("clock".to_owned());
        }
        if identity.is_some() || old.core != new.core {
            self.rooms.stop_uplink().await;
            self.settings.core = new.core.clone();
            self.settings.hub = new.hub.clone();
            self.settings.identity = new.identity.clone();
            if let Some(identity) = identity {
                self.identity = identity;
                self.fingerprint = who::fingerprint(new);
            }
            self.connect()?;
            changed.push("uplink".to_owned());
        }
        Ok(())
    }
}
