//! `curb ping`: whether a device answers, how fast, and how often not.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use curb_model::{Access, Reason};
use curb_source::{Outcome, Probe, Probed, Question};
use serde::Serialize;
use tokio::time::Instant;

use super::args::PingArgs;
use super::line::Line;
use super::notation::{self, both};
use super::target::Known;
use super::{Error, trouble};
use crate::cli::{FINE, FOUND};

/// How long a serial line is left alone once it is open; see `rtu` in the source.
const OPENS: Duration = Duration::from_millis(350);

/// What the requests came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    sent: u32,
    /// Refusals too: who refuses is there.
    answered: u32,
    crc: u32,
    framing: u32,
    least: Option<Duration>,
    most: Duration,
    sum: Duration,
}

impl Tally {
    fn add(&mut self, probed: &Probed) {
        self.sent += 1;
        match &probed.outcome {
            Outcome::Failed(Reason::Crc) => self.crc += 1,
            Outcome::Failed(Reason::Framing) => self.framing += 1,
            Outcome::Failed(_) | Outcome::Unusable(_) => {}
            Outcome::Registers(_)
            | Outcome::Bits(_)
            | Outcome::Identity(_)
            | Outcome::ServerId(_)
            | Outcome::Done
            | Outcome::Exception(_) => {
                self.answered += 1;
                self.least = Some(self.least.map_or(probed.took, |least| least.min(probed.took)));
                self.most = self.most.max(probed.took);
                self.sum += probed.took;
            }
        }
    }

    /// Lost requests, in percent.
    fn loss(&self) -> f64 {
        f64::from(self.sent - self.answered) * 100.0 / f64::from(self.sent.max(1))
    }

    fn mean(&self) -> Duration {
        self.sum / self.answered.max(1)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, answered, crc, framing, .. } = self;
        write!(f, "{sent} sent, {answered} answered, {:.0} % lost", self.loss())?;
        if crc + framing > 0 {
            write!(f, ", {crc} with a wrong check sum, {framing} otherwise unreadable")?;
        }
        let Some(least) = self.least else { return Ok(()) };
        write!(f, "; min/avg/max {}/{}/{} ms", ms(least), ms(self.mean()), ms(self.most))
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// One line of `--json`: a request, or the sum of all.
#[derive(Debug, Default, Serialize)]
struct Entry {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<Sum>,
}

#[derive(Debug, Serialize)]
struct Sum {
    sent: u32,
    answered: u32,
    loss_percent: f64,
    crc: u32,
    framing: u32,
    min_ms: Option<f64>,
    avg_ms: Option<f64>,
    max_ms: Option<f64>,
}

/// `curb ping`.
pub(crate) async fn run(args: &PingArgs, out: &mut impl Write) -> Result<u8, Error> {
    let known = Known::load(&args.line);
    let register = args.register.as_deref().map(|text| notation::register(text, None, false)).transpose();
    let register = register.map_err(|source| Error::Option { option: "-r", source })?;
    let (bus, unit, own) = match args.unit {
        Some(unit) => (known.bus(&args.target, &args.line)?, unit, None),
        None => {
            let device = known.device(&args.target, Some(&args.line))?;
            let mut read = device.points.iter().filter(|point| point.access == Access::Read);
            let first = read.next().map(|point| (point.table, point.span()));
            (device.bus, device.device.unit_id, first)
        }
    };
    let (table, (address, quantity)) = match (register, own) {
        (Some((table, address)), _) => (table, (address, 1)),
        (None, Some(first)) => first,
        (None, None) => (curb_source::Table::Holding, (0, 1)),
    };
    bus.takes(unit)?;
    let line = Line::to(&bus, super::run_dir(&args.line, &known))?;
    if !line.is_shared() {
        // The rest that a line is given when it opens is no part of the first answer's time.
        let timeout = if crate::field::serial(&bus.link).is_some() { OPENS } else { Duration::from_millis(1) };
        let question = Question::Listen;
        let listen = Probe { unit, question, settings: None, timeout: Some(timeout), hold: Duration::ZERO };
        if let Outcome::Unusable(why) = line.probe(listen).await?.outcome {
            line.close().await;
            return Err(Error::Unusable(why));
        }
    }
    if !args.line.json {
        let way = if line.is_shared() { "through the daemon" } else { "alone" };
        writeln!(out, "PING {} on {} unit {unit}, {}, {way}", args.target, bus.label, both(table, address))?;
    }
    let question = Question::Read { table, address, quantity };
    let probe = Probe { unit, question, settings: None, timeout: args.line.timeout, hold: Duration::ZERO };
    let mut tally = Tally::default();
    let result = requests(args, &line, &probe, &mut tally, out).await;
    line.close().await;
    result?;
    if args.line.json {
        let Tally { sent, answered, crc, framing, .. } = tally;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let some = tally.least.is_some();
        let sum = Sum {
            sent,
            answered,
            loss_percent: tally.loss(),
            crc,
            framing,
            min_ms: tally.least.map(millis),
            avg_ms: some.then(|| millis(tally.mean())),
            max_ms: some.then(|| millis(tally.most)),
        };
        print_json(&Entry { v: 1, sum: Some(sum), ..Entry::default() }, out)?;
    } else {
        writeln!(out, "--- {}\n{tally}", args.target)?;
    }
    Ok(if tally.answered == tally.sent && tally.sent > 0 { FINE } else { FOUND })
}

/// Asks until it was often enough, or Ctrl-C.
async fn requests(
    args: &PingArgs,
    line: &Line,
    probe: &Probe,
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<(), Error> {
    for seq in 1..=args.count {
        let began = Instant::now();
        let probed = tokio::select! {
            probed = line.probe(probe.clone()) => probed?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tally.add(&probed);
        let why = trouble(&probed.outcome);
        let is_answer = matches!(probed.outcome, Outcome::Exception(_)) || why.is_none();
        if args.line.json {
            let ms = is_answer.then_some(probed.took.as_secs_f64() * 1e3);
            let quality = Some(super::quality(&probed.outcome));
            print_json(&Entry { v: 1, seq: Some(seq), quality, ms, sum: None }, out)?;
        } else if is_answer {
            let refusal = why.map(|why| format!("  ({why})")).unwrap_or_default();
            writeln!(out, "answer {seq}: {} ms{refusal}", ms(probed.took))?;
        } else {
            writeln!(out, "answer {seq}: {}", super::red(&why.unwrap_or_default(), super::colour()))?;
        }
        out.flush()?;
        if seq < args.count {
            tokio::select! {
                () = tokio::time::sleep_until(began + args.interval) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    }
    Ok(())
}

fn print_json(entry: &Entry, out: &mut impl Write) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, entry).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_counts_what_came_and_what_did_not() {
        let mut tally = Tally::default();
        let probed = |outcome, ms| Probed { outcome, heard: Vec::new(), took: Duration::from_millis(ms) };
        assert_eq!(tally.to_string(), "0 sent, 0 answered, 0 % lost");
        tally.add(&probed(Outcome::Registers(vec![1]), 10));
        tally.add(&probed(Outcome::Exception(2), 20));
        tally.add(&probed(Outcome::Failed(Reason::Timeout), 300));
        tally.add(&probed(Outcome::Failed(Reason::Crc), 30));
        let expected = "4 sent, 2 answered, 50 % lost, 1 with a wrong check sum, 0 otherwise unreadable; \
                        min/avg/max 10.0/15.0/20.0 ms";
        assert_eq!(tally.to_string(), expected);
    }
}
