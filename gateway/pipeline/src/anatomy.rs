//! What a component is made of, read from its bytes without compiling or running it, and what of that no hub would run. Pure.
//!
//! The host judges again when it compiles and links, and its word is the last: about the contract, imports and types it is the only one.
//!
//! Deliberately absent: types of functions.

use wasmparser::{BinaryReaderError, Parser, Payload};

/// What every plugin exports.
const TRANSFORM: &str = "curb:plugin/transform";

/// What a plugin with state exports as well.
const STATE: &str = "curb:plugin/state";

/// Bytes of a page of memory.
const PAGE: u64 = 64 << 10;

/// What a plugin is to a hub, by its exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It forgets everything when it is started anew.
    Filter,
    /// It has state that outlives it.
    StatefulFilter,
}

impl World {
    /// Its name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::StatefulFilter => "stateful-filter",
        }
    }
}

/// What a component is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// It is a module and no component at all.
    pub is_module: bool,
    /// What it asks its hub for, as `curb:plugin/log@0.1.0`.
    pub imports: Vec<String>,
    /// What it offers, in the same form.
    pub exports: Vec<String>,
    /// Bytes of code, summed over its modules.
    pub code: u64,
    /// Bytes of data that its memories begin with.
    pub data: u64,
    /// Bytes of names and debug information: nothing that a hub needs.
    pub debug: u64,
    /// Bytes of memory that it asks for at start, summed over its memories.
    pub memory: u64,
}

/// What no hub would run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It is something else altogether.
    #[error("is no WebAssembly")]
    NoWasm,
    /// It begins like a component.
    #[error("is cut off, or damaged, near byte {at}")]
    Torn {
        /// Where it cannot be read on.
        at: usize,
    },
    /// It is no component.
    #[error("is a core module, not a component: link it with wasm-component-ld, as `curb plugin build` does")]
    Module,
    /// It asks for more memory than it may have by default.
    #[error("asks for {wanted} bytes of memory at start (limit {limit}, unless its `limits.memory` says otherwise)")]
    Memory {
        /// Bytes that it asks for.
        wanted: u64,
        /// Bytes that it may have.
        limit: u64,
    },
}

impl Anatomy {
    /// Takes it apart.
    ///
    /// # Errors
    /// The bytes are no WebAssembly, or end before it does.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of some forty parts few show")]
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut anatomy = Self::default();
        // How deep in nested components and modules; what these import and export is wired within.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    anatomy.is_module = encoding == wasmparser::Encoding::Module;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        anatomy.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        anatomy.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        anatomy.memory = anatomy.memory.saturating_add(memory?.initial.saturating_mul(PAGE));
                    }
                }
                Payload::CodeSectionStart { size, .. } => anatomy.code += u64::from(size),
                Payload::DataSection(section) => anatomy.data += length(&section.range()),
                Payload::CustomSection(section) if is_debug(section.name()) => {
                    anatomy.debug += length(&section.range());
                }
                _ => {}
            }
        }
        Ok(anatomy)
    }

    /// The version of the contract that it was made for, if it is a plugin.
    #[must_use]
    pub fn contract(&self) -> Option<&str> {
        self.export(TRANSFORM)
    }

    /// What it is, if it is a plugin.
    #[must_use]
    pub fn world(&self) -> Option<World> {
        let stateful = if self.export(STATE).is_some() { World::StatefulFilter } else { World::Filter };
        self.export(TRANSFORM).map(|_| stateful)
    }

    /// All that no hub with this limit of memory would run.
    #[must_use]
    pub fn objections(&self, memory: u64) -> Vec<Objection> {
        let (wanted, limit) = (self.memory, memory);
        let module = self.is_module.then_some(Objection::Module);
        let memory = (wanted > limit).then_some(Objection::Memory { wanted, limit });
        module.into_iter().chain(memory).collect()
    }

    /// The version of an interface of the contract that it exports.
    fn export(&self, interface: &str) -> Option<&str> {
        let versions = self.exports.iter().filter_map(|name| name.strip_prefix(interface)?.strip_prefix('@'));
        versions.max()
    }
}

/// Sections that only people and their tools read.
pub(crate) fn is_debug(section: &str) -> bool {
    matches!(section, "name" | "component-name" | "producers" | "target_features") || section.starts_with(".debug_")
}

fn length(range: &std::ops::Range<usize>) -> u64 {
    range.len().try_into().unwrap_or(u64::MAX)
}
