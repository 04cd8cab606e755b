//! The words for a trap: of a panic its place and message; on an author's machine, of a component with debug information, also the
//! functions that led there, each with file and line.
//!
//! Deliberately absent: debug information on a hub. Reading it takes time and memory that no limit of the plugin's counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustc_demangle::demangle;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

/// Bytes of a trap's words. A plugin's words go to the log and to the operator's screen; they need not fill it.
const WORDS: usize = 400;

/// The same where an author reads them.
const EXPLAINED: usize = 4_000;

/// Whether debug information is read.
static EXPLAINS: AtomicBool = AtomicBool::new(false);

/// From now on this process, and the hosts and compilers that it starts, read the debug information of components, and tell of a trap
/// all that they know. For tools on the machine of who has built the component; never on a hub: what is read there, and how long that
/// takes, is a stranger's choice.
pub fn explain_traps() {
    EXPLAINS.store(true, Ordering::Relaxed);
}

pub(crate) fn explains() -> bool {
    EXPLAINS.load(Ordering::Relaxed)
}

/// Why a call has trapped. `said` is the last line of that call at level `error`: before a panic ends in `unreachable`, the SDK says
/// there what a plugin can know of it.
pub(super) fn why(call: &str, error: &wasmtime::Error, limit: Duration, said: Option<String>) -> String {
    let text = match (error.downcast_ref::<Trap>(), said) {
        (Some(Trap::Interrupt), _) => format!("{call} ran longer than {limit:?}"),
        (Some(Trap::UnreachableCodeReached), Some(said)) => format!("{call}: {said}"),
        // The cause alone: the engine's whole text is a backtrace of many lines.
        _ => format!("{call}: {}", error.root_cause()),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().filter(|_| explains()).map(|trace| trace.frames());
    // The first line is what a hub says, so that both can be compared.
    let text = cut(text, WORDS);
    bounded(frames.unwrap_or_default().iter().flat_map(frame).fold(text, |text, line| text + &line))
}

/// Where the compiler says that its own library is: on no machine, and in nobody's plugin.
const STD: &str = "/rustc/";

/// What the debug information says of a frame: a line for each function that was compiled into it. None without one, and none of what
/// stands between a plugin's functions and the trap: std's own.
fn frame(frame: &FrameInfo) -> impl Iterator<Item = String> {
    // The last is the function itself, of which the component has the whole name; the others were compiled into it.
    let last = frame.symbols().len().saturating_sub(1);
    frame.symbols().iter().enumerate().filter_map(move |(place, symbol)| {
        let (file, line) = (symbol.file().filter(|file| !file.starts_with(STD))?, symbol.line()?);
        let whole = frame.func_name().filter(|_| place == last);
        let name = whole.or(symbol.name()).map_or_else(|| "?".to_owned(), |name| format!("{:#}", demangle(name)));
        Some(format!("\n  in {name} ({file}:{line})"))
    })
}

pub(super) fn bounded(text: String) -> String {
    cut(text, if explains() { EXPLAINED } else { WORDS })
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
