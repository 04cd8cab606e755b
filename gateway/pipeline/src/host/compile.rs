//! The compiler: one process for one component, which ends when it has answered.
//!
//! A component is hostile until proven otherwise, and the code generator has seen no component like it before: so it works in a
//! process that is confined like the host, with an end to its memory and to its time. Nothing is run here, so no memory of it is
//! ever executable.
//!
//! ```text
//! standard input: an Order, as a frame          standard output: ┌────┬──────────────────────────┐ to its end
//!                                                                │ u8 │ 0: code, 1: why not      │
//!                                                                └────┴──────────────────────────┘
//! ```

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use rustix::process::Resource;

use crate::codec::{Body, Damaged, Writer};
use crate::config::Engine;
use crate::host::{confine, engine};
use crate::link::{COMPONENT_MOST, LinkError, Message, read_frame};

/// The first byte of an answer that is code.
pub(crate) const CODE: u8 = 0;
/// The first byte of an answer that says why there is none.
pub(crate) const REFUSED: u8 = 1;

/// What is to be compiled, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) engine: Engine,
    /// Linear memory that the plugin may have: the code depends on it.
    pub(crate) memory: u64,
    /// Seconds of processor time.
    pub(crate) seconds: u64,
    /// Bytes of memory.
    pub(crate) bytes: u64,
    pub(crate) component: Vec<u8>,
}

impl Message for Order {
    const MAX: usize = COMPONENT_MOST + 64;

    fn write(&self, w: &mut Writer) {
        let pulley = u8::from(self.engine == Engine::Pulley);
        w.u8(pulley).u64(self.memory).u64(self.seconds).u64(self.bytes).bytes(&self.component);
    }

    fn read(r: &mut Body<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            engine: if r.flag()? { Engine::Pulley } else { Engine::Cranelift },
            memory: r.u64()?,
            seconds: r.u64()?,
            bytes: r.u64()?,
            component: r.bytes()?.to_vec(),
        })
    }
}

/// The body of `curb plugin-compile`: answers one order and ends. Not for people; refuses a terminal.
#[must_use]
pub fn plugin_compile() -> ExitCode {
    let input = io::stdin();
    if input.is_terminal() {
        return ExitCode::from(2);
    }
    let answered = confine::give_up_the_rest().map_err(LinkError::from).and_then(|()| {
        let Some(order) = read_frame::<Order>(&mut input.lock())? else { return Ok(()) };
        // Behind reading: the frame's length is bounded, and setting a limit is itself a call that the filter forbids.
        confine::limit(Resource::Data, order.bytes)?;
        confine::limit(Resource::Cpu, order.seconds)?;
        confine::filter()?;
        Ok(answer(&order, &mut io::stdout())?)
    });
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let said =
                writeln!(io::stderr(), "plugin compiler failed to {error}: {:?}", std::error::Error::source(&error));
            drop(said);
            ExitCode::FAILURE
        }
    }
}

fn answer(order: &Order, output: &mut impl Write) -> io::Result<()> {
    let compiled =
        engine::engine(order.engine, order.memory).and_then(|engine| engine.precompile_component(&order.component));
    let (kind, bytes) = match compiled {
        Ok(code) => (CODE, code),
        Err(error) => (REFUSED, format!("{error:#}").into_bytes()),
    };
    output.write_all(&[kind])?;
    output.write_all(&bytes)?;
    output.flush()
}
