//! Settings that a device forgets: written when the way to it opens, and again when it comes back after a silence.

use std::collections::BTreeSet;

use super::Bus;
use crate::config::{Setup, Table, WriteWith};
use crate::modbus::{Answer, Failure, Line, Put};

/// Which units have yet to be told.
#[derive(Debug, Default)]
pub(super) struct Untold(BTreeSet<u8>);

impl Untold {
    /// Everybody has to be told: the way to them is new.
    pub(super) fn all(&mut self, units: impl IntoIterator<Item = u8>) {
        self.0.extend(units);
    }

    /// This unit was away, and may have lost its power.
    pub(super) fn one(&mut self, unit: u8) {
        self.0.insert(unit);
    }
}

impl<L: Line> Bus<'_, L> {
    /// Tells the device of this slot its settings, if that is due. A unit that refuses is not asked again until it was
    /// away, and stands as a fault. One that does not answer is told when it has answered a poll again; the failure is
    /// returned, for there is no use in asking it more in this round.
    pub(super) async fn set_up(&mut self, slot: usize) -> Result<(), Failure> {
        if !self.client.line.is_open() && self.reopen.retry().is_none() {
            self.open().await;
        }
        let unit = self.rounds[slot].0.config.unit_id;
        let is_due = self.client.line.is_open() && !self.schedule.is_probed(slot) && self.untold.0.remove(&unit);
        if !is_due || self.rounds[slot].0.config.setup.is_empty() {
            return Ok(());
        }
        let device = self.rounds[slot].0.clone();
        let mut refused = None;
        for setup in &device.config.setup {
            match self.client.write(unit, &put(setup, device.config.write_with), device.limits).await {
                Ok(Some(Answer::Exception(code))) => refused = refused.or(Some((setup, code))),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(failure) => {
                    if let Failure::Gone(error) = &failure {
                        self.reopen.lost(self.context, error);
                    }
                    self.untold.one(unit);
                    return Err(failure);
                }
            }
        }
        let refusal = refused.map(|(Setup { name, table, address, .. }, code)| {
            let (bus, device) = (&self.context.bus, device.name);
            tracing::warn!(%bus, %device, setting = %name, code, word = "setup-refused", "a setting is refused");
            format!("setting {name} ({}:{address}) is refused with exception {code}: check the profile", table.as_str())
        });
        let mut panel = self.context.board.lock();
        match refusal {
            Some(refusal) => panel.refused.insert(device.name.clone(), refusal),
            None => panel.refused.remove(device.name),
        };
        Ok(())
    }
}

fn put(setup: &Setup, with: WriteWith) -> Put {
    let Setup { table, address, registers, .. } = setup;
    match (table, registers.as_slice()) {
        (Table::Coil, words) => Put::Coil(*address, words.first().is_some_and(|&word| word != 0)),
        (_, [word]) if with != WriteWith::Multiple => Put::Register(*address, *word),
        (_, words) => Put::Registers(*address, words.to_vec()),
    }
}
