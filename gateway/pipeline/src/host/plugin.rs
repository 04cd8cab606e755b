//! One plugin: its thread, its instance, its calls.

pub(super) mod measure;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Store};

use crate::chain::Emission;
use crate::columns::Columns;
use crate::host::Outlet;
use crate::host::bindings::StatefulFilter;
use crate::host::bindings::curb::plugin::types;
use crate::host::bindings::exports::curb::plugin::{state, transform};
use crate::host::contract::{self, SPOKEN};
use crate::host::convert::point;
use crate::host::deserialize::deserialize;
use crate::host::engine::{self, Usage};
use crate::host::guest::{Guest, OwnIds};
use crate::host::ticker::Clock;
use crate::host::why::{bounded, why};
use crate::link::{Declared, FromHost, Load, Now, Refusal};
use crate::state::{SNAPSHOT_MAX, Saved};

/// What a plugin's thread is asked.
pub(super) enum Question {
    /// A fresh instance, with this state.
    Reset(Option<Saved>),
    /// Handle a batch.
    Process { now: Now, columns: Columns },
    /// Time has passed.
    Tick(Now),
    /// Give out what is held back.
    Finish(Now),
    /// Give the state out.
    Snapshot,
}

/// The least time between two ticks, in milliseconds. Protects the readings behind them: a tick may take as long as a batch.
pub(crate) const TICK_LEAST_MS: u32 = 100;

/// The name of the export that tells the world `stateful-filter` from `filter`. Looked up as imports are: any version of its track.
const STATE: &str = "curb:plugin/state@0.1.0";

/// A component with everything that it imports found, and where its exports are.
pub(super) struct Linked {
    pre: InstancePre<Guest>,
    transform: transform::GuestIndices,
    /// If it is a `stateful-filter`.
    state: Option<state::GuestIndices>,
}

impl Linked {
    /// An instance that is not initialized, without its state.
    pub(super) fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<transform::Guest> {
        let instance = self.pre.instantiate(&mut *store)?;
        self.transform.load(store, &instance)
    }

    pub(super) const fn is_stateful(&self) -> bool {
        self.state.is_some()
    }
}

/// Fails if the component is not of one of our worlds, in a version that is spoken here.
pub(super) fn link(engine: &Engine, component: &Component) -> wasmtime::Result<Linked> {
    let world = component.component_type();
    let (imports, exports) = (world.imports(engine), world.exports(engine));
    let made_for = contract::made_for(imports.map(|(name, _)| name), exports.map(|(name, _)| name))?;
    let linked = link_named(engine, component);
    if made_for > SPOKEN {
        // It uses what is new there, or it would have been linked.
        return linked.with_context(|| format!("made for curb:plugin@{made_for}, and this hub speaks {SPOKEN}"));
    }
    linked
}

fn link_named(engine: &Engine, component: &Component) -> wasmtime::Result<Linked> {
    let mut linker = Linker::new(engine);
    StatefulFilter::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    let pre = linker.instantiate_pre(component)?;
    let transform = transform::GuestIndices::new(&pre)?;
    let has_state = component.get_export_index(None, STATE).is_some();
    let state = has_state.then(|| state::GuestIndices::new(&pre)).transpose()?;
    Ok(Linked { pre, transform, state })
}

/// An instance.
struct Live {
    store: Store<Guest>,
    transform: transform::Guest,
    state: Option<state::Guest>,
    tick_ms: u32,
}

/// Why there is no instance, if the plugin says so itself.
enum Refused {
    /// What it exports has other types than the contract; they are compared with an instance only.
    World(String),
    Settings(String),
    State(String),
}

/// Answers questions until there are no more.
pub(super) fn run(mut load: Load, engine: &Engine, clock: &Clock, outlet: &Outlet, questions: &Receiver<Question>) {
    let slot = load.slot;
    let linked = match deserialize(engine, &load.code).and_then(|component| link(engine, &component)) {
        Ok(linked) => linked,
        Err(error) => {
            outlet.send(&FromHost::Refused { slot, refusal: Refusal::Component, text: format!("{error:#}") });
            return;
        }
    };
    let state = load.state.take();
    let mut plugin = Plugin {
        engine,
        clock,
        outlet,
        linked,
        load: Load { code: Vec::new(), ..load },
        declared: Vec::new(),
        live: None,
    };
    let ready = plugin.reset(state);
    outlet.send(&ready);
    for question in questions {
        let answer = match question {
            Question::Reset(state) => plugin.reset(state),
            Question::Process { now, columns } => plugin.process(now, columns),
            Question::Tick(now) => {
                plugin.add("tick", |store, transform| transform.call_tick(store, types::Now::from(now)))
            }
            Question::Finish(now) => {
                plugin.add("finish", |store, transform| transform.call_finish(store, types::Now::from(now)))
            }
            Question::Snapshot => plugin.snapshot(),
        };
        outlet.send(&answer);
    }
}

struct Plugin<'a> {
    engine: &'a Engine,
    clock: &'a Clock,
    outlet: &'a Outlet,
    linked: Linked,
    load: Load,
    declared: Vec<Declared>,
    /// `None` after a trap, until the next reset.
    live: Option<Live>,
}

impl Plugin<'_> {
    fn reset(&mut self, state: Option<Saved>) -> FromHost {
        let slot = self.load.slot;
        // The old instance's memory goes before the new one's comes.
        self.live = None;
        let limit = millis(self.load.init_ms);
        match self.instantiate(limit, state) {
            Ok(Ok(live)) => {
                let (stateful, tick_ms) = (live.state.is_some(), live.tick_ms);
                self.live = Some(live);
                FromHost::Ready { slot, declared: self.declared.clone(), stateful, tick_ms }
            }
            Ok(Err(Refused::World(text))) => {
                FromHost::Refused { slot, refusal: Refusal::Component, text: bounded(text) }
            }
            Ok(Err(Refused::Settings(text))) => {
                FromHost::Refused { slot, refusal: Refusal::Settings, text: bounded(text) }
            }
            Ok(Err(Refused::State(text))) => FromHost::Unrestored { slot, text: bounded(text) },
            Err(text) => FromHost::Trapped { slot, text },
        }
    }

    /// A fresh instance that was initialized and has its state again, all within the limit.
    fn instantiate(&mut self, limit: Duration, state: Option<Saved>) -> Result<Result<Live, Refused>, String> {
        let load = &self.load;
        let usage = Usage::new(load.memory);
        let ids = OwnIds { known: load.own.clone(), first: load.first_own };
        let guest = Guest::new(usage, load.slot, self.outlet.clone(), ids, self.declared.clone());
        let mut store = engine::store(self.engine, guest);
        store.set_epoch_deadline(Clock::epochs(limit));
        let running = self.clock.run();
        let instance = self.linked.pre.instantiate(&mut store);
        let instance = instance.map_err(|error| why("init", &error, limit, None))?;
        let world = |error| Refused::World(format!("{error:#}"));
        let transform = match self.linked.transform.load(&mut store, &instance) {
            Ok(transform) => transform,
            Err(error) => return Ok(Err(world(error))),
        };
        let exports = self.linked.state.as_ref().map(|state| state.load(&mut store, &instance)).transpose();
        let exports = match exports {
            Ok(exports) => exports,
            Err(error) => return Ok(Err(world(error))),
        };
        let setup = transform::Setup {
            config: load.settings.clone(),
            inputs: load.inputs.iter().map(point).collect(),
            seed: load.seed.clone(),
        };
        let plan = match transform.call_init(&mut store, &setup) {
            Ok(Ok(plan)) => plan,
            Ok(Err(text)) => return Ok(Err(Refused::Settings(text))),
            Err(error) => return Err(why("init", &error, limit, store.data_mut().last_error())),
        };
        if (1..TICK_LEAST_MS).contains(&plan.tick_ms) {
            let text = format!("asks for ticks each {} ms, expected {TICK_LEAST_MS} or more", plan.tick_ms);
            return Ok(Err(Refused::Settings(text)));
        }
        let guest = store.data_mut();
        guest.declaring = false;
        self.declared.clone_from(&guest.declared);
        if let (Some(exports), Some(state)) = (&exports, state) {
            let state = state::Saved { version: state.version, data: state.data.to_vec() };
            // A trap in here is the state's, not the plugin's: without it the plugin may well start.
            match exports.call_restore(&mut store, &state) {
                Ok(Ok(())) => {}
                Ok(Err(text)) => return Ok(Err(Refused::State(text))),
                Err(error) => {
                    let said = store.data_mut().last_error();
                    return Ok(Err(Refused::State(why("restore", &error, limit, said))));
                }
            }
        }
        drop(running);
        drop(store.data_mut().end_call());
        Ok(Ok(Live { store, transform, state: exports, tick_ms: plan.tick_ms }))
    }

    fn process(&mut self, now: Now, columns: Columns) -> FromHost {
        let slot = self.load.slot;
        let Some(Live { store, transform, state, .. }) = &mut self.live else {
            return FromHost::Trapped { slot, text: "process after a trap".to_owned() };
        };
        let limit = millis(self.load.call_ms);
        store.set_epoch_deadline(Clock::epochs(limit));
        let now = types::Now::from(now);
        let running = self.clock.run();
        let result = transform.call_process(&mut *store, now, &columns.into());
        drop(running);
        let said = store.data_mut().last_error();
        let metrics = store.data_mut().end_call();
        let emission: Emission = match result {
            Ok(Ok(emission)) => emission.into(),
            Ok(Err(text)) => return FromHost::Declined { slot, text: bounded(text) },
            Err(error) => return self.trapped(why("process", &error, limit, said)),
        };
        let wanted = state.as_ref().filter(|_| emission.lets_out());
        match wanted.map(|state| take_snapshot(store, state, self.clock, limit)).transpose() {
            Ok(state) => FromHost::Done { slot, emission: Box::new(emission), metrics, state },
            Err(text) => self.trapped(text),
        }
    }

    /// A call that lets the plugin speak for itself.
    fn add(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut Store<Guest>, &transform::Guest) -> wasmtime::Result<Result<types::Columns, String>>,
    ) -> FromHost {
        let slot = self.load.slot;
        let Some(Live { store, transform, state, .. }) = &mut self.live else {
            return FromHost::Trapped { slot, text: format!("{name} after a trap") };
        };
        let limit = millis(self.load.call_ms);
        store.set_epoch_deadline(Clock::epochs(limit));
        let running = self.clock.run();
        let result = call(store, transform);
        drop(running);
        let said = store.data_mut().last_error();
        let metrics = store.data_mut().end_call();
        let added: Columns = match result {
            Ok(Ok(added)) => added.into(),
            Ok(Err(text)) => return self.trapped(format!("{name}: {text}")),
            Err(error) => return self.trapped(why(name, &error, limit, said)),
        };
        let wanted = state.as_ref().filter(|_| !added.is_empty());
        match wanted.map(|state| take_snapshot(store, state, self.clock, limit)).transpose() {
            Ok(state) => FromHost::Added { slot, added, metrics, state },
            Err(text) => self.trapped(text),
        }
    }

    fn snapshot(&mut self) -> FromHost {
        let slot = self.load.slot;
        let Some(Live { store, state: Some(state), .. }) = &mut self.live else {
            return FromHost::Trapped { slot, text: "snapshot of what has no state".to_owned() };
        };
        match take_snapshot(store, state, self.clock, millis(self.load.call_ms)) {
            Ok(state) => FromHost::Snapshot { slot, state },
            Err(text) => self.trapped(text),
        }
    }

    /// The instance is of no more use.
    fn trapped(&mut self, text: String) -> FromHost {
        self.live = None;
        FromHost::Trapped { slot: self.load.slot, text: bounded(text) }
    }
}

fn take_snapshot(
    store: &mut Store<Guest>,
    state: &state::Guest,
    clock: &Clock,
    limit: Duration,
) -> Result<Saved, String> {
    store.set_epoch_deadline(Clock::epochs(limit));
    let running = clock.run();
    let result = state.call_snapshot(&mut *store);
    drop(running);
    let said = store.data_mut().last_error();
    drop(store.data_mut().end_call());
    match result {
        Ok(Ok(saved)) if saved.data.len() <= SNAPSHOT_MAX => {
            Ok(Saved { version: saved.version, data: saved.data.into() })
        }
        Ok(Ok(saved)) => Err(format!("snapshot has {} bytes (limit {SNAPSHOT_MAX})", saved.data.len())),
        Ok(Err(text)) => Err(format!("snapshot: {text}")),
        Err(error) => Err(why("snapshot", &error, limit, said)),
    }
}

const fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms as u64)
}
