//! What can be refused before anything runs. What goes wrong later is a [`Fault`](curb_model::Fault), not an error.

use std::io;
use std::path::PathBuf;

use curb_model::Name;

use crate::manifest::ManifestError;

/// Why a configuration or a component is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two plugins of one name.
    #[error("tell two plugins named {name} apart")]
    DuplicatePlugin {
        /// The name.
        name: Name,
    },
    /// The component file is not there or not readable.
    #[error("read component {}", path.display())]
    ReadComponent {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The component file is larger than any plugin needs to be.
    #[error("accept component {} of {len} bytes (limit {limit})", path.display())]
    ComponentTooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        len: u64,
        /// The largest size that is accepted.
        limit: u64,
    },
    /// The file is no WebAssembly component, or uses features that plugins do not have.
    #[error("compile component {}", path.display())]
    CompileComponent {
        /// Which file.
        path: PathBuf,
        /// What the engine said.
        source: EngineError,
    },
    /// The component imports or exports something else than a plugin does.
    #[error("run component {} as a plugin", path.display())]
    WrongWorld {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        source: EngineError,
    },
    /// What the component says of itself cannot be read.
    #[error("read the manifest in component {}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The engine cannot be set up on this machine.
    #[error("set up the plugin engine")]
    Engine(#[source] EngineError),
}

/// What the WebAssembly engine said, with its causes in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(Box<str>);

impl From<wasmtime::Error> for EngineError {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("{error:#}").into())
    }
}
