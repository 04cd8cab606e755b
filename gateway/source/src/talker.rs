//! A device that talks by itself, or when it is asked in words of its own: cuts what it says into frames, hands on what
//! they say, and notices when it says nothing.
//!
//! What a frame is, is decided in [`crate::frame`], what it says in [`crate::talk`], when a device is asked in
//! [`asking`]. This file only does it.
//!
//! A talker does not wait, and what the pipeline has no room for is counted as dropped. A device that is asked brings a
//! reading of each of its points for each question: what its answer does not speak of is absent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Name, Reading, Reason, Sample, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::{Decode, Framing, SerialConfig, TalkerDevice};
use crate::frame::{Frame, Framer, Next};
use crate::health::DeviceState;
use crate::outbox::{Closed, Outbox};
use crate::poll::{Change, Finished};
use crate::port::{self, Port, Timing};
use crate::reopen::{PORT_REST, Reopen};
use crate::talk::{self, Said};
use crate::thread::Context;
use crate::trace::{Direction, Trace};
use asking::{Asking, Turn};

mod asking;

/// How long a request may take to be taken by the driver. Only one that is stuck takes longer than its bytes.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// How long a talker without any timer sleeps at a time.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);

/// A running talker.
#[derive(Debug)]
pub(crate) struct Talker<'a, P> {
    context: &'a Context,
    trace: &'a Trace,
    name: &'a Name,
    stream: Stream,
    config: &'a TalkerDevice,
    serial: &'a SerialConfig,
    port: Option<P>,
    reopen: Reopen,
    framer: Framer,
    /// `None`: it talks by itself.
    asking: Option<Asking<'a>>,
    started: Instant,
    /// When the last bytes came, or the port was opened.
    heard: Instant,
    /// The framer does not know yet of a pause since then.
    may_pause: bool,
    /// When something was last said of any point, or the port was opened.
    spoken: Instant,
    /// By point: when it is told of next that nothing is said of it.
    stale: Vec<Instant>,
}

/// What a talker waits for.
#[derive(Debug)]
enum Event {
    Stop,
    Bytes(io::Result<Vec<u8>>),
    Time,
}

impl<'a, P: Port> Talker<'a, P> {
    pub(crate) fn new(
        name: &'a Name,
        config: &'a TalkerDevice,
        serial: &'a SerialConfig,
        framing: &Framing,
        context: &'a Context,
        trace: &'a Trace,
    ) -> Self {
        let now = Instant::now();
        // After a crash the counts go on.
        context.board.lock().devices.entry(name.clone()).or_default();
        let checksum = match config.decode {
            Decode::Binary { checksum } => checksum,
            Decode::Csv { .. } | Decode::Json | Decode::Regex(_) | Decode::Nmea => None,
        };
        Self {
            context,
            trace,
            name,
            stream: Stream::device(name),
            config,
            serial,
            port: None,
            reopen: Reopen::new(PORT_REST),
            framer: Framer::new(framing, checksum),
            asking: config.request.as_ref().map(Asking::new),
            started: now,
            heard: now,
            may_pause: false,
            spoken: now,
            stale: vec![now + config.stale_after; config.points.len()],
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
                Event::Time => self.on_time(outbox).await,
            };
        }
    }

    async fn next(&mut self) -> Event {
        let timer = self.timer();
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
            () = sleep_until(timer) => Event::Time,
        }
    }

    /// When something is to be done next, whatever it is.
    fn timer(&self) -> Instant {
        let asking = self.asking.as_ref().map(|asking| self.started + asking.next(self.started.elapsed()));
        let stale = if self.asking.is_none() { self.stale.iter().min().copied() } else { None };
        let pause = self.may_pause.then(|| self.heard + self.framer.pause_after());
        let timers = [self.reopen.retry(), asking, stale, pause];
        timers.into_iter().flatten().min().unwrap_or_else(|| self.started + NOTHING_TO_DO)
    }

    /// Does what it is time for.
    async fn on_time(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        let now = Instant::now();
        if self.reopen.retry().is_some_and(|retry| retry <= now) {
            self.open(outbox)?;
        }
        if self.may_pause && now.duration_since(self.heard) >= self.framer.pause_after() {
            self.pause(outbox)?;
        }
        match self.asking.as_ref().map(|asking| asking.turn(now.duration_since(self.started))) {
            Some(Turn::Ask) => self.ask(outbox).await,
            Some(Turn::GiveUp) => self.give_up(outbox),
            Some(Turn::Nothing) => Ok(()),
            None => self.tell_stale(now, outbox),
        }
    }

    fn open(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        match P::open(self.serial) {
            Ok(port) => {
                self.port = Some(port);
                self.framer.forget(Next::Unknown);
                let now = Instant::now();
                (self.heard, self.spoken, self.may_pause) = (now, now, true);
                self.stale.fill(now + self.config.stale_after);
                if self.reopen.back(self.context) {
                    self.context.board.lock().bus.counters.reopened += 1;
                }
                Ok(())
            }
            Err(error) => self.lose(&error, outbox),
        }
    }

    /// The port is gone: its points are bad now, and again whenever they would be stale or asked for.
    fn lose(&mut self, error: &io::Error, outbox: &mut Outbox) -> Result<(), Closed> {
        self.port = None;
        self.may_pause = false;
        let is_news = self.reopen.retry().is_none();
        self.reopen.lost(self.context, error);
        let elapsed = self.started.elapsed();
        if let Some(asking) = &mut self.asking {
            if !asking.is_open() {
                return Ok(());
            }
            let finished = asking.skip(elapsed);
            return self.finish(finished, self.all_bad(Reason::Port), outbox);
        }
        if !is_news {
            return Ok(());
        }
        self.stale.fill(Instant::now() + self.config.stale_after);
        self.hand_on(self.all_bad(Reason::Port), outbox)
    }

    /// Tells of points that nothing has been said of for too long.
    fn tell_stale(&mut self, now: Instant, outbox: &mut Outbox) -> Result<(), Closed> {
        let reason = if self.port.is_some() { Reason::Stale } else { Reason::Port };
        let mut said = Said::new();
        for (index, stale) in self.stale.iter_mut().enumerate().filter(|(_, stale)| **stale <= now) {
            *stale += self.config.stale_after;
            said.push((index, Sample::Bad(reason)));
        }
        if said.is_empty() {
            return Ok(());
        }
        if reason == Reason::Port {
            return self.hand_on(said, outbox);
        }
        let before = self.state();
        let is_silent = now.duration_since(self.spoken) >= self.config.stale_after;
        if is_silent && !matches!(before, DeviceState::Silent(_)) {
            let (bus, device, after) = (&self.context.bus, self.name, self.config.stale_after);
            tracing::warn!(%bus, %device, word = "unit-silent", ?after, "the talker has fallen silent");
        }
        let state = if is_silent { DeviceState::Silent(Reason::Stale) } else { before };
        self.hand_on_as(said, Some(state), 0, outbox)
    }

    fn take(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), Closed> {
        self.trace.show(Direction::Received, bytes);
        let now = Instant::now();
        if self.may_pause && now.duration_since(self.heard) >= self.framer.pause_after() {
            self.pause(outbox)?;
        }
        (self.heard, self.may_pause) = (now, true);
        let frames = match &mut self.asking {
            Some(asking) => {
                let heard = asking.hear(bytes);
                self.context.board.lock().bus.counters.echo += u64::from(heard.echoed);
                self.framer.push(&heard.bytes)
            }
            None => self.framer.push(bytes),
        };
        self.take_frames(frames, outbox)
    }

    /// The line has been silent for as long as parts two frames.
    fn pause(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        self.may_pause = false;
        let held = self.asking.as_mut().map(Asking::held).unwrap_or_default();
        let mut frames = self.framer.push(&held);
        frames.extend(self.framer.pause());
        self.take_frames(frames, outbox)
    }

    fn take_frames(&mut self, frames: Vec<Frame>, outbox: &mut Outbox) -> Result<(), Closed> {
        self.context.board.lock().bus.counters.noise_bytes += self.framer.take_noise();
        frames.into_iter().try_for_each(|frame| self.take_frame(&frame, outbox))
    }

    fn take_frame(&mut self, frame: &Frame, outbox: &mut Outbox) -> Result<(), Closed> {
        let (said, broken) = match frame {
            Frame::Whole(bytes) => (talk::read(self.config, bytes), None),
            Frame::Broken(reason) => (talk::read_broken(self.config, *reason), Some(*reason)),
        };
        let is_late = self.asking.as_ref().is_some_and(|asking| !asking.is_open());
        {
            let counters = &mut self.context.board.lock().bus.counters;
            let counter = match broken {
                Some(Reason::Crc) => &mut counters.crc,
                Some(_) => &mut counters.framing,
                None if said.is_empty() => &mut counters.foreign,
                None if is_late => &mut counters.late,
                None if said.iter().all(|(_, sample)| *sample == Sample::Bad(Reason::Crc)) => &mut counters.crc,
                None => &mut counters.answers,
            };
            *counter += 1;
        }
        if said.is_empty() || is_late {
            return Ok(());
        }
        let elapsed = self.started.elapsed();
        match (&mut self.asking, broken) {
            (Some(asking), Some(reason)) => {
                // The answer may still come.
                asking.note(reason);
                Ok(())
            }
            (Some(asking), None) => {
                let finished = asking.answered(elapsed);
                let mut samples = self.all_bad(Reason::Absent);
                for (index, sample) in said {
                    samples[index].1 = sample;
                }
                self.finish(finished, samples, outbox)
            }
            (None, _) => {
                let now = Instant::now();
                if let DeviceState::Silent(_) = self.state() {
                    let (bus, device) = (&self.context.bus, self.name);
                    tracing::info!(%bus, %device, word = "unit-back", "the talker speaks again");
                }
                self.spoken = now;
                for (index, _) in &said {
                    self.stale[*index] = now + self.config.stale_after;
                }
                self.hand_on(said, outbox)
            }
        }
    }

    /// Sends the request. What has come until now is no answer to it.
    async fn ask(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        let (Some(asking), Some(port)) = (&mut self.asking, &mut self.port) else {
            let elapsed = self.started.elapsed();
            let Some(finished) = self.asking.as_mut().map(|asking| asking.skip(elapsed)) else { return Ok(()) };
            return self.finish(finished, self.all_bad(Reason::Port), outbox);
        };
        self.framer.forget(Next::Frame);
        let bytes = &asking.request.bytes;
        let latency = port::latency(self.serial);
        asking.asked(self.started.elapsed(), Timing::of(self.serial, latency).sending(bytes.len()) + latency);
        let written = match port.clear_input() {
            Ok(()) => match timeout(WRITE_LIMIT, port.write_all(bytes)).await {
                Ok(written) => written,
                Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return self.lose(&error, outbox);
        }
        self.trace.show(Direction::Sent, bytes);
        (self.heard, self.may_pause) = (Instant::now(), false);
        self.context.board.lock().bus.counters.requests += 1;
        Ok(())
    }

    /// No answer came in time.
    fn give_up(&mut self, outbox: &mut Outbox) -> Result<(), Closed> {
        // What is open will not be an answer any more, but it says that something came.
        self.pause(outbox)?;
        let elapsed = self.started.elapsed();
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.is_open()) else { return Ok(()) };
        let (finished, reason) = asking.give_up(elapsed);
        self.context.board.lock().bus.counters.timeouts += u64::from(reason == Reason::Timeout);
        self.finish(finished, self.all_bad(reason), outbox)
    }

    /// Hands on what a question has brought, and puts on the board and into the log how the device is.
    fn finish(&mut self, finished: Finished, said: Said, outbox: &mut Outbox) -> Result<(), Closed> {
        let reason = said.iter().find_map(|(_, sample)| sample.reason()).unwrap_or(Reason::Timeout);
        let (bus, device) = (&self.context.bus, self.name);
        match finished.change {
            Some(Change::Lost) => {
                tracing::warn!(%bus, %device, word = "unit-silent", %reason, "no answer; asked less often until it comes");
            }
            Some(Change::Back) => tracing::info!(%bus, %device, word = "unit-back", "answers again"),
            None => {}
        }
        let is_lost = self.asking.as_ref().is_some_and(Asking::is_lost);
        let state = (is_lost && reason != Reason::Port).then_some(DeviceState::Silent(reason));
        self.hand_on_as(said, state, finished.skipped, outbox)
    }

    fn state(&self) -> DeviceState {
        self.context.board.lock().devices.get(self.name).map(|health| health.state).unwrap_or_default()
    }

    fn all_bad(&self, reason: Reason) -> Said {
        (0..self.config.points.len()).map(|index| (index, Sample::Bad(reason))).collect()
    }

    fn hand_on(&self, said: Said, outbox: &mut Outbox) -> Result<(), Closed> {
        self.hand_on_as(said, None, 0, outbox)
    }

    /// Hands on readings of a device that is in this state, and not in the one that they alone tell of.
    fn hand_on_as(
        &self,
        said: Said,
        state: Option<DeviceState>,
        skipped: u64,
        outbox: &mut Outbox,
    ) -> Result<(), Closed> {
        let at = self.context.clock.now();
        let point = |index: usize| Arc::clone(&self.config.points[index].point);
        let readings = said.into_iter().map(|(index, sample)| Reading { point: point(index), at, sample });
        let readings: Vec<Reading> = readings.collect();
        {
            let mut panel = self.context.board.lock();
            let health = panel.devices.entry(self.name.clone()).or_default();
            health.add(&readings);
            health.skipped += skipped;
            health.state = state.unwrap_or(health.state);
        }
        outbox.send_or_drop(&self.stream, readings)
    }
}
