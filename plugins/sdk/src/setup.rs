//! What a plugin is given when it starts.

use crate::bindings::exports::curb::plugin::transform::Setup as RawSetup;
use crate::{Class, Settings, host};

/// A point, as the hub numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PointId(pub u32);

/// The plugin's settings and the points that it will see.
#[derive(Debug)]
pub struct Setup {
    raw: RawSetup,
}

impl Setup {
    pub(crate) const fn new(raw: RawSetup) -> Self {
        Self { raw }
    }

    /// The settings table of the config file.
    ///
    /// # Errors
    /// They are no table.
    pub fn settings(&self) -> Result<Settings, String> {
        Settings::parse(&self.raw.config)
    }

    /// The points that the plugin sees: number, `device/point`, unit.
    pub fn inputs(&self) -> impl Iterator<Item = (PointId, &str, Option<&str>)> {
        self.raw.inputs.iter().map(|point| (PointId(point.id), point.name.as_str(), point.unit.as_deref()))
    }

    /// Secret of this hub and plugin: for noise that can be replayed here and predicted nowhere else.
    #[must_use]
    pub fn seed(&self) -> &[u8] {
        &self.raw.seed
    }

    /// Declares a point of the plugin's own, `NAME/point` on the stream `NAME.output`.
    ///
    /// # Errors
    /// The name or output is not a name, or there are too many.
    pub fn declare(&self, point: &str, unit: Option<&str>, output: &str, class: Class) -> Result<PointId, String> {
        host::declare(point, unit, output, class).map(PointId)
    }
}
