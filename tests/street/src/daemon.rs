//! The daemon, `curb run`, started again whenever it was killed, and its lives as the judge is told of them.
//!
//! The demo kills it once, the soak at random. Deliberately absent: what it says, and what arrives of it ([`Ingester`]'s).
//!
//! [`Ingester`]: crate::ingester::Ingester

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::now_ms;
use crate::error::Error;
use crate::judge::{End, Life};
use crate::process::Process;

/// How long it may take to hand over what it holds when it is asked to end.
const ENDS: Duration = Duration::from_secs(30);

/// The daemon of one hub.
#[derive(Debug)]
pub(crate) struct Daemon {
    binary: PathBuf,
    config: PathBuf,
    folder: PathBuf,
    /// The process, and when it was started.
    running: Option<(Process, i64)>,
    /// Those that have ended.
    lives: Vec<Life>,
}

impl Daemon {
    /// Starts it with the settings in `config`; its log is in `folder`.
    pub(crate) fn start(binary: &Path, config: &Path, folder: &Path) -> Result<Self, Error> {
        let (binary, config, folder) = (binary.to_owned(), config.to_owned(), folder.to_owned());
        let mut daemon = Self { binary, config, folder, running: None, lives: Vec::new() };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// SIGKILL; another one is started once it has been `dead` for a while.
    ///
    /// # Errors
    /// It had ended by itself, which is no life that was cut off; or it does not start again.
    ///
    /// # Cancel safety
    /// Not cancel safe: without its end the daemon may be dead and without another one.
    pub(crate) async fn kill(&mut self, dead: Duration) -> Result<(), Error> {
        self.look()?;
        if let Some((mut process, started_ms)) = self.running.take() {
            process.kill().await?;
            self.lives.push(Life { started_ms, ended_ms: now_ms(), end: End::Killed });
        }
        sleep(dead).await;
        self.start_again()
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// It does not end, or not cleanly.
    ///
    /// # Cancel safety
    /// Dropping the future kills it.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        let Some((mut process, started_ms)) = self.running.take() else { return Ok(()) };
        let asked_ms = now_ms();
        process.terminate()?;
        let ended = process.wait(ENDS).await?;
        self.lives.push(Life { started_ms, ended_ms: now_ms(), end: End::Stopped { asked_ms } });
        if ended.success() { Ok(()) } else { Err(process.failed(ended)) }
    }

    /// Sees to it that it runs, unless it was stopped.
    ///
    /// # Errors
    /// It has ended by itself.
    pub(crate) fn look(&mut self) -> Result<(), Error> {
        self.running.as_mut().map_or(Ok(()), |(process, _)| process.still_runs())
    }

    /// The process, while there is one.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.running.as_ref().map(|(process, _)| process)
    }

    /// The lives that have ended.
    pub(crate) fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// Its binary, for the tools that ask it.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    fn start_again(&mut self) -> Result<(), Error> {
        let arguments = ["run".as_ref(), "--config".as_ref(), self.config.as_os_str()];
        let started_ms = now_ms();
        self.running = Some((Process::start("curb", &self.binary, arguments, &self.folder)?, started_ms));
        Ok(())
    }
}
