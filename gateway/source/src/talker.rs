//! A device that talks by itself: cuts what it says into frames, decodes them, and notices when it falls silent.
//!
//! Nobody can ask a talker again, and it does not wait: what the pipeline has no room for is counted as dropped.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Name, Reading, Reason, Sample, Stream};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use crate::codec;
use crate::config::{Decode, Place, SerialConfig, TalkerDevice, TalkerPoint};
use crate::frame::{Before, Frame, Framer};
use crate::health::DeviceState;
use crate::outbox::{Closed, Outbox};
use crate::port::Port;
use crate::reopen::{PORT_REST, Reopen};
use crate::thread::Context;

/// Silence after which what comes is a new frame. Guessed: talkers write a line in one go, and some compute for a tenth
/// of a second in the middle of it.
const PAUSE: Duration = Duration::from_millis(250);

/// A running talker.
#[derive(Debug)]
pub(crate) struct Talker<'a, P> {
    context: &'a Context,
    name: &'a Name,
    stream: Stream,
    config: &'a TalkerDevice,
    serial: &'a SerialConfig,
    port: Option<P>,
    reopen: Reopen,
    framer: Framer,
    /// When the last bytes came, or the port was opened.
    heard: Instant,
    /// When its silence is told of next.
    stale: Instant,
}

/// What a talker waits for.
#[derive(Debug)]
enum Event {
    Stop,
    Bytes(io::Result<Vec<u8>>),
    Stale,
    Retry,
}

impl<'a, P: Port> Talker<'a, P> {
    pub(crate) fn new(
        name: &'a Name,
        config: &'a TalkerDevice,
        serial: &'a SerialConfig,
        framer: Framer,
        context: &'a Context,
    ) -> Self {
        let now = Instant::now();
        // After a crash the counts go on.
        context.board.lock().devices.entry(name.clone()).or_default();
        Self {
            context,
            name,
            stream: Stream::device(name),
            config,
            serial,
            port: None,
            reopen: Reopen::new(PORT_REST),
            framer,
            heard: now,
            stale: now + config.stale_after,
        }
    }

    /// Runs until it is told to stop, or nobody takes what it hears.
    pub(crate) async fn run(mut self, outbox: &mut Outbox) {
        let mut result = self.open(outbox);
        while result.is_ok() {
            result = match self.next().await {
                Event::Stop => return,
                Event::Bytes(Ok(bytes)) => self.take(&bytes, outbox),
                Event::Bytes(Err(error)) => self.lose(&error, outbox),
                Event::Stale => self.note_silence(outbox),
                Event::Retry => self.open(outbox),
            };
        }
    }

    async fn next(&mut self) -> Event {
        let retry = self.reopen.retry();
        let timer = retry.map_or(self.stale, |retry| retry.min(self.stale));
        let mut bytes = [0; 512];
        let port = &mut self.port;
        let read = async {
            match port {
                Some(port) => port.read(&mut bytes).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Event::Stop,
            read = read => Event::Bytes(match read {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => Ok(bytes[..len].to_vec()),
                Err(error) => Err(error),
            }),
            () = sleep_until(timer) => if timer == self.stale { Event::Stale } else { Event::Retry },
        }
    }

    fn open(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        match P::open(self.serial) {
            Ok(port) => {
                self.port = Some(port);
                self.framer.reset();
                self.heard = Instant::now();
                self.stale = self.heard + self.config.stale_after;
                if self.reopen.back(self.context) {
                    self.context.board.lock().bus.counters.reopened += 1;
                }
                Ok(())
            }
            Err(error) => self.lose(&error, outbox),
        }
    }

    /// The port is gone: its points are bad now, and again whenever the talker would be called silent.
    fn lose(&mut self, error: &io::Error, outbox: &mut Outbox) -> Result<(), Closed> {
        self.port = None;
        let is_news = self.reopen.retry().is_none();
        self.reopen.lost(self.context, error);
        if !is_news {
            return Ok(());
        }
        self.stale = Instant::now() + self.config.stale_after;
        self.all_bad(Reason::Port, outbox)
    }

    fn note_silence(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        self.stale += self.config.stale_after;
        if self.port.is_none() {
            return self.all_bad(Reason::Port, outbox);
        }
        let was_silent = matches!(self.state(), DeviceState::Silent(_));
        self.all_bad(Reason::Stale, outbox)?;
        if !was_silent {
            let (bus, device, after) = (&self.context.bus, self.name, self.config.stale_after);
            tracing::warn!(%bus, %device, word = "unit-silent", ?after, "the talker has fallen silent");
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), Closed> {
        let now = Instant::now();
        let before = if now.duration_since(self.heard) >= PAUSE { Before::Pause } else { Before::Flow };
        self.heard = now;
        for frame in self.framer.push(bytes, before) {
            let at = self.context.clock.now();
            let line = match &frame {
                Frame::Whole(bytes) => str::from_utf8(bytes).map_err(|_not_text| Reason::Decode),
                Frame::Broken => Err(Reason::Framing),
            };
            self.speak_of(line.is_ok());
            let sample = |point| match line {
                Ok(line) => from_columns(point, line, &self.config.decode),
                Err(reason) => Sample::Bad(reason),
            };
            let readings = self.config.points.iter();
            let readings =
                readings.map(|point| Reading { point: Arc::clone(&point.point), at, sample: sample(point) }).collect();
            self.stale = now + self.config.stale_after;
            self.hand_on(readings, outbox)?;
        }
        Ok(())
    }

    /// Counts a frame, and says so if it ends a silence.
    fn speak_of(&self, is_whole: bool) {
        if let DeviceState::Silent(_) = self.state() {
            let (bus, device) = (&self.context.bus, self.name);
            tracing::info!(%bus, %device, word = "unit-back", "the talker speaks again");
        }
        let counters = &mut self.context.board.lock().bus.counters;
        if is_whole {
            counters.answers += 1;
        } else {
            counters.framing += 1;
        }
    }

    fn state(&self) -> DeviceState {
        self.context.board.lock().devices.get(self.name).map(|health| health.state).unwrap_or_default()
    }

    fn all_bad(&self, reason: Reason, outbox: &mut Outbox) -> Result<(), Closed> {
        let at = self.context.clock.now();
        let readings = self.config.points.iter();
        let readings = readings
            .map(|point| Reading { point: Arc::clone(&point.point), at, sample: Sample::Bad(reason) })
            .collect();
        self.hand_on(readings, outbox)
    }

    fn hand_on(&self, readings: Vec<Reading>, outbox: &mut Outbox) -> Result<(), Closed> {
        {
            let mut panel = self.context.board.lock();
            let health = panel.devices.entry(self.name.clone()).or_default();
            health.add(&readings);
            if health.state == DeviceState::Failing(Reason::Stale) {
                health.state = DeviceState::Silent(Reason::Stale);
            }
        }
        outbox.send_or_drop(&self.stream, readings)
    }
}

/// A point's value in the columns of a line.
fn from_columns(point: &TalkerPoint, line: &str, decode: &Decode) -> Sample {
    let (Decode::Csv { separator }, Place::Column(column)) = (decode, &point.place) else {
        unreachable!("Config::check refuses other kinds until they are built")
    };
    match line.split(*separator).nth(usize::from(*column).saturating_sub(1)) {
        Some(text) => codec::from_text(&point.point, &point.conversion, text),
        None => Sample::Bad(Reason::Decode),
    }
}
