//! Settings that a device forgets: written when the way to it opens, and again when it comes back after a silence.
//!
//! A device is told once it has answered a read: a unit that is not there costs one time-out, like any other, and the line
//! has shown whether it echoes. One that answers reads and not its settings is told again after a rest that grows, and
//! stands as a fault: each try costs the others a time-out.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Bus;
use crate::config::Setup;
use crate::modbus::{Answer, Failure, Line};
use crate::write;

/// Rest after a setting that was not answered; doubled each time up to [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Which units have yet to be told, and not before when.
#[derive(Debug, Default)]
pub(super) struct Untold(BTreeMap<u8, Wait>);

#[derive(Debug, Clone, Copy)]
struct Wait {
    rest: Duration,
    until: Instant,
}

impl Untold {
    /// Everybody has to be told: the way to them is new.
    pub(super) fn all(&mut self, units: impl IntoIterator<Item = u8>) {
        units.into_iter().for_each(|unit| self.one(unit));
    }

    /// This unit was away, and may have lost its power.
    pub(super) fn one(&mut self, unit: u8) {
        self.0.insert(unit, Wait { rest: REST, until: Instant::now() });
    }

    fn again(&mut self, unit: u8, Wait { rest, .. }: Wait) {
        self.0.insert(unit, Wait { rest: (rest * 2).min(LONGEST_REST), until: Instant::now() + rest });
    }
}

/// What became of a setting.
enum Told {
    Done,
    Refused(u8),
    Failed(Failure),
    /// It is time to stop.
    Stopped,
}

impl<L: Line> Bus<'_, L> {
    /// Tells the device of this slot its settings, if that is due. A unit that does not answer a read before them is not
    /// told now, and the failure returned: there is no use in asking it more in this round.
    pub(super) async fn set_up(&mut self, slot: usize) -> Result<(), Failure> {
        if !self.client.line.is_open() && self.reopen.retry().is_none() {
            self.open().await;
        }
        let (device, round) = &self.rounds[slot];
        let unit = device.config.unit_id;
        let wait = self.untold.0.get(&unit).copied().filter(|wait| wait.until <= Instant::now());
        let (Some(wait), true, false) = (wait, self.client.line.is_open(), self.schedule.is_probed(slot)) else {
            return Ok(());
        };
        self.untold.0.remove(&unit);
        let Some(block) = round.blocks.first().filter(|_| !device.config.setup.is_empty()) else { return Ok(()) };
        let (device, probe) = (device.clone(), block.probe(device.config));
        if let Err(failure) = self.read(slot, probe).await {
            self.untold.0.insert(unit, wait);
            return Err(failure);
        }
        let mut fault = None;
        for setup in &device.config.setup {
            let Setup { name, table, address, .. } = setup;
            let place = format!("setting {name} ({}:{address})", table.as_str());
            match self.tell_setting(slot, setup).await {
                Told::Done => {}
                Told::Refused(code) => {
                    fault.get_or_insert((
                        "setup-refused",
                        format!("{place} is refused with exception {code}: check the profile"),
                    ));
                }
                Told::Failed(failure) => {
                    let reason = failure.reason();
                    self.untold.again(unit, wait);
                    fault =
                        Some(("setup-unanswered", format!("{place} is not confirmed ({reason}); it is told again")));
                    break;
                }
                Told::Stopped => return Ok(()),
            }
        }
        if let Some((word, detail)) = &fault {
            let (bus, device) = (&self.context.bus, device.name);
            tracing::warn!(%bus, %device, word, "{detail}");
        }
        let mut panel = self.context.board.lock();
        match fault {
            Some(fault) => panel.setup.insert(device.name.clone(), fault),
            None => panel.setup.remove(device.name),
        };
        Ok(())
    }

    /// Writes one setting, by the functions that the device is written with.
    async fn tell_setting(&mut self, slot: usize, setup: &Setup) -> Told {
        let device = self.rounds[slot].0.clone();
        for put in write::puts(setup.table, setup.address, &setup.registers, device.config.write_with) {
            match self.client.write(device.config.unit_id, &put, device.limits).await {
                Ok(Some(Answer::Exception(code))) => return Told::Refused(code),
                Ok(Some(_)) => {}
                Ok(None) => return Told::Stopped,
                Err(failure) => {
                    if let Failure::Gone(error) = &failure {
                        self.reopen.lost(self.context, error);
                    }
                    return Told::Failed(failure);
                }
            }
        }
        Told::Done
    }
}
