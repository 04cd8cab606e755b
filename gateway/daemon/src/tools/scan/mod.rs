//! `curb scan`: which units are on a line, at which settings, and if none: why.
//!
//! ```text
//! sweep (whom to ask at what, pure) ──► a probe ──► sign (what its bytes mean, pure)
//!                                                     └► verdict (what all signs mean, pure) ──► report, propose
//! ```
//!
//! Deliberately absent: writing anything, and devices that talk by themselves.

mod fingerprint;
mod identify;
mod propose;
mod report;
mod sign;
mod sweep;
mod verdict;

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use curb_model::Reason;
use curb_source::{Link, Outcome, Parity, Probe, Probed, Question, SerialConfig, Table};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::identify::Identity;
use self::sign::Sign;
use self::sweep::{Check, Setting, Sweep};
use self::verdict::Seen;
use super::Error;
use super::args::ScanArgs;
use super::line::Line;
use super::target::{Bus, Known};
use crate::cli::{CANNOT, FINE, FOUND};
use crate::config::Library;

/// How long a unit on a line may take to begin its answer. Slow meters take 100 ms; a scan waits for hundreds of units that
/// are not there.
const SERIAL_TIMEOUT: Duration = Duration::from_millis(150);

/// The same of a unit that is likely to be there: as long as polls wait, so that who is polled is also found.
const LIKELY_TIMEOUT: Duration = Duration::from_millis(300);

/// Settings, the line's own first, at which likely units have that long, and those that are silent are asked for an input
/// register, too: some let function 3 go by. At all settings this would leave no time to ask every unit at one of them,
/// which in a minute just fits (2026-11-26).
const PATIENT_SETTINGS: usize = 3;

/// The same over TCP, where a gateway and its own line lie between.
const TCP_TIMEOUT: Duration = Duration::from_millis(500);

/// How long is listened behind an answer, or for as long as the unit was given if that is shorter: a second device with this
/// address may be slower than the first. Most devices that are slow take 30 to 100 ms.
const SECOND_ANSWER: Duration = Duration::from_millis(150);

/// How long is listened before anything is asked. Another master polls more often than that.
const LISTEN: Duration = Duration::from_millis(1_000);

/// Enough to see whether a port is still there.
const LOOK: Duration = Duration::from_millis(5);

/// Addresses that devices are delivered with; the profiles' own. Asked first, at every setting.
const FACTORY: [u8; 5] = [1, 2, 3, 10, 100];

/// Serial addresses (Modbus over Serial Line 1.02, section 2.2).
const UNITS: std::ops::RangeInclusive<u8> = 1..=247;

/// Exceptions of a gateway whose own device is not there.
const GATEWAY: [u8; 2] = [10, 11];

/// A unit that is there.
#[derive(Debug, Clone)]
struct Unit {
    id: u8,
    setting: Option<Setting>,
    /// `None`: there was no time to ask, or no way any more.
    identity: Option<Identity>,
}

impl Unit {
    /// What it says of itself, for people.
    fn words(&self) -> String {
        self.identity.as_ref().map_or_else(|| "not identified".to_owned(), ToString::to_string)
    }
}

/// A unit that was found, at which settings, and what it said to the first read.
type First = (u8, Option<Setting>, (Table, Outcome));

/// What the sweep has come to so far. It outlives the sweep, which may be ended at any moment.
#[derive(Debug, Default)]
struct Found {
    seen: Seen,
    outcomes: Vec<First>,
    requests: usize,
    complete: bool,
}

/// Whom to ask.
#[derive(Debug)]
struct Asked {
    serial: Option<SerialConfig>,
    settings: Vec<Option<Setting>>,
    units: Vec<u8>,
    likely: Vec<u8>,
    timeouts: Timeouts,
    began: Instant,
}

/// What a scan has come to.
#[derive(Debug)]
struct Report {
    bus: Bus,
    units: Vec<Unit>,
    verdicts: Vec<verdict::Verdict>,
    requests: usize,
    took: Duration,
    /// Whether everything was asked that was to be.
    complete: bool,
}

/// `curb scan`.
pub(crate) async fn run(args: &ScanArgs, out: &mut impl Write) -> Result<u8, Error> {
    let known = Known::load(&args.line);
    let bus = known.bus(&args.bus, &args.line)?;
    let line = Line::to(&bus, super::run_dir(&args.line, &known))?;
    let report = scan(args, bus, known.library(), &line).await;
    line.close().await;
    let report = report?;
    if args.line.json {
        report::print_json(&report, out)?;
    } else if args.propose && report.units.is_empty() {
        // That is no config.
        report::print(&report, "", &mut std::io::stderr())?;
    } else if args.propose {
        propose::print(&report, out)?;
    } else {
        report::print(&report, "", out)?;
    }
    let gone = report.verdicts.iter().any(|verdict| matches!(verdict, verdict::Verdict::PortGone { .. }));
    Ok(match (report.units.is_empty(), report.verdicts.is_empty()) {
        _ if gone => CANNOT,
        (false, true) => FINE,
        (true | false, _) => FOUND,
    })
}

/// The whole of it, as far as it comes before the budget is used up or somebody presses Ctrl-C.
async fn scan(args: &ScanArgs, bus: Bus, library: &Library, line: &Line) -> Result<Report, Error> {
    let serial = match (&bus.settings, &bus.link) {
        (Some(settings), _) => Some(settings.clone()),
        (None, link) => crate::field::serial(link).cloned(),
    };
    let own = serial.as_ref().map(Setting::of);
    let parity = args.line.parity.map(|parity| match parity {
        Parity::None => Check::None,
        Parity::Even => Check::Even,
        Parity::Odd => Check::Odd,
    });
    let settings = own.map_or_else(|| vec![None], |own| sweep::settings(own, args.line.baud, parity));
    let units: Vec<u8> = match (&args.units, &bus.link) {
        (Some(units), _) => {
            units.0.iter().try_for_each(|&unit| bus.takes(unit))?;
            units.0.clone()
        }
        (None, Link::Tcp(_)) => UNITS.chain([0, 255]).collect(),
        (None, _) => UNITS.collect(),
    };
    let likely: Vec<u8> = if args.units.as_ref().is_some_and(|units| units.0.len() <= FACTORY.len()) {
        units.clone()
    } else {
        let known = bus.units();
        let new = |unit: &u8| !known.contains(unit);
        known.iter().copied().chain(FACTORY.into_iter().filter(new)).collect()
    };
    let timeouts = Timeouts::new(args.line.timeout, serial.is_some());
    let seen = Seen { own: bus.name.as_ref().and(own), serial: serial.is_some(), ..Seen::default() };
    let mut found = Found { seen, ..Found::default() };
    let began = Instant::now();
    let asked = Asked { serial, settings, units, likely, timeouts, began };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let interrupted = tokio::select! {
        swept = sweep(args, &bus, line, &asked, &mut found) => { swept?; false }
        _ = interrupt.recv() => true,
    };
    clear_progress();
    let Found { seen, mut outcomes, requests, complete } = found;
    let all_the_same = !seen.serial && outcomes.windows(2).all(|pair| pair[0].2 == pair[1].2);
    // Nobody was asked, so nobody was silent.
    let none = interrupted && requests == 0;
    let verdicts = if none { Vec::new() } else { verdict::verdicts(&seen, all_the_same) };
    let every = verdicts.iter().any(|verdict| matches!(verdict, verdict::Verdict::EveryUnit { .. }));
    outcomes.sort_by_key(|(unit, ..)| *unit);
    outcomes.dedup_by_key(|(unit, ..)| *unit);
    // One device is told once.
    outcomes.truncate(if every { 1 } else { usize::MAX });
    let unit = |&(id, setting, _): &First| Unit { id, setting, identity: None };
    let mut units: Vec<Unit> = outcomes.iter().map(unit).collect();
    if !interrupted && seen.gone.is_none() {
        tokio::select! {
            identified = identify_all(line, library, &asked, &outcomes, &mut units) => identified?,
            () = sleep_until(began + args.budget) => {}
            _ = interrupt.recv() => {}
        }
    }
    let complete = complete && units.iter().all(|unit| unit.identity.is_some());
    Ok(Report { bus, units, verdicts, requests, took: began.elapsed(), complete })
}

/// Asks who is there. What it has found is in `found` whenever it is dropped.
async fn sweep(args: &ScanArgs, bus: &Bus, line: &Line, asked: &Asked, found: &mut Found) -> Result<(), Error> {
    let Asked { serial, settings, units, likely, timeouts, began } = asked;
    let patient_at: Vec<Option<Setting>> = settings.iter().copied().take(PATIENT_SETTINGS).collect();
    let Found { seen, outcomes, requests, complete } = found;
    if serial.is_some() && !line.is_shared() {
        let question = Question::Listen;
        let listen = Probe { unit: 0, question, settings: None, timeout: Some(LISTEN), hold: Duration::ZERO };
        seen.strangers = Some(Sign::of_strangers(&usable(line.probe(listen).await?)?.heard));
    }
    let mut sweep = Sweep::new(settings.clone(), likely, units.clone(), args.budget);
    let mut as_input = None;
    while let Some((ask, table)) =
        as_input.take().map(|ask| (ask, Table::Input)).or_else(|| Some((sweep.next(began.elapsed())?, Table::Holding)))
    {
        let (setting, unit) = ask;
        let is_likely = likely.contains(&unit) && (patient_at.contains(&setting) || sweep.is_locked());
        let timeout = timeouts.of(is_likely && table == Table::Holding);
        progress(setting, unit, outcomes.len(), &sweep, began.elapsed(), args.budget);
        let probe = probe(unit, table, setting, serial.as_ref(), timeout);
        let probed = line.probe(probe.clone()).await?;
        *requests += 1;
        if let Some(why) = gone(line, &probed, serial.is_some(), *requests).await? {
            seen.gone = Some(why);
            break;
        }
        let mut sign = sign(unit, &probed);
        // Connections of Modbus TCP carry the unit's word and no line.
        if sign == Sign::Answer && !matches!(bus.link, Link::Tcp(_)) {
            let listen = Probe { question: Question::Listen, timeout: Some(timeout.min(SECOND_ANSWER)), ..probe };
            if sign::is_second_answer(unit, table, &line.probe(listen).await?.heard) {
                sign = Sign::Doubled;
            }
        }
        let is_silent = matches!(sign, Sign::Silence | Sign::Echo);
        if is_silent && is_likely && table == Table::Holding {
            as_input = Some(ask);
            continue;
        }
        seen.signs.push((setting, unit, sign));
        if matches!(sign, Sign::Answer | Sign::Doubled) {
            outcomes.push((unit, setting, (table, probed.outcome)));
        }
        sweep.take(ask, sign);
    }
    *complete = seen.gone.is_none() && sweep.next(Duration::ZERO).is_none();
    Ok(())
}

/// Asks the units who they are. Those that it has come to are in `units` whenever it is dropped.
async fn identify_all(
    line: &Line,
    library: &Library,
    Asked { serial, timeouts, .. }: &Asked,
    outcomes: &[First],
    units: &mut [Unit],
) -> Result<(), Error> {
    let known = fingerprint::known(library, serial.is_some());
    for ((id, setting, first), unit) in outcomes.iter().zip(units) {
        // It is there, and may take its time.
        let with =
            |question| Probe { question, ..probe(*id, Table::Holding, *setting, serial.as_ref(), timeouts.of(true)) };
        unit.identity = Some(identify::identify(line, with, first, &known).await?);
    }
    Ok(())
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// Of a unit that is likely to be there.
    likely: Duration,
    /// Of any other.
    other: Duration,
}

impl Timeouts {
    /// What the command line says holds for all.
    fn new(asked: Option<Duration>, serial: bool) -> Self {
        let (likely, other) = if serial { (LIKELY_TIMEOUT, SERIAL_TIMEOUT) } else { (TCP_TIMEOUT, TCP_TIMEOUT) };
        Self { likely: asked.unwrap_or(likely), other: asked.unwrap_or(other) }
    }

    const fn of(self, is_likely: bool) -> Duration {
        if is_likely { self.likely } else { self.other }
    }
}

fn probe(unit: u8, table: Table, setting: Option<Setting>, serial: Option<&SerialConfig>, timeout: Duration) -> Probe {
    let question = Question::Read { table, address: 0, quantity: 1 };
    let settings = setting.zip(serial).map(|(setting, serial)| setting.on(serial));
    Probe { unit, question, settings, timeout: Some(timeout), hold: Duration::ZERO }
}

/// Why the port or address cannot be used any more, if that is so. A port that only does not have a setting can be listened
/// on; the first request must at least find it.
async fn gone(line: &Line, probed: &Probed, serial: bool, requests: usize) -> Result<Option<String>, Error> {
    match &probed.outcome {
        Outcome::Unusable(why) if requests == 1 => Err(Error::Unusable(why.clone())),
        Outcome::Failed(Reason::Port) if serial => Ok(Some("it went while a unit was asked".to_owned())),
        Outcome::Unusable(_) => {
            let question = Question::Listen;
            let listen = Probe { unit: 0, question, settings: None, timeout: Some(LOOK), hold: Duration::ZERO };
            let outcome = line.probe(listen).await?.outcome;
            Ok(if let Outcome::Unusable(why) = outcome { Some(why) } else { None })
        }
        Outcome::Registers(_)
        | Outcome::Bits(_)
        | Outcome::Identity(_)
        | Outcome::ServerId(_)
        | Outcome::Done
        | Outcome::Exception(_)
        | Outcome::Failed(_) => Ok(None),
    }
}

/// The sign of a probe.
fn sign(unit: u8, probed: &Probed) -> Sign {
    match &probed.outcome {
        Outcome::Exception(code) if GATEWAY.contains(code) => Sign::Silence,
        // A setting that this port does not have.
        Outcome::Unusable(_) => Sign::Silence,
        Outcome::Registers(_)
        | Outcome::Bits(_)
        | Outcome::Identity(_)
        | Outcome::ServerId(_)
        | Outcome::Done
        | Outcome::Exception(_)
        | Outcome::Failed(_) => Sign::of(unit, probed),
    }
}

fn usable(probed: Probed) -> Result<Probed, Error> {
    if let Outcome::Unusable(why) = probed.outcome { Err(Error::Unusable(why)) } else { Ok(probed) }
}

/// One line on the terminal, written over again and again.
fn progress(setting: Option<Setting>, unit: u8, found: usize, sweep: &Sweep, elapsed: Duration, budget: Duration) {
    let mut terminal = std::io::stderr();
    if !terminal.is_terminal() {
        return;
    }
    let setting = setting.map(|setting| format!("{setting}, ")).unwrap_or_default();
    let (elapsed, budget, left) = (elapsed.as_secs(), budget.as_secs(), sweep.left());
    let text = format!("\r\x1b[K{elapsed} of {budget} s: {setting}unit {unit}, {left} to ask, {found} found");
    // A terminal that is gone needs no progress line.
    drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
}

fn clear_progress() {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        drop(terminal.write_all(b"\r\x1b[K"));
    }
}
