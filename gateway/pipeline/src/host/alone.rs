//! A plugin without its process, thread and link: what the engine alone costs, for `make bench`. Nothing else uses it.

use std::io;
use std::sync::{Arc, Mutex};

use wasmtime::Store;
use wasmtime::component::Component;

use crate::columns::Columns;
use crate::config::{Engine, Limits};
use crate::error::EngineError;
use crate::host::bindings::curb::plugin::types;
use crate::host::bindings::exports::curb::plugin::transform;
use crate::host::engine::{self, Usage};
use crate::host::guest::{Guest, OwnIds};
use crate::host::plugin::{Linked, link};
use crate::host::{Outlet, convert};
use crate::link::Input;

/// No epoch passes here: nobody counts them.
const FAR: u64 = u64::MAX / 2;

/// A component that is compiled.
pub struct Alone {
    engine: wasmtime::Engine,
    linked: Linked,
    setup: transform::Setup,
}

/// An instance of it.
pub struct Instance {
    store: Store<Guest>,
    transform: transform::Guest,
}

/// A batch as it goes to a plugin.
#[derive(Debug)]
pub struct Rows(types::Columns);

impl Rows {
    /// One float and good for each point, numbered as in [`Alone::compile`].
    #[must_use]
    pub fn floats(values: &[f64], time: i64) -> Self {
        let points = (0..).take(values.len()).collect();
        let (times, kinds, quality) = (vec![time; values.len()], vec![3; values.len()], vec![0; values.len()]);
        Self(Columns { points, times, values: values.to_vec(), kinds, quality, others: Vec::new() }.into())
    }
}

impl Alone {
    /// Compiles a component; nothing is kept. `points`: by their names, the first is number 0.
    ///
    /// # Errors
    /// It is none, or not of our world.
    pub fn compile(kind: Engine, component: &[u8], settings: &str, points: &[String]) -> Result<Self, EngineError> {
        let engine = engine::engine(kind, Limits::default().memory)?;
        let linked = link(&engine, &Component::new(&engine, component)?)?;
        let input = |(id, name): (u32, &String)| convert::point(&Input { id, name: name.clone(), unit: None });
        let inputs = (0..).zip(points).map(input).collect();
        Ok(Self { engine, linked, setup: transform::Setup { config: settings.to_owned(), inputs, seed: vec![0; 32] } })
    }

    /// A fresh instance, initialized.
    ///
    /// # Errors
    /// It traps, or refuses its settings.
    pub fn instantiate(&self) -> Result<Instance, EngineError> {
        let outlet = Outlet(Arc::new(Mutex::new(Box::new(io::sink()))));
        let ids = OwnIds { known: Vec::new(), first: u32::MAX / 2 };
        let guest = Guest::new(Usage::new(Limits::default().memory), 0, outlet, ids, Vec::new());
        let mut store = engine::store(&self.engine, guest);
        store.set_epoch_deadline(FAR);
        let transform = self.linked.instantiate(&mut store)?;
        let ready = transform.call_init(&mut store, &self.setup)?;
        ready.map_err(wasmtime::Error::msg)?;
        Ok(Instance { store, transform })
    }
}

impl Instance {
    /// Handles a batch; gives how many rows pass.
    ///
    /// # Errors
    /// It traps, or declines.
    pub fn process(&mut self, time: i64, rows: &Rows) -> Result<usize, EngineError> {
        let now = types::Now { time, utc_offset: None };
        let emission = self.transform.call_process(&mut self.store, now, &rows.0)?;
        drop(self.store.data_mut().end_call());
        Ok(emission.map_err(wasmtime::Error::msg)?.keep.len())
    }
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alone").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}
