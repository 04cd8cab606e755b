//! What a plugin could not handle is kept, with what was before it ([`crate::bundle`]); and the way back, for a replay.

use std::time::Duration;

use curb_model::{Glob, Name, Stream, UtcOffset};
use tokio::time::Instant;

use crate::bundle::{self, Bundle, Call};
use crate::config::PluginConfig;
use crate::flow::Flow;
use crate::flow::state::Memory;
use crate::leaving::Leaving;
use crate::link::Now;
use crate::manifest;
use crate::stage::Past;
use crate::state::{Ids, Saved};

/// From one bundle of a plugin to its next: a device that says nonsense each second must not wear the card out, and the second
/// bundle says what the first one said.
const EVERY: Duration = Duration::from_secs(600);

impl Flow {
    /// The plugin has failed on the stream's first batch as a whole. What it remembered before is noted, for it goes on from there.
    pub(super) fn collect(&mut self, place: usize, stream: &Stream, now: Instant) {
        let stage = &self.stages[place];
        let is_due = stage.bundled.as_ref().is_none_or(|(last, _)| now >= *last + EVERY);
        if self.bundles.is_none() || !is_due {
            return;
        }
        let bundle = self.bundle(place, stream).map(Box::new);
        self.head(stream).bundle = bundle;
    }

    fn bundle(&mut self, place: usize, stream: &Stream) -> Option<Bundle> {
        let head = self.head(stream);
        let (columns, offset) = (head.columns(), head.batch.offset);
        let stage = &self.stages[place];
        let last =
            Past::Batch(Now { hub: stage.told.as_nanos(), utc_offset: offset.map(UtcOffset::as_nanos) }, columns);
        let seen: Vec<_> = stage.input_list.iter().map(bundle::seen).collect::<Option<_>>()?;
        let calls = stage.past.iter().chain([&last]).map(|past| Call::from_past(past, &seen, &stage.input_list));
        let component = stage.component.as_ref().ok()?;
        let manifest = manifest::read(component).ok().flatten();
        let plugin =
            PluginConfig { seed: Vec::new(), points: Glob::parse("*").into_iter().collect(), ..stage.config.clone() };
        let ids = self.ids.get(stage.name()).cloned().unwrap_or_default();
        let (calls, seen) = (calls.collect::<Result<_, _>>().ok()?, seen.into_iter().collect());
        let bundle = Bundle::new(plugin, bundle::digest(component), seen, ids, calls);
        let withholds = manifest.is_some_and(|manifest| manifest.withholds);
        Some(Bundle { state: self.start_state(place), withholds, ..bundle })
    }

    /// The batch is set aside for `detail`: what was noted before it goes to its file. Gives the words with the file in them.
    pub(super) fn keep_bundle(
        &mut self,
        place: usize,
        stream: &Stream,
        word: &str,
        detail: String,
        now: Instant,
    ) -> String {
        let bundle = self.head(stream).bundle.take();
        let (Some(folder), Some(mut bundle)) = (&self.bundles, bundle) else {
            return match &self.stages[place].bundled {
                Some((_, file)) => format!("{detail}; as in {}", file.display()),
                None => detail,
            };
        };
        let file = folder.join(bundle.file_name());
        let told = format!("{detail}; {} reproduces it", file.display());
        word.clone_into(&mut bundle.word);
        bundle.detail = detail;
        self.outbox.push_back(Leaving::Bundle(bundle));
        let stage = &mut self.stages[place];
        tracing::warn!(plugin = %stage.config.name, word, file = %file.display(), "what it cannot handle is kept");
        self.board.plugin(&stage.config.name, |sheet| sheet.health.bundle = Some(file.clone()));
        stage.bundled = Some((now, file));
        told
    }

    /// Before it is configured: what the plugin remembers.
    pub(crate) fn take_over(&mut self, plugin: Name, ids: Ids, state: Option<Saved>) {
        self.ids.insert(plugin.clone(), ids);
        self.states.extend(state.map(|saved| (plugin, Memory { saved, unwritten: None, traps: 0 })));
    }

    /// Before it is started: what the only plugin has been asked since then.
    pub(crate) fn has_been_asked(&mut self, past: Vec<Past>) {
        for stage in &mut self.stages {
            stage.past.clone_from(&past);
        }
    }
}
