//! From one configuration to the next, without disturbing what is the same in both.

use std::collections::{BTreeMap, VecDeque};

use curb_model::{Name, PointName, PointSet, Stream};
use tokio::time::Instant;

use crate::config::PluginConfig;
use crate::flow::{Flow, Part};
use crate::lane::Lane;
use crate::lines::Lines;
use crate::link::{Input, ToHost};
use crate::stage::{Phase, Stage};

impl Flow {
    /// Changes to other plugins; what does not differ goes on undisturbed.
    pub(crate) fn configure(&mut self, parts: Vec<Part>, points: &PointSet, now: Instant) {
        let mut old = std::mem::take(&mut self.stages);
        for part in parts {
            let inputs = self.inputs(&part.config, points);
            let same = |stage: &Stage| {
                stage.config == part.config && stage.component == part.component && stage.input_list == inputs
            };
            let stage = match old.iter().position(same) {
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
                }
            }
        }
        for place in 0..self.stages.len() {
            if self.stages[place].phase == Phase::Down {
                self.set(place, Phase::Down);
                self.load(place, now);
            }
        }
        for stream in streams {
            if let Some(head) = self.lanes.get_mut(&stream).and_then(Lane::head) {
                (head.selection, head.traps, head.deaths) = (None, 0, 0);
            }
            self.advance(&stream, now);
        }
    }

    fn fresh(&mut self, part: Part, input_list: Vec<Input>) -> Stage {
        let inputs = input_list
            .iter()
            .map(|input| (PointName::parse(&input.name).expect("it was printed from one"), input.id))
            .collect();
        let (slot, first_own) = (self.next_slot, self.next_id);
        self.next_slot += 1;
        self.next_id += crate::host::OWN_POINTS;
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
        }
    }

    /// The points that the plugin's globs name, with ids that stay while the pipeline lives.
    fn inputs(&mut self, config: &PluginConfig, points: &PointSet) -> Vec<Input> {
        let seen = points.iter().filter(|point| config.points.iter().any(|glob| glob.matches(&point.name)));
        let mut inputs = Vec::new();
        for point in seen {
            let id = *self.ids.entry(point.name.clone()).or_insert_with(|| {
                self.next_id += 1;
                self.next_id - 1
            });
            inputs.push(Input { id, name: point.name.to_string(), unit: point.unit.as_ref().map(ToString::to_string) });
        }
        inputs
    }
}
