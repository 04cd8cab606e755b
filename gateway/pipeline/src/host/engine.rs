//! How WebAssembly is run: what is switched off, and what a plugin may take.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::{Config, Engine, ResourceLimiter, Store, WasmBacktraceDetails};

use crate::config::Engine as Kind;
use crate::host::guest::Guest;
use crate::host::why;

/// The interpreter's code, for this machine's width and order of bytes.
const PULLEY: &str = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "little")) {
    (true, true) => "pulley64",
    (true, false) => "pulley64be",
    (false, true) => "pulley32",
    (false, false) => "pulley32be",
};

/// Stack of the guest's code. A filter needs a few KiB; the thread's stack has room for it many times over.
const WASM_STACK: usize = 256 << 10;

/// Bytes that one host call, or one answer, may lift out of a plugin. A thousand rows are 22 KB; the engine's own
/// default of 128 MiB would let a plugin's answer fill a hub.
const HOSTCALL_BYTES: usize = 1 << 20;

/// Distance of the guard behind a memory. A multiple of every page size, 64 KiB included.
const GUARD: u64 = 64 << 10;

/// Table elements of a plugin, summed. A Rust filter has some hundred functions.
const TABLE_ELEMENTS: usize = 10_000;
const TABLES: usize = 8;
const INSTANCES: usize = 20;
const MEMORIES: usize = 4;

/// An engine for one plugin, with address space reserved for its memory and no more: the 4 GiB that the engine takes by
/// default cannot be mapped on a small hub. Every proposal that filters do not need is off, because each is code that
/// could be wrong.
pub(super) fn engine(kind: Kind, memory: u64) -> wasmtime::Result<Engine> {
    Engine::new(&config(kind, memory)?)
}

/// What compiled code depends on beside its component: version and configuration of the engine, and the machine.
pub(crate) fn fingerprint(kind: Kind, memory: u64) -> wasmtime::Result<u64> {
    let mut config = config(kind, memory)?;
    // Its process runs no code of plugins: it keeps its own handlers of signals.
    config.signals_based_traps(false);
    let mut hasher = DefaultHasher::new();
    Engine::new(&config)?.precompile_compatibility_hash().hash(&mut hasher);
    Ok(hasher.finish())
}

/// The same, which also counts what runs: for a measurement, not for a hub.
pub(super) fn metered(kind: Kind, memory: u64) -> wasmtime::Result<Engine> {
    Engine::new(config(kind, memory)?.consume_fuel(true))
}

fn config(kind: Kind, memory: u64) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    if kind == Kind::Pulley {
        config.target(PULLEY)?;
    }
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .memory_reservation(memory)
        .memory_reservation_for_growth(0)
        .memory_guard_size(GUARD)
        .memory_may_move(false)
        // The same NaN on every hub: a replay gives the same bits.
        .cranelift_nan_canonicalization(true)
        // Never by an environment variable: what reads debug information reads what a stranger wrote.
        .wasm_backtrace_details(if why::explains() {
            WasmBacktraceDetails::Enable
        } else {
            WasmBacktraceDetails::Disable
        })
        .concurrency_support(false)
        .gc_support(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        // What joins the parts of a component, as those of a runtime in JavaScript, looks into the memories of both: without it
        // the compiler panics. `Usage` sums up all memories.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false);
    Ok(config)
}

/// A store for a fresh instance, with its limits.
pub(super) fn store(engine: &Engine, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.usage);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    // Where fuel is counted, there is always enough; where it is not, there is none to be set.
    drop(store.set_fuel(u64::MAX));
    store
}

/// What an instance has taken. The engine's own limiter looks at each memory alone, so that a plugin with four memories
/// would get its limit four times.
#[derive(Debug)]
pub(super) struct Usage {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
    /// What the last permission added, to take back if the growth fails all the same.
    last: usize,
}

/// Growing further would break a limit.
#[derive(Debug, thiserror::Error)]
enum Exceeded {
    #[error("wants {wanted} bytes of memory (limit {limit})")]
    Memory { wanted: usize, limit: usize },
    #[error("wants {wanted} table elements (limit {TABLE_ELEMENTS})")]
    Table { wanted: usize },
}

impl Usage {
    pub(super) fn new(memory_limit: u64) -> Self {
        let memory_limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
        Self { memory_limit, memory: 0, table_elements: 0, last: 0 }
    }
}

impl ResourceLimiter for Usage {
    /// An error and not `false`: the plugin is to end here with the reason, not to go on and abort without one.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let wanted = self.memory.saturating_add(more);
        if wanted > self.memory_limit {
            return Err(wasmtime::Error::new(Exceeded::Memory { wanted, limit: self.memory_limit }));
        }
        (self.memory, self.last) = (wanted, more);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory = self.memory.saturating_sub(self.last);
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        if wanted > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(Exceeded::Table { wanted }));
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
