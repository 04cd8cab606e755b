//! From one configuration to the next, without disturbing what is the same in both. Those who go have had their last word
//! ([`super::leave`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use curb_model::{HubTime, Name, Point, PointName, PointSet, Stream};
use tokio::time::Instant;

use crate::config::PluginConfig;
use crate::flow::{Flow, Part};
use crate::lane::Lane;
use crate::lines::Lines;
use crate::link::{Input, ToHost};
use crate::stage::{Phase, Stage};
use crate::state::Ids;
use crate::wear::Wear;

impl Flow {
    /// Those who go have had their last word.
    pub(super) fn configure_now(&mut self, parts: Vec<Part>, points: &PointSet, now: Instant) {
        let mut old = std::mem::take(&mut self.stages);
        for part in parts {
            let inputs = self.inputs(&part.config, points);
            let stage = match old.iter().position(|stage| is_same(stage, &part, &inputs)) {
                Some(place) => old.swap_remove(place),
                None => self.fresh(part, inputs),
            };
            self.stages.push(stage);
        }
        let mut streams: Vec<Stream> = Vec::new();
        for mut stage in old {
            streams.extend(stage.waiting.drain(..));
            if let Phase::Busy { stream, .. } = &mut stage.phase {
                streams.extend(stream.take());
            }
            if self.host_up {
                self.send(&ToHost::Unload { slot: stage.slot });
            }
        }
        let names: Vec<Name> = self.stages.iter().map(|stage| stage.name().clone()).collect();
        {
            let mut sheet = self.board.lock();
            sheet.plugins.retain(|name, _| names.contains(name));
            for stage in &self.stages {
                let plugin = sheet.plugins.entry(stage.name().clone()).or_default();
                if stage.phase == Phase::Down {
                    (plugin.trouble, plugin.points) = (None, Vec::new());
                    plugin.health.state_bytes =
                        self.states.get(stage.name()).map_or(0, |memory| memory.saved.data.len() as u64);
                }
            }
        }
        for place in 0..self.stages.len() {
            if let Some(why) = self.unreadable.remove(self.stages[place].name()) {
                self.forget(place, &format!("what was kept cannot be read: {why}"), now);
            }
            if self.stages[place].phase == Phase::Down {
                self.set(place, Phase::Down);
                self.load(place, now);
            }
        }
        for stream in streams {
            if let Some(head) = self.lanes.get_mut(&stream).and_then(Lane::head) {
                head.anew();
            }
            self.advance(&stream, now);
        }
    }

    fn fresh(&mut self, part: Part, input_list: Vec<Input>) -> Stage {
        let inputs = input_list
            .iter()
            .map(|input| (PointName::parse(&input.name).expect("it was printed from one"), input.id))
            .collect();
        let slot = self.next_slot;
        self.next_slot += 1;
        let first_own = self.ids.entry(part.config.name.clone()).or_default().take(crate::host::OWN_POINTS);
        Stage {
            config: part.config,
            component: part.component,
            slot,
            inputs,
            input_list,
            first_own,
            own: BTreeMap::new(),
            phase: Phase::Down,
            failures: 0,
            waiting: VecDeque::new(),
            lines: Lines::default(),
            stateful: false,
            wear: Wear::default(),
            worn_until: None,
            dirty: None,
            past: Vec::new(),
            past_rows: 0,
            tick: None,
            told: HubTime::ZERO,
            going: false,
            asked_last: false,
            finished: false,
            bundled: None,
        }
    }

    /// The points that the plugin's globs name, with ids that stay.
    pub(super) fn inputs(&mut self, config: &PluginConfig, points: &PointSet) -> Vec<Input> {
        inputs(config, points, self.ids.entry(config.name.clone()).or_default())
    }
}

/// Whether the plugin goes on undisturbed.
pub(super) fn is_same(stage: &Stage, part: &Part, inputs: &[Input]) -> bool {
    !stage.asked_last && stage.config == part.config && stage.component == part.component && stage.input_list == inputs
}

fn inputs(config: &PluginConfig, points: &PointSet, ids: &mut Ids) -> Vec<Input> {
    let seen = points.iter().filter(|point| config.points.iter().any(|glob| glob.matches(&point.name)));
    let input = |point: &Arc<Point>| {
        let name = point.name.to_string();
        Input { id: ids.input(&name), name, unit: point.unit.as_ref().map(ToString::to_string) }
    };
    seen.map(input).collect()
}
