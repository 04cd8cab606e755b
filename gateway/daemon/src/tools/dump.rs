//! `curb bus dump`: the frames on a bus as they pass.
//!
//! Beside the daemon it shows the daemon's own polls. Alone it opens the port, sends nothing, and shows what others say.

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use curb_source::{Link, Outcome, Probe, Question};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::args::DumpArgs;
use super::frames::{Check, Frame, Grouper};
use super::line::{Line, Watch};
use super::target::Known;
use super::{Error, colour, red};
use crate::cli::{FINE, FOUND};
use crate::field::hex;

/// Alone the port is looked at this often, and opened again if it was gone.
const LISTEN: Duration = Duration::from_secs(2);

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    v: u32,
    bus: &'a str,
    /// Hub time of the first byte.
    time_us: u64,
    sent: bool,
    bytes: String,
    check: &'static str,
    gap_us: Option<u64>,
}

/// `curb bus dump`.
pub(crate) async fn run(args: &DumpArgs, out: &mut impl Write) -> Result<u8, Error> {
    let known = Known::load(&args.line);
    let bus = known.heard_bus(&args.bus, &args.line)?;
    let line = Line::to(&bus, super::run_dir(&args.line, &known))?;
    if line.is_shared() && args.line.resets_line() {
        return Err(Error::Usage("the daemon hears the line at its own settings: leave -b, -P and -s away"));
    }
    let mut watch = line.watch().await?;
    if !args.line.json {
        let way = if line.is_shared() { "beside the daemon" } else { "alone, listening only" };
        writeln!(out, "# {} ({}), {way}", bus.label, bus.link.place())?;
        out.flush()?;
    }
    let grouper = Grouper::new(&bus.label, &bus.link, bus.settings.as_ref());
    let deadline = args.wait.map(|wait| Instant::now() + wait);
    let shown = tokio::select! {
        shown = show(args, &mut watch, grouper, deadline, out) => shown,
        error = keep_open(&line, &bus.link) => Err(error),
    };
    line.close().await;
    let shown = shown?;
    Ok(if args.count.is_some_and(|count| shown < count) { FOUND } else { FINE })
}

/// Alone nobody but us opens the port. Ends only by a fault.
async fn keep_open(line: &Line, link: &Link) -> Error {
    if line.is_shared() {
        return std::future::pending().await;
    }
    if let Link::Tcp(_) = link {
        return Error::Usage("over Modbus TCP others cannot be heard: dump it beside the daemon");
    }
    loop {
        let listen =
            Probe { unit: 0, question: Question::Listen, settings: None, timeout: Some(LISTEN), hold: Duration::ZERO };
        match line.probe(listen).await {
            Ok(probed) => {
                if let Outcome::Unusable(why) = probed.outcome {
                    return Error::Unusable(why);
                }
            }
            Err(error) => return error.into(),
        }
    }
}

/// Prints frames until there are enough, it is time, or Ctrl-C.
async fn show(
    args: &DumpArgs,
    watch: &mut Watch,
    mut grouper: Grouper,
    deadline: Option<Instant>,
    out: &mut impl Write,
) -> Result<u64, Error> {
    let far = Instant::now() + Duration::from_secs(86_400 * 365);
    let deadline = deadline.unwrap_or(far);
    let mut shown = 0;
    let colour = colour() && std::io::stdout().is_terminal();
    while args.count.is_none_or(|count| shown < count) {
        let silent = if grouper.waits() { Instant::now() + grouper.settle() } else { far };
        let frames = tokio::select! {
            chunk = timeout_at(deadline, watch.next()) => match chunk {
                Err(_elapsed) => break,
                Ok(chunk) => {
                    let Some((chunk, missed)) = chunk? else { break };
                    if missed > 0 {
                        eprint_note(&format!("{missed} chunks were not shown: this terminal is too slow"))?;
                    }
                    grouper.push(&chunk)
                }
            },
            () = sleep_until(silent) => grouper.flush(),
            _ = tokio::signal::ctrl_c() => break,
        };
        for frame in frames {
            if args.count.is_none_or(|count| shown < count) {
                print(args.line.json, &frame, colour, out)?;
                shown += 1;
            }
        }
        out.flush()?;
    }
    Ok(shown)
}

fn print(json: bool, frame: &Frame, colour: bool, out: &mut impl Write) -> Result<(), Error> {
    if json {
        let check = frame.check.as_str();
        let sent = frame.direction == curb_source::Direction::Sent;
        let (bytes, gap_us) = (hex(&frame.bytes), frame.gap_us);
        let entry = Entry { v: 1, bus: &frame.bus, time_us: frame.at_us, sent, bytes, check, gap_us };
        serde_json::to_writer(&mut *out, &entry).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let line = frame.to_string();
        let line = if frame.check == Check::Wrong { red(&line, colour) } else { line };
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A notice, which is no part of the output.
pub(super) fn eprint_note(text: &str) -> Result<(), Error> {
    writeln!(std::io::stderr(), "{text}")?;
    Ok(())
}
