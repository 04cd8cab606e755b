//! What may leave the hub: the last thing that a reading meets before it is numbered and kept. Pure.
//!
//! What the city did not say it would send is taken out here and counted as refused. Nothing behind this place has it: no
//! queue, no message, no capture. The count stands in every later message of the stream, so that the core's ledger closes
//! without knowing what was refused.
//!
//! Deliberately absent: thinning and rounding (plugins), and what people at the hub may look at before this place.

use std::collections::HashMap;

use curb_model::{Batch, Glob, PointName, Reading, Value};

/// Which points may leave, and whether text may. The default lets everything pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Points that may leave. `None`: all.
    pub allow: Option<Vec<Glob>>,
    /// Points that may not, whatever `allow` says.
    pub deny: Vec<Glob>,
    /// Whether values of text and bytes may leave: they can carry anything, a name or a number plate as well.
    pub text: Text,
}

/// What becomes of values that are text or bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Text {
    /// They leave, as all else that is allowed.
    #[default]
    Allow,
    /// They are refused.
    Deny,
}

impl Policy {
    /// Whether the point may leave.
    #[must_use]
    pub fn allows(&self, point: &PointName) -> bool {
        let among = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(point));
        self.allow.as_deref().is_none_or(among) && !among(&self.deny)
    }

    /// Whether this value of the point may leave.
    #[must_use]
    pub fn permits(&self, point: &PointName, value: Option<&Value>) -> bool {
        self.permits_kind(value) && self.allows(point)
    }

    fn permits_kind(&self, value: Option<&Value>) -> bool {
        self.text == Text::Allow || !matches!(value, Some(Value::Text(_) | Value::Bytes(_)))
    }
}

/// The policy at work.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    policy: Policy,
    /// What the globs say of a point. As long as there are points.
    known: HashMap<PointName, bool>,
    /// Readings refused since the start.
    pub(crate) refused: u64,
}

impl Gate {
    /// From here on `policy` counts.
    pub(crate) fn set(&mut self, policy: &Policy) {
        if self.policy != *policy {
            self.policy = policy.clone();
            self.known.clear();
        }
    }

    /// What counts now.
    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes out what may not leave, and counts it.
    pub(crate) fn pass(&mut self, batch: &mut Batch) {
        if self.policy == Policy::default() {
            return;
        }
        let before = batch.readings.len();
        batch.readings.retain(|reading| self.lets(reading));
        let refused = (before - batch.readings.len()) as u64;
        batch.counts.refused += refused;
        self.refused += refused;
    }

    fn lets(&mut self, reading: &Reading) -> bool {
        if !self.policy.permits_kind(reading.sample.value()) {
            return false;
        }
        let name = &reading.point.name;
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let allows = self.policy.allows(name);
        self.known.insert(name.clone(), allows);
        allows
    }
}

#[cfg(test)]
mod tests;
