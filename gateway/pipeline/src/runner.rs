//! One plugin alone, for its author: the flow, the host and the limits of a hub, without one.
//!
//! Time is that of the readings. Between two batches as many ticks come as a hub would have given; a call takes no time at all, and
//! a plugin rests until a reading is late enough. So the same readings bring the same bytes, on every machine and under each
//! engine, as long as no call runs into its limit of time, which alone goes by the machine's clock.
//!
//! Deliberately absent: policy, state on disk, and a second try where the host dies or hangs. A hub starts it anew; here it ends.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use curb_model::{Batch, HubClock, HubTime, Name, PointSet};
use tokio::time::{Instant, timeout};
use tracing::Level;

use crate::bundle::{Bundle, Call, digest};
use crate::cache::Cache;
use crate::compile::{Job, Workshop};
use crate::config::{HostCommand, PluginConfig};
use crate::flow::{Flow, HostVerdict, Part};
use crate::health::{Board, PluginHealth};
use crate::leaving::Leaving;
use crate::link::{FromHost, LinkError};
use crate::pipeline::part;
use crate::process::{Heard, Process};
use crate::state::SNAPSHOT_MAX;

/// The host answers within the longest limit (10 s), on a machine with something else to do as well; or it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin that runs alone.
#[derive(Debug)]
pub struct Runner {
    flow: Flow,
    board: Board,
    clock: HubClock,
    process: Process,
    name: Name,
    digest: String,
    /// Where the readings' time begins: this moment of the flow stands for that time of the hub.
    origin: (Instant, HubTime),
    /// The moment that the readings have come to.
    now: Instant,
    said: Vec<Said>,
}

/// What a plugin has to say, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line of its log.
    Line {
        /// How grave it is.
        level: Level,
        /// What it says.
        text: String,
    },
    /// It could not handle something. Words as in a hub's status; `plugin-declined`, which is no fault there.
    Trouble {
        /// What kind of trouble.
        word: String,
        /// In words.
        detail: String,
    },
}

/// Why a plugin does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no host.
    #[error("start the plugin host")]
    Host(#[source] io::Error),
    /// It is gone, and with it what it knew.
    #[error("go on: the plugin host died")]
    HostDied,
    /// It does not answer.
    #[error("go on: the plugin host gave no answer within {PATIENCE:?}")]
    HostHangs,
    /// Its bytes make no sense.
    #[error("go on: the plugin host sends what nobody understands: {0}")]
    HostRaves(String),
    /// The component is none, or not of our world; or there is no such file.
    #[error("run the component: {0}")]
    Component(String),
    /// The plugin says so itself.
    #[error("start with these settings: {0}")]
    Settings(String),
    /// It starts, and goes no further.
    #[error("handle the readings: {0}")]
    Failed(String),
    /// The bundle was not written by a hub.
    #[error("use the bundle: it has ids or a state that no hub has given")]
    Bundle,
}

impl From<LinkError> for RunnerError {
    fn from(error: LinkError) -> Self {
        Self::HostRaves(error.to_string())
    }
}

impl Runner {
    /// Starts the plugin at `start`. It sees those of `points` that its globs name.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Cancel safety
    /// Dropping it kills the host.
    pub async fn start(
        plugin: PluginConfig,
        points: &PointSet,
        start: HubTime,
        host: &HostCommand,
    ) -> Result<Self, RunnerError> {
        let mut runner = Self::prepare(part(plugin), points, start, host, |_| ()).await?;
        runner.begin(host).await?;
        Ok(runner)
    }

    /// Does once more what is in `bundle`, with the component of its plugin's config; gives what leaves the pipeline.
    ///
    /// # Errors
    /// The plugin does not start, or the bundle is none of a hub's.
    ///
    /// # Cancel safety
    /// Dropping it kills the host.
    pub async fn replay(bundle: &Bundle, host: &HostCommand) -> Result<(Self, Vec<Batch>), RunnerError> {
        let is_small = bundle.state.as_ref().is_none_or(|state| state.data.len() <= SNAPSHOT_MAX);
        if !bundle.ids.is_sound() || !is_small {
            return Err(RunnerError::Bundle);
        }
        let (name, start) = (bundle.plugin.name.clone(), bundle.calls.last().map_or(HubTime::ZERO, Call::now));
        let before = |flow: &mut Flow| flow.take_over(name, bundle.ids.clone(), bundle.state.clone());
        let part = part(bundle.plugin.clone());
        let mut runner = Self::prepare(part, &bundle.seen, start, host, before).await?;
        runner.flow.has_been_asked(bundle.past());
        runner.begin(host).await?;
        let batches = match bundle.calls.last() {
            Some(Call::Batch { offset, readings, .. }) => match readings.first() {
                Some(first) => {
                    let (stream, class) = (first.point.stream.clone(), first.point.class);
                    runner.take(Batch::read(stream, class, *offset, readings.clone())).await?
                }
                None => Vec::new(),
            },
            Some(Call::Tick { .. }) | None => Vec::new(),
        };
        Ok((runner, batches))
    }

    /// All but the start of the plugin. `before`: what it is to know.
    async fn prepare(
        part: Part,
        points: &PointSet,
        start: HubTime,
        host: &HostCommand,
        before: impl FnOnce(&mut Flow),
    ) -> Result<Self, RunnerError> {
        let digest = match &part.component {
            Ok(component) => digest(component),
            Err(why) => return Err(RunnerError::Component(why.to_string())),
        };
        let process = Process::start(host).await.map_err(RunnerError::Host)?;
        let now = Instant::now();
        let (clock, board, name) =
            (HubClock::anchored(start, now.into_std()), Board::default(), part.config.name.clone());
        let mut flow = Flow::new(clock.clone(), board.clone(), [].into());
        before(&mut flow);
        flow.configure(vec![part], points, now);
        Ok(Self { flow, board, clock, process, name, digest, origin: (now, start), now, said: Vec::new() })
    }

    async fn begin(&mut self, host: &HostCommand) -> Result<(), RunnerError> {
        self.flow.host_started(self.now);
        // Nothing is kept of what is compiled: the file at hand is about to change.
        let (mut workshop, cache) = (Workshop::default(), Cache::at(PathBuf::new()));
        while let Some((slot, recipe)) = self.flow.to_compile.pop_front() {
            workshop.want(Job { recipe, slot: Some(slot) });
            let (_, compiled) = workshop.done(&host.exe, &cache).await;
            self.flow.compiled(slot, compiled, self.now);
            self.look()?;
        }
        self.settle().await
    }

    /// Gives it a batch, and before that the ticks that are due by then; what leaves the pipeline.
    ///
    /// # Errors
    /// The host is of no more use, or the plugin refuses to be started again.
    ///
    /// # Cancel safety
    /// Not cancel safe: the runner is of no use afterwards.
    pub async fn take(&mut self, batch: Batch) -> Result<Vec<Batch>, RunnerError> {
        if let Some(last) = batch.readings.last() {
            self.pass_time(last.at).await?;
        }
        self.clock.set_offset(batch.offset);
        self.flow.take_in(batch, self.now);
        self.settle().await?;
        Ok(self.out())
    }

    /// Lets it have its last word, and lets go what waits for it.
    ///
    /// # Errors
    /// The host is of no more use.
    ///
    /// # Cancel safety
    /// Not cancel safe: the runner is of no use afterwards.
    pub async fn finish(&mut self) -> Result<Vec<Batch>, RunnerError> {
        // First what waits for it, then its last word.
        self.flow.close(self.now);
        self.settle().await?;
        self.flow.finish(self.now);
        self.settle().await?;
        Ok(self.out())
    }

    /// What was said since this was asked last.
    pub fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// SHA-256 of the component that runs, as lower-case hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How the plugin is, and what it counts.
    #[must_use]
    pub fn health(&self) -> PluginHealth {
        self.board.health(self.now).plugins.remove(&self.name).unwrap_or_default()
    }

    fn out(&mut self) -> Vec<Batch> {
        let batch = |leaving| match leaving {
            Leaving::Batch(batch) => Some(batch),
            Leaving::State { .. } | Leaving::Forget { .. } | Leaving::Bundle(_) => None,
        };
        self.flow.outbox.drain(..).filter_map(batch).collect()
    }

    /// Readings have come to this time: what was due before happens first.
    async fn pass_time(&mut self, to: HubTime) -> Result<(), RunnerError> {
        let target = self.origin.0 + to.since(self.origin.1);
        while let Some(due) = self.flow.wake().filter(|due| *due <= target) {
            self.now = self.now.max(due);
            if self.flow.time(self.now) == HostVerdict::Kill {
                return Err(RunnerError::HostHangs);
            }
            self.settle().await?;
        }
        self.now = self.now.max(target);
        Ok(())
    }

    /// Until the host owes no answer.
    async fn settle(&mut self) -> Result<(), RunnerError> {
        while self.flow.awaits_answer() || !self.flow.to_host.is_empty() {
            let heard = timeout(PATIENCE, self.process.wait(&self.flow.to_host)).await;
            match heard.map_err(|_| RunnerError::HostHangs)? {
                Heard::Took(n) => drop(self.flow.to_host.drain(..n)),
                Heard::Gone => return Err(RunnerError::HostDied),
                Heard::Something => {
                    while let Some(message) = self.process.next_message()? {
                        self.hear(message)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, message: FromHost) -> Result<(), RunnerError> {
        // All of them: a hub thins them out, and an author wants to see them.
        if let FromHost::Log { level, text, .. } = message {
            let level = match level {
                0 => Level::DEBUG,
                1 => Level::INFO,
                2 => Level::WARN,
                _ => Level::ERROR,
            };
            self.said.push(Said::Line { level, text });
            return Ok(());
        }
        if let FromHost::Declined { text, .. } = &message {
            self.said.push(Said::Trouble { word: "plugin-declined".to_owned(), detail: text.clone() });
        }
        self.flow.heard(message, self.now);
        self.look()
    }

    /// Whether anything has gone wrong.
    fn look(&mut self) -> Result<(), RunnerError> {
        let Some(trouble) = self.board.take_trouble(&self.name) else { return Ok(()) };
        match trouble.word {
            "plugin-settings" => Err(RunnerError::Settings(trouble.detail)),
            "plugin-failed" => Err(RunnerError::Component(trouble.detail)),
            word => {
                self.said.push(Said::Trouble { word: word.to_owned(), detail: trouble.detail });
                Ok(())
            }
        }
    }
}
