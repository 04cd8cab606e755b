//! What a bus does besides its polls: writes, and the single requests of tools. At most one frame is between an order and
//! its turn.

use std::time::Duration;

use curb_model::{Access, Reason, Value};
use tokio::time::{Instant, sleep};

use super::{Bus, Device};
use crate::command::{
    LONGEST_HOLD, Outcome, Probe, ProbeOrder, Probed, Proof, Question, WriteError, WriteOrder, Written,
};
use crate::config::{ModbusPoint, SerialConfig, Table};
use crate::health::DeviceState;
use crate::modbus::{Answer, Failure, Limits, Line, Put};
use crate::plan::Ask;
use crate::thread::Context;
use crate::write::{self, Plan};

/// How often a written value is read back before it is called another one. Some devices take it over a moment later.
const READ_BACK_TRIES: u32 = 3;

/// Rest before it is read back again. Guessed: a dimmer or relay has done by then, and the line is not held for long.
const READ_BACK_REST: Duration = Duration::from_millis(50);

/// Modbus exception: a function that the device does not know.
const ILLEGAL_FUNCTION: u8 = 1;

/// A tool says itself how long it waits for its write.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

/// Modbus exceptions that say that there is nothing to read: illegal function, address and value.
const UNREADABLE_FIRST: u8 = 1;
const UNREADABLE_LAST: u8 = 3;

/// A line that a tool has.
#[derive(Debug)]
pub(super) struct Lent {
    /// Polls wait until then.
    pub(super) until: Instant,
    /// The settings that the line has meanwhile, if not its own.
    settings: Option<SerialConfig>,
}

/// Where a write stands.
enum Step<T> {
    Done(T),
    /// It is time to stop.
    Stopped,
}

impl<L: Line> Bus<'_, L> {
    /// Does what waits: all writes, and one request of a tool. Called at the gaps between frames.
    pub(super) async fn serve(&mut self) {
        while let Ok(order) = self.orders.writes.try_recv() {
            self.write(order).await;
        }
        if let Ok(order) = self.orders.probes.try_recv() {
            self.probe(order).await;
            self.take_back();
        }
    }

    /// Gives the line its own settings again.
    pub(super) fn take_back(&mut self) {
        if let Some(Lent { settings: Some(_), .. }) = self.lent.take()
            && let Err(error) = self.client.line.configure(None)
        {
            self.reopen.lost(self.context, &error);
        }
    }

    pub(super) async fn write(&mut self, order: WriteOrder) {
        let WriteOrder { point, value, deadline, reply } = order;
        self.take_back();
        let found = self.devices.iter().find(|device| device.name == point.owner()).cloned();
        let found = found.and_then(|device| {
            let point = device.config.points.iter().find(|other| other.point.name == point)?;
            Some((device, point))
        });
        let result = match found {
            Some((device, point)) => {
                let result = self.write_point(&device, point, &value, deadline).await;
                self.tell_write(&device, &result);
                result
            }
            None => Err(WriteError::Unknown(point)),
        };
        self.context.board.lock().bus.counters = self.client.counters;
        // A caller that hung up does not want it.
        drop(reply.send(result));
    }

    async fn write_point(
        &mut self,
        device: &Device<'_>,
        point: &ModbusPoint,
        value: &Value,
        deadline: Instant,
    ) -> Result<Written, WriteError> {
        let grant = write::permit(point, value)?;
        let (unit, limits) = (device.config.unit_id, device.limits);
        let exponent = match write::exponent_ask(device.config, point) {
            Some(ask) => Some(self.registers(ask, limits, deadline).await?),
            None => None,
        };
        let exponent = exponent.and_then(|registers| registers.first().map(|word| word.cast_signed()));
        let plan = Plan::new(device.config, point, grant, value, exponent)?;
        let before =
            if plan.needs_before() { Some(self.registers(plan.target, limits, deadline).await?) } else { None };
        if point.access == Access::Write {
            self.know_echo(plan.target, limits, deadline).await?;
        }
        for (sent, put) in plan.puts(before.as_deref()).iter().enumerate() {
            let result = self.put_either(unit, put, limits, deadline).await;
            // What was written in part is not what was there before, whatever became of the rest.
            let part = |error| if sent > 0 { WriteError::Unconfirmed(error_reason(&error)) } else { error };
            result.map_err(part)?;
        }
        let proof = match point.access {
            Access::Read => self.read_back(point, &plan, limits).await?,
            Access::Write => Proof::Echo,
        };
        Ok(Written { point: point.point.clone(), value: value.clone(), proof, at: self.context.clock.now() })
    }

    /// Sends one write; by the other function for the same if the device does not know this one, of which it has then done
    /// nothing.
    async fn put_either(&mut self, unit: u8, put: &Put, limits: Limits, deadline: Instant) -> Result<(), WriteError> {
        match (self.put(unit, put, limits, deadline).await, put.other_function()) {
            (Err(WriteError::Refused(ILLEGAL_FUNCTION)), Some(other)) => self.put(unit, &other, limits, deadline).await,
            (result, _) => result,
        }
    }

    /// Sends one write.
    async fn put(&mut self, unit: u8, put: &Put, limits: Limits, deadline: Instant) -> Result<(), WriteError> {
        self.ready(deadline).await?;
        let result = self.client.write(unit, put, limits).await;
        match self.noticed(result) {
            Ok(Step::Done(Answer::Exception(code))) => Err(WriteError::Refused(code)),
            Ok(Step::Done(_)) => Ok(()),
            Ok(Step::Stopped) => Err(WriteError::Unconfirmed(Reason::Timeout)),
            Err(reason) => Err(WriteError::Unconfirmed(reason)),
        }
    }

    /// Registers that a write depends on.
    async fn registers(&mut self, ask: Ask, limits: Limits, deadline: Instant) -> Result<Vec<u16>, WriteError> {
        self.ready(deadline).await?;
        let result = self.client.read(ask, limits).await;
        match self.noticed(result) {
            Ok(Step::Done(Answer::Registers(registers))) => Ok(registers),
            Ok(Step::Done(Answer::Exception(code))) => Err(WriteError::NotSent(Reason::Exception(code))),
            Ok(Step::Done(_)) => Err(WriteError::NotSent(Reason::Decode)),
            Ok(Step::Stopped) => Err(WriteError::Stopped),
            Err(reason) => Err(WriteError::NotSent(reason)),
        }
    }

    /// Sees that the way to the device is open, and that there is still time.
    async fn ready(&mut self, deadline: Instant) -> Result<(), WriteError> {
        if !self.client.line.is_open() && self.reopen.retry().is_none_or(|retry| retry <= Instant::now()) {
            self.open().await;
        }
        if self.context.stop.is_cancelled() {
            return Err(WriteError::Stopped);
        }
        if Instant::now() >= deadline {
            return Err(WriteError::Deadline);
        }
        if self.client.line.is_open() { Ok(()) } else { Err(WriteError::NotSent(Reason::Port)) }
    }

    async fn read_back(&mut self, point: &ModbusPoint, plan: &Plan, limits: Limits) -> Result<Proof, WriteError> {
        let mut outcome = Err(WriteError::Unconfirmed(Reason::Timeout));
        for attempt in 0..READ_BACK_TRIES {
            if attempt > 0 {
                sleep(READ_BACK_REST).await;
            }
            let result = self.client.read(plan.target, limits).await;
            outcome = match self.noticed(result) {
                Ok(Step::Done(Answer::Registers(found))) if plan.is_in(&found) => return Ok(Proof::ReadBack),
                Ok(Step::Done(Answer::Registers(found))) => {
                    Err(WriteError::Differs { found: write::in_words(point, &found) })
                }
                Ok(Step::Done(Answer::Bits(bits))) => {
                    let found: Vec<u16> = bits.iter().take(1).map(|&bit| u16::from(bit)).collect();
                    if plan.is_in(&found) {
                        return Ok(Proof::ReadBack);
                    }
                    Err(WriteError::Differs { found: bits.first().is_some_and(|bit| *bit).to_string() })
                }
                // What is written there cannot be read: the device's own word must do.
                Ok(Step::Done(Answer::Exception(UNREADABLE_FIRST..=UNREADABLE_LAST))) => return Ok(Proof::Echo),
                // It is busy, or has failed.
                Ok(Step::Done(Answer::Exception(code))) => Err(WriteError::Unconfirmed(Reason::Exception(code))),
                Ok(Step::Done(_)) => Err(WriteError::Unconfirmed(Reason::Decode)),
                Ok(Step::Stopped) => return Err(WriteError::Unconfirmed(Reason::Timeout)),
                Err(reason) => Err(WriteError::Unconfirmed(reason)),
            };
        }
        outcome
    }

    /// A lost port is noted, whoever meets it.
    fn noticed(&mut self, result: Result<Option<Answer>, Failure>) -> Result<Step<Answer>, Reason> {
        match result {
            Ok(Some(answer)) => Ok(Step::Done(answer)),
            Ok(None) => Ok(Step::Stopped),
            Err(failure) => {
                if let Failure::Gone(error) = &failure {
                    self.reopen.lost(self.context, error);
                }
                Err(failure.reason())
            }
        }
    }

    pub(super) async fn probe(&mut self, order: ProbeOrder) {
        let ProbeOrder { probe, reply } = order;
        if reply.is_closed() {
            // The tool was ended while it waited.
            return;
        }
        let began = Instant::now();
        // Only a request makes the line forget what it heard.
        let old = if probe.question == Question::Listen { self.client.line.heard().len() } else { 0 };
        let outcome = match self.lend(&probe).await {
            Ok(()) => self.question(&probe).await,
            Err(why) => Outcome::Unusable(why),
        };
        let heard = self.client.line.heard().get(old..).unwrap_or_default().to_vec();
        self.context.board.lock().bus.counters = self.client.counters;
        if let Some(lent) = &mut self.lent {
            lent.until = Instant::now() + probe.hold;
        }
        // What the line rested before, as after opening, was not the device's.
        let asked = self.client.line.asked().filter(|&asked| asked > began).unwrap_or(began);
        // A tool that was ended does not want it.
        drop(reply.send(Probed { outcome, heard, took: asked.elapsed() }));
    }

    /// Opens the line, and sets it as the tool wants it.
    async fn lend(&mut self, probe: &Probe) -> Result<(), String> {
        if !self.client.line.is_open() {
            self.open().await;
        }
        if !self.client.line.is_open() {
            return Err(self.context.board.lock().gone.clone().unwrap_or_else(|| "the bus was stopped".to_owned()));
        }
        let now = self.lent.as_ref().and_then(|lent| lent.settings.as_ref());
        if now != probe.settings.as_ref() {
            self.client.line.configure(probe.settings.as_ref()).map_err(|error| error.to_string())?;
        }
        self.lent = Some(Lent { until: Instant::now(), settings: probe.settings.clone() });
        Ok(())
    }

    async fn question(&mut self, probe: &Probe) -> Outcome {
        let unit = probe.unit;
        let Context { timeout, min_gap, .. } = *self.context;
        let own = self.unit(unit).map_or(Limits { timeout, min_gap }, |device| device.limits);
        let limits = Limits { timeout: probe.timeout.unwrap_or(own.timeout), ..own };
        let result = match &probe.question {
            Question::Read { table, address, quantity } => {
                let ask = Ask { unit, table: *table, address: *address, quantity: *quantity };
                self.client.read(ask, limits).await
            }
            Question::Listen => return self.listen_for(limits.timeout.min(LONGEST_HOLD)).await,
            Question::Identify => self.client.identify(unit, limits).await,
            Question::ServerId => self.client.server_id(unit, limits).await,
            Question::Write { address, registers } => {
                let target = Ask { unit, table: Table::Holding, address: *address, quantity: 1 };
                return self.put_raw(target, registers, limits).await;
            }
            Question::WriteCoil { address, on } => {
                let target = Ask { unit, table: Table::Coil, address: *address, quantity: 1 };
                return self.put_raw(target, &[u16::from(*on)], limits).await;
            }
        };
        match self.noticed(result) {
            Ok(Step::Done(answer)) => outcome_of(answer, &probe.question),
            Ok(Step::Stopped) => Outcome::Unusable("the bus was stopped".to_owned()),
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

impl<L: Line> Bus<'_, L> {
    /// The device of the config with this address.
    fn unit(&self, unit: u8) -> Option<&Device<'_>> {
        self.devices.iter().find(|device| device.config.unit_id == unit)
    }

    /// Writes past all grants: a device of the config by the functions that it is written with, any other by the usual ones.
    async fn put_raw(&mut self, target: Ask, words: &[u16], limits: Limits) -> Outcome {
        let with = self.unit(target.unit).map(|device| device.config.write_with);
        if !self.client.line.knows_echo() {
            self.learn_echo(target, limits).await;
        }
        let deadline = Instant::now() + NO_DEADLINE;
        for (sent, put) in write::puts(target.table, target.address, words, with.unwrap_or_default()).iter().enumerate()
        {
            let result = match with {
                Some(_) => self.put_either(target.unit, put, limits, deadline).await,
                None => self.put(target.unit, put, limits, deadline).await,
            };
            match result {
                Ok(()) => {}
                // What was written in part is not refused.
                Err(error) if sent > 0 => return Outcome::Failed(error_reason(&error)),
                Err(WriteError::Refused(code)) => return Outcome::Exception(code),
                Err(WriteError::Unconfirmed(reason)) => return Outcome::Failed(reason),
                Err(unsent) => return Outcome::Unusable(unsent.to_string()),
            }
        }
        Outcome::Done
    }

    /// Puts on the board what a write says of a device that is never read; of any other its polls say more. There is no
    /// word that it keeps: the next write is sent whatever came of this one, and says anew.
    fn tell_write(&self, device: &Device<'_>, result: &Result<Written, WriteError>) {
        if device.config.points.iter().any(|point| point.access == Access::Read) {
            return;
        }
        let state = match result {
            Ok(_) | Err(WriteError::Refused(_)) => DeviceState::Answering,
            Err(WriteError::NotSent(reason) | WriteError::Unconfirmed(reason)) => DeviceState::Failing(*reason),
            // The device was not asked.
            Err(_) => return,
        };
        self.context.board.lock().devices.entry(device.name.clone()).or_default().state = state;
    }

    /// Finds out whether the line echoes, if that is not known yet: what cannot be read back is known by its answer alone,
    /// which an echo looks like. A line on which nothing at all is heard does not echo.
    async fn know_echo(&mut self, target: Ask, limits: Limits, deadline: Instant) -> Result<(), WriteError> {
        self.ready(deadline).await?;
        if self.client.line.knows_echo() {
            return Ok(());
        }
        self.learn_echo(target, limits).await;
        if self.client.line.knows_echo() || self.client.line.heard().is_empty() {
            return Ok(());
        }
        Err(WriteError::NotSent(Reason::Framing))
    }

    /// Reads once before a write whose answer repeats it: on a line that echoes, the echo of a read cannot be taken for an
    /// answer, and tells what the line does. What the unit answers does not matter. What can only be written is not read:
    /// where the config has nothing else on this line, the unit is asked who it is.
    async fn learn_echo(&mut self, target: Ask, limits: Limits) {
        let result = match self.echo_ask(target) {
            Some(ask) => self.client.read(ask, limits).await,
            None => self.client.server_id(target.unit, limits).await,
        };
        drop(self.noticed(result));
    }

    /// A read that does no harm before a write to `target`: of what is read there anyway, else elsewhere on the line. Of a
    /// unit that the config does not have nothing better is known than the target.
    fn echo_ask(&self, target: Ask) -> Option<Ask> {
        let Some(own) = self.unit(target.unit) else { return Some(target) };
        [own].into_iter().chain(&self.devices).find_map(|device| {
            let point = device.config.points.iter().find(|point| point.access == Access::Read)?;
            let (address, quantity) = point.span();
            Some(Ask { unit: device.config.unit_id, table: point.table, address, quantity })
        })
    }

    /// Keeps the line silent and hears what others say.
    async fn listen_for(&mut self, time: Duration) -> Outcome {
        let fault = tokio::select! {
            () = self.context.stop.cancelled() => return Outcome::Unusable("the bus was stopped".to_owned()),
            heard = tokio::time::timeout(time, self.client.listen()) => heard.ok().flatten(),
        };
        let Some(error) = fault else { return Outcome::Done };
        self.reopen.lost(self.context, &error);
        Outcome::Unusable(error.to_string())
    }
}

/// What kept the rest of a write from being done.
const fn error_reason(error: &WriteError) -> Reason {
    match error {
        WriteError::Refused(code) => Reason::Exception(*code),
        WriteError::NotSent(reason) | WriteError::Unconfirmed(reason) => *reason,
        WriteError::Deadline | WriteError::Stopped | WriteError::Full => Reason::Timeout,
        WriteError::Unknown(_)
        | WriteError::NotGranted(_)
        | WriteError::Bounds { .. }
        | WriteError::Encode(_)
        | WriteError::Differs { .. } => Reason::Decode,
    }
}

fn outcome_of(answer: Answer, question: &Question) -> Outcome {
    match answer {
        Answer::Registers(registers) => Outcome::Registers(registers),
        Answer::Bits(mut bits) => {
            if let Question::Read { quantity, .. } = question {
                // The last byte is padded.
                bits.truncate(usize::from(*quantity));
            }
            Outcome::Bits(bits)
        }
        Answer::Done => Outcome::Done,
        Answer::Identity(objects) => Outcome::Identity(objects),
        Answer::ServerId(bytes) => Outcome::ServerId(bytes),
        Answer::Exception(code) => Outcome::Exception(code),
    }
}
