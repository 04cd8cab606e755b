//! One plugin: its thread, its instance, its calls.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store, Trap};

use crate::chain::Emission;
use crate::columns::{Columns, Other};
use crate::host::Outlet;
use crate::host::bindings::curb::plugin::types;
use crate::host::bindings::exports::curb::plugin::transform::Setup;
use crate::host::bindings::{Filter, FilterPre};
use crate::host::cache::Cache;
use crate::host::engine::{self, Usage};
use crate::host::guest::Guest;
use crate::host::ticker::Clock;
use crate::link::{Declared, FromHost, Load, Now, Refusal};

/// What a plugin's thread is asked.
pub(super) enum Question {
    /// A fresh instance.
    Reset,
    /// Handle a batch.
    Process { now: Now, columns: Columns },
}

/// The component, with everything that it imports found. Fails if it is not of our world.
pub(super) fn link(engine: &Engine, component: &Component) -> wasmtime::Result<FilterPre<Guest>> {
    let mut linker = Linker::new(engine);
    Filter::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    FilterPre::new(linker.instantiate_pre(component)?)
}

/// Answers questions until there are no more.
pub(super) fn run(
    load: Load,
    engine: &Engine,
    cache: &Cache,
    clock: &Clock,
    outlet: &Outlet,
    questions: &Receiver<Question>,
) {
    let slot = load.slot;
    let pre = match cache.compile(engine, &load.component).and_then(|component| link(engine, &component)) {
        Ok(pre) => pre,
        Err(error) => {
            outlet.send(&FromHost::Refused { slot, refusal: Refusal::Component, text: format!("{error:#}") });
            return;
        }
    };
    let mut plugin = Plugin {
        engine,
        clock,
        outlet,
        pre,
        load: Load { component: Vec::new(), ..load },
        declared: Vec::new(),
        live: None,
    };
    let ready = plugin.reset();
    outlet.send(&ready);
    for question in questions {
        let answer = match question {
            Question::Reset => plugin.reset(),
            Question::Process { now, columns } => plugin.process(now, columns),
        };
        outlet.send(&answer);
    }
}

struct Plugin<'a> {
    engine: &'a Engine,
    clock: &'a Clock,
    outlet: &'a Outlet,
    pre: FilterPre<Guest>,
    load: Load,
    declared: Vec<Declared>,
    /// `None` after a trap, until the next reset.
    live: Option<(Store<Guest>, Filter)>,
}

impl Plugin<'_> {
    fn reset(&mut self) -> FromHost {
        let slot = self.load.slot;
        // The old instance's memory goes before the new one's comes.
        self.live = None;
        let limit = millis(self.load.init_ms);
        match self.instantiate(limit) {
            Ok(Ok(live)) => {
                self.live = Some(live);
                FromHost::Ready { slot, declared: self.declared.clone() }
            }
            Ok(Err(text)) => FromHost::Refused { slot, refusal: Refusal::Settings, text: bounded(text) },
            Err(error) => FromHost::Trapped { slot, text: why("init", &error, limit) },
        }
    }

    fn instantiate(&mut self, limit: Duration) -> wasmtime::Result<Result<(Store<Guest>, Filter), String>> {
        let load = &self.load;
        let usage = Usage::new(load.memory);
        let guest = Guest::new(usage, load.slot, self.outlet.clone(), load.first_own, self.declared.clone());
        let mut store = engine::store(self.engine, guest);
        store.set_epoch_deadline(Clock::epochs(limit));
        let running = self.clock.run();
        let filter = self.pre.instantiate(&mut store)?;
        let setup = Setup {
            config: load.settings.clone(),
            inputs: load.inputs.iter().map(point).collect(),
            seed: load.seed.clone(),
        };
        let planned = filter.curb_plugin_transform().call_init(&mut store, &setup)?;
        drop(running);
        let guest = store.data_mut();
        guest.declaring = false;
        self.declared.clone_from(&guest.declared);
        drop(guest.end_call());
        Ok(planned.and_then(|plan| match plan.tick_ms {
            0 => Ok((store, filter)),
            _ => Err("asks for ticks, which this hub does not give".to_owned()),
        }))
    }

    fn process(&mut self, now: Now, columns: Columns) -> FromHost {
        let slot = self.load.slot;
        let Some((store, filter)) = &mut self.live else {
            return FromHost::Trapped { slot, text: "process after a trap".to_owned() };
        };
        let limit = millis(self.load.call_ms);
        store.set_epoch_deadline(Clock::epochs(limit));
        let now = types::Now { time: now.hub, utc_offset: now.utc_offset };
        let running = self.clock.run();
        let result = filter.curb_plugin_transform().call_process(&mut *store, now, &columns.into());
        drop(running);
        let metrics = store.data_mut().end_call();
        match result {
            Ok(Ok(emission)) => FromHost::Done { slot, emission: Box::new(emission.into()), metrics },
            Ok(Err(text)) => FromHost::Declined { slot, text: bounded(text) },
            Err(error) => {
                self.live = None;
                FromHost::Trapped { slot, text: why("process", &error, limit) }
            }
        }
    }
}

const fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms as u64)
}

/// The cause alone: the engine's whole text is a backtrace of many lines.
fn why(call: &str, error: &wasmtime::Error, limit: Duration) -> String {
    let text = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => format!("{call} ran longer than {limit:?}"),
        _ => format!("{call}: {}", error.root_cause()),
    };
    bounded(text)
}

/// A plugin's words go to the log and to the operator's screen; they need not fill it.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(400));
    text
}

fn point(input: &crate::link::Input) -> types::Point {
    types::Point { id: input.id, name: input.name.clone(), unit: input.unit.clone() }
}

impl From<Columns> for types::Columns {
    fn from(columns: Columns) -> Self {
        let Columns { points, times, values, kinds, quality, others } = columns;
        let others = others.into_iter().map(|(row, other)| {
            let value = match other {
                Other::Signed(n) => types::OtherValue::Signed(n),
                Other::Unsigned(n) => types::OtherValue::Unsigned(n),
                Other::Text(text) => types::OtherValue::Text(text.into()),
                Other::Raw(bytes) => types::OtherValue::Raw(bytes.into()),
            };
            types::Other { row, value }
        });
        Self { points, times, values, kinds, quality, others: others.collect() }
    }
}

impl From<types::Columns> for Columns {
    fn from(columns: types::Columns) -> Self {
        let types::Columns { points, times, values, kinds, quality, others } = columns;
        let others = others.into_iter().map(|types::Other { row, value }| {
            let other = match value {
                types::OtherValue::Signed(n) => Other::Signed(n),
                types::OtherValue::Unsigned(n) => Other::Unsigned(n),
                types::OtherValue::Text(text) => Other::Text(text.into()),
                types::OtherValue::Raw(bytes) => Other::Raw(bytes.into()),
            };
            (row, other)
        });
        Self { points, times, values, kinds, quality, others: others.collect() }
    }
}

impl From<types::Emission> for Emission {
    fn from(emission: types::Emission) -> Self {
        let types::Emission { keep, add, remark, rejects } = emission;
        Self {
            keep,
            add: add.into(),
            remark: remark.into_iter().map(|mark| (mark.row, mark.quality)).collect(),
            rejects: rejects.into_iter().map(|reject| (reject.row, reject.reason.into())).collect(),
        }
    }
}
