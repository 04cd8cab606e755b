//! The reference ingester, `depot ingest`, and all that it has accepted.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::Error;
use crate::judge::{Accepted, Follower};
use crate::process::Process;

/// It is taken to have everything when it has printed nothing for this long.
pub(crate) const QUIET: Duration = Duration::from_millis(1500);

/// How long it may take to end when it is asked to.
const ENDS: Duration = Duration::from_secs(20);

/// A running ingester.
#[derive(Debug)]
pub(crate) struct Ingester {
    process: Process,
    arrived: Follower,
    accepted: Vec<Accepted>,
}

impl Ingester {
    /// Starts it against the core at `url` with the core's certificates of `ca`; its database is `core.db` in `folder`.
    pub(crate) fn start(depot: &Path, url: &str, ca: &Path, folder: &Path) -> Result<Self, Error> {
        let db = folder.join("core.db").to_string_lossy().into_owned();
        let [cert, key, roots] = ["ingest.crt", "ingest.key", "roots.pem"]
            .map(|name| ca.join("core").join(name).to_string_lossy().into_owned());
        let arguments =
            ["ingest", "--url", url, "--db", &db, "--cert", &cert, "--key", &key, "--roots", &roots, "--json"];
        let process = Process::start("ingest", depot, arguments, folder)?;
        Ok(Self { process, arrived: Follower::new(&folder.join("ingest.out")), accepted: Vec::new() })
    }

    /// What it has accepted since the last look.
    ///
    /// # Errors
    /// It has ended by itself, or prints what it does not document.
    pub(crate) fn look(&mut self) -> Result<&[Accepted], Error> {
        let held = self.accepted.len();
        self.accepted.extend(self.arrived.more()?);
        self.process.still_runs()?;
        Ok(&self.accepted[held..])
    }

    /// Waits for the last messages, then asks it to end. `beside` is called with what is new at each look.
    ///
    /// # Cancel safety
    /// What was taken in stays.
    pub(crate) async fn finish(
        &mut self,
        mut beside: impl FnMut(&[Accepted]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            sleep(QUIET).await;
            let fresh = self.look()?;
            beside(fresh)?;
            if fresh.is_empty() {
                break;
            }
        }
        self.process.terminate()?;
        self.process.wait(ENDS).await?;
        self.accepted.extend(self.arrived.more()?);
        Ok(())
    }

    /// Everything it has accepted, in its order.
    pub(crate) fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// The process, for its log.
    pub(crate) const fn process(&self) -> &Process {
        &self.process
    }
}
