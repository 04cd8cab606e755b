//! A bus with Modbus devices: takes what is due, asks, decodes, hands on.
//!
//! What is due when is decided in [`crate::poll`], what is asked in [`crate::plan`], whether an answer counts in
//! [`crate::modbus`]. This file only does it, one thing after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{HubTime, Name, Reading, Reason, Sample, Stream};
use tokio::time::{Instant, sleep_until};

use crate::codec;
use crate::command::Orders;
use crate::config::{DeviceConfig, ModbusDevice, ModbusPoint};
use crate::health::DeviceState;
use crate::modbus::{Answer, Client, Failure, Limits, Line};
use crate::outbox::{Closed, Outbox};
use crate::plan::{self, Ask, Block, Noted, Round, Verdict};
use crate::poll::{Change, Finished, Outcome, Schedule};
use crate::port::Timing;
use crate::reopen::Reopen;
use crate::thread::{Context, Polls};

mod orders;
mod setup;

use orders::Lent;
use setup::Untold;

/// How long a bus without any point sleeps at a time.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);

/// A running bus.
#[derive(Debug)]
pub(crate) struct Bus<'a, L> {
    context: &'a Context,
    outbox: &'a mut Outbox,
    orders: &'a mut Orders,
    client: Client<L>,
    reopen: Reopen,
    schedule: Schedule,
    devices: Vec<Device<'a>>,
    /// Until when a tool keeps the line, and whether it has left it at other settings.
    lent: Option<Lent>,
    untold: Untold,
    /// Of a serial line, on which time-outs are learnt.
    timing: Option<Timing>,
    /// By slot of the schedule.
    rounds: Vec<(Device<'a>, Round)>,
    started: Instant,
}

#[derive(Debug, Clone)]
struct Device<'a> {
    name: &'a Name,
    stream: Stream,
    config: &'a ModbusDevice,
    limits: Limits,
}

/// What the readings of one round come to.
#[derive(Debug, Default)]
struct Tally {
    readings: Vec<Reading>,
    answered: bool,
    garbled: bool,
    silent: bool,
    /// The first thing that went wrong.
    reason: Option<Reason>,
}

impl<'a, L: Line> Bus<'a, L> {
    pub(crate) fn new(
        line: L,
        timing: Option<Timing>,
        devices: impl Iterator<Item = (&'a Name, &'a DeviceConfig)>,
        context: &'a Context,
        outbox: &'a mut Outbox,
        orders: &'a mut Orders,
    ) -> Self {
        let mut all = Vec::new();
        let mut rounds = Vec::new();
        let mut panel = context.board.lock();
        for (name, device) in devices {
            let DeviceConfig::Modbus(config) = device else { continue };
            panel.devices.entry(name.clone()).or_default();
            let limits = Limits {
                timeout: config.timeout.unwrap_or(context.timeout),
                min_gap: config.min_gap.unwrap_or(context.min_gap),
            };
            let device = Device { name, stream: Stream::device(name), config, limits };
            all.push(device.clone());
            let own = if context.polls == Polls::Due { plan::rounds(config) } else { Vec::new() };
            rounds.extend(own.into_iter().map(|round| (device.clone(), round)));
        }
        let slot = |(device, round): &(Device<'_>, Round)| (device.config.unit_id, round.period, device.limits.timeout);
        let schedule = Schedule::new(rounds.iter().map(slot));
        let reopen = Reopen::new(L::LONGEST_REST);
        // After a crash the counts go on.
        let client = Client::new(line, panel.bus.counters, context.stop.clone());
        let started = Instant::now();
        Self {
            context,
            outbox,
            orders,
            client,
            reopen,
            schedule,
            timing,
            devices: all,
            lent: None,
            untold: Untold::default(),
            rounds,
            started,
        }
    }

    /// Runs until it is told to stop, or nobody takes what it reads.
    pub(crate) async fn run(mut self) {
        loop {
            let next = self.schedule.next(self.started.elapsed());
            let due = self.started + next.map_or(NOTHING_TO_DO, |(_, due)| due);
            let due = self.lent.as_ref().map_or(due, |lent| lent.until.max(due));
            let retry = self.reopen.retry();
            let is_open = self.client.line.is_open();
            tokio::select! {
                biased;
                () = self.context.stop.cancelled() => return self.orders.end(),
                Some(order) = self.orders.writes.recv() => {
                    self.write(order).await;
                    continue;
                }
                Some(order) = self.orders.probes.recv() => {
                    self.probe(order).await;
                    continue;
                }
                () = sleep_until(retry.map_or(due, |retry| retry.min(due))) => {}
                fault = self.client.listen(), if is_open => {
                    if let Some(error) = fault {
                        self.reopen.lost(self.context, &error);
                    }
                    continue;
                }
            }
            let now = Instant::now();
            if retry.is_some_and(|retry| retry <= now) {
                self.open().await;
            }
            if let Some((slot, _)) = next.filter(|_| due <= now)
                && self.round(slot).await == Err(Closed)
            {
                return self.orders.end();
            }
        }
    }

    /// Tries to open the port or connection; gives up when it is time to stop.
    async fn open(&mut self) {
        let opened = tokio::select! {
            biased;
            () = self.context.stop.cancelled() => return,
            opened = self.client.line.open() => opened,
        };
        match opened {
            Ok(()) => {
                self.untold.all(self.devices.iter().map(|device| device.config.unit_id));
                if self.reopen.back(self.context) {
                    self.client.counters.reopened += 1;
                }
                let mut panel = self.context.board.lock();
                panel.bus.latency = self.client.line.latency();
                panel.count(self.client.counters, Instant::now());
            }
            Err(error) => self.reopen.lost(self.context, &error),
        }
    }

    async fn round(&mut self, slot: usize) -> Result<(), Closed> {
        let begun = self.started.elapsed();
        let mut tally = Tally::default();
        self.take_back();
        let (device, round) = &mut self.rounds[slot];
        round.begin(device.config, begun);
        if let Err(failure) = self.set_up(slot).await {
            tally.failed(&failure);
        }
        let mut index = 0;
        while index < self.rounds[slot].1.blocks.len() {
            self.serve().await;
            let Some(answer) = self.ask(slot, index, &tally).await.transpose() else { break };
            let at = self.context.clock.now();
            let (device, round) = &mut self.rounds[slot];
            if round.note(device.config, index, verdict(&answer), begun) == Noted::Halved {
                tally.answered = true;
                continue;
            }
            tally.add(device.config, &round.blocks[index], answer, at);
            index += 1;
        }
        if index == self.rounds[slot].1.blocks.len() {
            let (device, round) = &mut self.rounds[slot];
            tally.add_resting(device.config, round, self.context.clock.now());
            round.end(begun);
        }
        let finished = self.schedule.finish(slot, begun, self.started.elapsed(), tally.outcome());
        self.tell(slot, begun, &tally, finished);
        if finished.change == Some(Change::Back) {
            let unit = self.rounds[slot].0.config.unit_id;
            // It may have been replaced, or given another firmware.
            let rounds = self.rounds.iter_mut().filter(|(device, _)| device.config.unit_id == unit);
            rounds.for_each(|(_, round)| round.forget());
        }
        let stream = self.rounds[slot].0.stream.clone();
        self.outbox.wait_and_send(&stream, tally.readings).await
    }

    /// Reads one block, unless there is no use in asking. `None`: it is time to stop, and nothing is known of the block.
    async fn ask(&mut self, slot: usize, block: usize, so_far: &Tally) -> Result<Option<Answer>, Failure> {
        if so_far.silent {
            // One time-out is enough for a round; the unit will be asked again when it is due.
            return Err(Failure::NotAsked(Reason::Timeout));
        }
        let is_probed = self.schedule.is_probed(slot) && !so_far.answered;
        if is_probed && let (true, Some(reason)) = (so_far.garbled, so_far.reason) {
            return Err(Failure::NotAsked(reason));
        }
        if !self.client.line.is_open() && self.reopen.retry().is_none() {
            self.open().await;
        }
        if self.context.stop.is_cancelled() {
            return Ok(None);
        }
        if !self.client.line.is_open() {
            return Err(Failure::Gone(io::ErrorKind::NotConnected.into()));
        }
        let (device, round) = &self.rounds[slot];
        let (ask, probe) = (round.blocks[block].ask, round.blocks[block].probe(device.config));
        if is_probed && probe != ask && self.read(slot, probe).await?.is_none() {
            return Ok(None);
        }
        self.read(slot, ask).await
    }

    async fn read(&mut self, slot: usize, ask: Ask) -> Result<Option<Answer>, Failure> {
        let limits = Limits { timeout: self.schedule.timeout(slot), ..self.rounds[slot].0.limits };
        let begun = Instant::now();
        let result = self.client.read(ask, limits).await;
        match (&result, self.timing) {
            (Ok(Some(_)), Some(timing)) => {
                // With what there was of a silence before it: it is only ever too long.
                let delay = begun.elapsed().saturating_sub(timing.exchange(usize::from(ask.data_len())));
                self.schedule.heard(slot, delay);
            }
            (Err(Failure::Gone(error)), _) => self.reopen.lost(self.context, error),
            (Ok(_) | Err(_), _) => {}
        }
        result
    }

    /// Puts on the board and into the log what a round came to.
    fn tell(&mut self, slot: usize, begun: Duration, tally: &Tally, finished: Finished) {
        let (device, round) = &self.rounds[slot];
        let (bus, name) = (&self.context.bus, device.name);
        match finished.change {
            Some(Change::Lost) => {
                let reason = tally.reason.unwrap_or(Reason::Timeout);
                tracing::warn!(%bus, device = %name, word = "unit-silent", %reason, "no answer; asked less often until it comes");
            }
            Some(Change::Back) => {
                self.untold.one(device.config.unit_id);
                tracing::info!(%bus, device = %name, word = "unit-back", "answers again");
            }
            None => {}
        }
        for point in round.found(begun) {
            let point = &device.config.points[point].point.name;
            tracing::warn!(%bus, %point, word = "point-refused", "refused by the device: bad, and asked for again each minute; the others are read without it");
        }
        let mut panel = self.context.board.lock();
        panel.count(self.client.counters, Instant::now());
        let health = panel.devices.entry(name.clone()).or_default();
        health.skipped += finished.skipped;
        health.add(&tally.readings);
        if let (true, DeviceState::Failing(reason)) = (self.schedule.is_lost(slot), health.state)
            && reason != Reason::Port
        {
            health.state = DeviceState::Silent(reason);
        }
    }
}

impl Tally {
    /// Makes the readings of a block.
    fn add(&mut self, device: &ModbusDevice, block: &Block, answer: Result<Answer, Failure>, at: HubTime) {
        match &answer {
            Ok(_) => self.answered = true,
            Err(failure) => self.failed(failure),
        }
        self.readings.extend(block.points.iter().map(|place| {
            let point = &device.points[place.point];
            Reading { point: Arc::clone(&point.point), at, sample: sample(&answer, point, place.offset.into()) }
        }));
    }

    /// The unit was asked something, and this came of it.
    fn failed(&mut self, failure: &Failure) {
        self.reason.get_or_insert(failure.reason());
        match failure {
            Failure::Timeout => self.silent = true,
            Failure::Crc | Failure::Framing => self.garbled = true,
            Failure::NotAsked(_) | Failure::Gone(_) => {}
        }
    }

    /// Makes the readings of points that the device has refused lately, and is not asked for now. If it did not answer at
    /// all, that is what is known of them.
    fn add_resting(&mut self, device: &ModbusDevice, round: &Round, at: HubTime) {
        let silence = self.reason.filter(|_| !self.answered);
        self.readings.extend(round.resting().map(|(point, code)| {
            let reason = silence.unwrap_or(Reason::Exception(code));
            Reading { point: Arc::clone(&device.points[point].point), at, sample: Sample::Bad(reason) }
        }));
    }

    /// What the round says about the unit. One that answers some requests and not others costs the line as much as one
    /// that garbles.
    const fn outcome(&self) -> Outcome {
        match (self.answered, self.silent, self.garbled) {
            (true, false, false) => Outcome::Answered,
            (false, true, false) => Outcome::Silent,
            (false, false, false) => Outcome::NotAsked,
            (true, ..) | (_, _, true) => Outcome::Garbled,
        }
    }
}

/// What an answer says about the registers that were asked for.
const fn verdict(answer: &Result<Answer, Failure>) -> Verdict {
    match answer {
        Ok(Answer::Registers(_) | Answer::Bits(_)) => Verdict::Data,
        Ok(Answer::Exception(code)) => Verdict::Exception(*code),
        Ok(Answer::Done | Answer::Identity(_) | Answer::ServerId(_)) | Err(_) => Verdict::Unknown,
    }
}

/// The sample of a point that lies `offset` registers or bits from the block's start.
fn sample(answer: &Result<Answer, Failure>, point: &ModbusPoint, offset: usize) -> Sample {
    match answer {
        Ok(Answer::Registers(registers)) => {
            let end = offset + usize::from(point.span().1);
            let registers = registers.get(offset..end);
            registers.map_or(Sample::Bad(Reason::Decode), |registers| codec::from_registers(point, registers))
        }
        Ok(Answer::Bits(bits)) => {
            bits.get(offset).map_or(Sample::Bad(Reason::Decode), |&bit| codec::from_bit(point, bit))
        }
        Ok(Answer::Exception(code)) => Sample::Bad(Reason::Exception(*code)),
        Ok(Answer::Done | Answer::Identity(_) | Answer::ServerId(_)) => Sample::Bad(Reason::Decode),
        Err(failure) => Sample::Bad(failure.reason()),
    }
}

#[cfg(test)]
mod tests;
