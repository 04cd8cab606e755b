//! The identity's files have changed: what `renewal` decided is done here.

use super::{Daemon, load_identity};
use crate::assemble;
use crate::renewal::{self, Renewal};
use crate::who;

impl Daemon {
    /// Reads the identity's files, and connects anew if they have something new to connect with.
    pub(super) async fn renew(&mut self) -> Result<(), assemble::Error> {
        let fingerprint = who::fingerprint(&self.settings);
        let read = load_identity(&self.settings, self.verdict);
        self.unfit = None;
        match renewal::judge(&self.identity, read, fingerprint != self.fingerprint, &self.hub) {
            Renewal::Same => Ok(()),
            Renewal::Keep(fault) => {
                self.unfit = Some(fault);
                Ok(())
            }
            Renewal::Without(fault) => {
                self.identity = Err(fault);
                Ok(())
            }
            Renewal::Take(identity) => {
                tracing::info!("takes the identity's files, which have changed");
                self.identity = Ok(*identity);
                self.fingerprint = fingerprint;
                self.rooms.stop_uplink().await;
                self.connect()
            }
        }
    }
}
