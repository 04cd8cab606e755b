//! The core's end: mosquitto_sub hears what arrives, and [`crate::counting`] counts it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use crate::bed::{Bed, READY, SITE};
use crate::counting::{Arrival, Counter, From, Tally};
use crate::error::Error;

const PROGRAM: &str = "mosquitto_sub";

/// For a subscription on loopback, and for a program's first reading at the core.
const DEADLINE: Duration = Duration::from_secs(20);

/// A subscriber of its own for each measurement, so that none counts what another left over.
#[derive(Debug)]
pub(crate) struct Core {
    lines: Lines<BufReader<ChildStdout>>,
    counter: Counter,
    _process: Child,
}

impl Core {
    /// Subscribed when it returns.
    pub(crate) async fn listen(bed: &Bed, from: From) -> Result<Self, Error> {
        let port = bed.plain_port.to_string();
        let hubs = format!("curb/v1/{SITE}/#");
        let mut process = Command::new(PROGRAM)
            .args(["-V", "5", "-q", "1", "--nodelay", "-F", "%U %t %p", "-p", &port])
            .args(["-t", &hubs, "-t", "loop/#", "-t", READY])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start { program: PROGRAM, source })?;
        let out = process.stdout.take().expect("stdout is piped above");
        let mut core = Self { lines: BufReader::new(out).lines(), counter: Counter::new(from), _process: process };
        let end = Instant::now() + DEADLINE;
        loop {
            let arrival = core.next(end).await?;
            match arrival.as_ref().map(|arrival| arrival.topic.as_str()) {
                Some(READY) => return Ok(core),
                // The birth of an earlier run is retained.
                Some(_) => {}
                None => {
                    let what = "mosquitto_sub to be subscribed";
                    return Err(Error::Silent { what, deadline: DEADLINE, log: String::new() });
                }
            }
        }
    }

    /// When the first reading came, since 1970. `log` is called if none comes.
    pub(crate) async fn first_reading(&mut self, log: impl FnOnce() -> String) -> Result<Duration, Error> {
        let end = Instant::now() + DEADLINE;
        let mut tally = Tally::default();
        while let Some(arrival) = self.next(end).await? {
            self.counter.count(&arrival, &mut tally)?;
            if tally.readings > 0 {
                return Ok(arrival.at);
            }
        }
        Err(Error::Silent { what: "a first reading at the core", deadline: DEADLINE, log: log() })
    }

    /// Counts for `time`.
    pub(crate) async fn collect(&mut self, time: Duration, tally: &mut Tally) -> Result<(), Error> {
        let end = Instant::now() + time;
        while let Some(arrival) = self.next(end).await? {
            self.counter.count(&arrival, tally)?;
        }
        Ok(())
    }

    /// Hears `count` messages whose topic has this level; the time from the first to the last.
    pub(crate) async fn span(&mut self, level: &str, count: u64, patience: Duration) -> Result<Duration, Error> {
        let end = Instant::now() + patience;
        let (mut first, mut heard) = (None, 0);
        while let Some(arrival) = self.next(end).await? {
            if arrival.topic.split('/').any(|word| word == level) {
                heard += 1;
                let first = *first.get_or_insert(arrival.at);
                if heard == count {
                    return Ok(arrival.at.saturating_sub(first));
                }
            }
        }
        Err(Error::Silent { what: "all messages at the core", deadline: patience, log: String::new() })
    }

    async fn next(&mut self, end: Instant) -> Result<Option<Arrival>, Error> {
        let Ok(line) = timeout_at(end, self.lines.next_line()).await else {
            return Ok(None);
        };
        let line = line.map_err(|source| Error::Start { program: PROGRAM, source })?;
        let ended = || Error::Ended { program: PROGRAM, log: String::new() };
        let line = line.ok_or_else(ended)?;
        Arrival::parse(&line).map(Some).ok_or(Error::Line { program: PROGRAM, line })
    }
}
