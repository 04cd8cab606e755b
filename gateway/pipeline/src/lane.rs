//! Batches of one stream, on their way through the plugins.
//!
//! A stream's batches go one after the other: the first is with a plugin or waits for one, the others wait behind it. So
//! the order of a stream is kept whatever plugins do, and at most one batch of it is unanswered when the host dies.

use std::collections::VecDeque;

use curb_model::{Batch, HubTime, Name};

use crate::bisect::{self, Bisect};
use crate::bundle::Bundle;
use crate::chain::Selection;
use crate::columns::Columns;
use crate::config::HOLD_READINGS;

/// A batch and how far it has come.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: Batch,
    /// The time that plugins are told; the same however often one has to be asked.
    pub(crate) now: HubTime,
    /// Plugins that are behind it. By name, so that a change of configuration cannot send it through one twice.
    pub(crate) done: Vec<Name>,
    /// What the plugin at hand sees of it.
    pub(crate) selection: Option<Selection>,
    /// How it is taken apart, if the plugin at hand cannot handle it as a whole.
    pub(crate) bisect: Option<Bisect>,
    /// What the plugin at hand remembered before it, if that is to be kept with it should it be set aside.
    pub(crate) bundle: Option<Box<Bundle>>,
    /// How often the plugin at hand has trapped on it.
    pub(crate) traps: u32,
    /// How often the host has died under it.
    pub(crate) deaths: u32,
}

impl Job {
    pub(crate) fn new(batch: Batch, now: HubTime) -> Self {
        // A reading may be younger than the clock was when the batch was taken in.
        let now = batch.readings.last().map_or(now, |last| now.max(last.at));
        Self { batch, now, done: Vec::new(), selection: None, bisect: None, bundle: None, traps: 0, deaths: 0 }
    }

    /// The plugin is behind it; the next one finds it fresh.
    pub(crate) fn pass(&mut self, plugin: Name) {
        self.done.push(plugin);
        self.anew();
    }

    /// Whoever has it next finds it fresh.
    pub(crate) fn anew(&mut self) {
        (self.selection, self.bisect, self.bundle, self.traps, self.deaths) = (None, None, None, 0, 0);
    }

    /// What the plugin at hand is given of it.
    pub(crate) fn columns(&self) -> Columns {
        let columns = &self.selection.as_ref().expect("it was made before anybody waits for it").columns;
        match &self.bisect {
            None => columns.clone(),
            Some(bisect) => bisect::rows(columns, &bisect.next()),
        }
    }

    /// What it takes of the lane's room: a batch without readings still carries counts.
    fn weight(&self) -> usize {
        self.batch.readings.len().max(1)
    }
}

/// The batches of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    jobs: VecDeque<Job>,
    /// Sum of the weights when they came in.
    readings: usize,
}

impl Lane {
    pub(crate) fn push(&mut self, job: Job) {
        self.readings += job.weight();
        self.jobs.push_back(job);
    }

    pub(crate) fn head(&mut self) -> Option<&mut Job> {
        self.jobs.front_mut()
    }

    /// Whether the first batch is being taken apart.
    pub(crate) fn is_taken_apart(&self) -> bool {
        self.jobs.front().is_some_and(|job| job.bisect.is_some())
    }

    /// Takes the first batch off, done.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front();
        // Plugins have taken readings out of the first batch; what is left is counted again rather than kept in step.
        self.readings = self.jobs.iter().map(Job::weight).sum();
        job
    }

    /// Whether the first batch has to give way. One batch alone may be of any size.
    pub(crate) fn is_over(&self) -> bool {
        self.readings > HOLD_READINGS && self.jobs.len() > 1
    }
}
