//! Settings that a device forgets: written when the way to it opens, and again when it comes back after a silence.

use std::collections::BTreeSet;

use super::Bus;
use crate::config::{Setup, Table};
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
    /// Tells the device of this slot its settings, if that is due. A unit that does not answer is told the next time; one
    /// that refuses is not asked again until it was away, and stands as a fault.
    pub(super) async fn set_up(&mut self, slot: usize) {
        let device = self.rounds[slot].0.clone();
        let unit = device.config.unit_id;
        if !self.client.line.is_open() && self.reopen.retry().is_none() {
            self.open().await;
        }
        if !self.client.line.is_open() || !self.untold.0.remove(&unit) || device.config.setup.is_empty() {
            return;
        }
        let mut refused = None;
        for setup in &device.config.setup {
            match self.client.write(unit, &put(setup), device.limits).await {
                Ok(Some(Answer::Exception(code))) => refused = refused.or(Some((setup, code))),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(failure) => {
                    if let Failure::Gone(error) = &failure {
                        self.reopen.lost(self.context, error);
                    }
                    self.untold.one(unit);
                    return;
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
    }
}

fn put(setup: &Setup) -> Put {
    let Setup { table, address, registers, .. } = setup;
    match (table, registers.as_slice()) {
        (Table::Coil, words) => Put::Coil(*address, words.first().is_some_and(|&word| word != 0)),
        (_, [word]) => Put::Register(*address, *word),
        (_, words) => Put::Registers(*address, words.to_vec()),
    }
}
