//! What is known of a point before it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Class, PointName, Stream, ValueType};

/// A point as the config or a plugin declares it. Shared by every reading of it, so that a reading costs one pointer.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// `device/point` or `plugin/point`.
    pub name: PointName,
    /// The stream that carries its readings.
    pub stream: Stream,
    /// Whether its readings are data or alarms.
    pub class: Class,
    /// Unit of measure: a SenML unit where there is one (RFC 8428, section 12.1), else the field's own word.
    pub unit: Option<Arc<str>>,
    /// The type on the device.
    pub value_type: ValueType,
    /// Least and greatest value that make sense; a reading outside is *uncertain*.
    pub range: Option<(f64, f64)>,
}

/// What only those need who draw a point or write to it. Apart from [`Point`], which every reading carries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Names that its values are, where they are names.
    pub names: Vec<Arc<str>>,
    /// That it may be written.
    pub write: Option<Writable>,
    /// Whether readings of it can be expected.
    pub access: Access,
}

/// Whether a point can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// It is read, and written where that is granted.
    #[default]
    Read,
    /// It cannot be read: there is never a reading of it. It is written where that is granted.
    Write,
}

/// That a point may be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writable {
    /// Least and greatest value; `None` where it is no number.
    pub bounds: Option<(f64, f64)>,
}

/// All points of a hub, by name. What the retained `points` table is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PointSet {
    points: BTreeMap<PointName, Arc<Point>>,
    /// Of points that have something to say there.
    usages: BTreeMap<PointName, Usage>,
}

impl PointSet {
    /// Every point, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Point>> {
        self.points.values()
    }

    /// The point of this name.
    #[must_use]
    pub fn get(&self, name: &PointName) -> Option<&Arc<Point>> {
        self.points.get(name)
    }

    /// How it can be used, where there is something to say.
    #[must_use]
    pub fn usage(&self, name: &PointName) -> Option<&Usage> {
        self.usages.get(name)
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Those whose name `keeps`.
    #[must_use]
    pub fn only(mut self, keeps: impl Fn(&PointName) -> bool) -> Self {
        self.points.retain(|name, _| keeps(name));
        self.usages.retain(|name, _| keeps(name));
        self
    }

    /// With these points, too.
    #[must_use]
    pub fn and(mut self, points: impl IntoIterator<Item = Arc<Point>>) -> Self {
        self.points.extend(points.into_iter().map(|point| (point.name.clone(), point)));
        self
    }

    /// With what there is to say of these points; nothing is kept of one that says nothing.
    #[must_use]
    pub fn with_usages(mut self, usages: impl IntoIterator<Item = (PointName, Usage)>) -> Self {
        self.usages.extend(usages.into_iter().filter(|(_, usage)| *usage != Usage::default()));
        self
    }
}

impl FromIterator<Arc<Point>> for PointSet {
    fn from_iter<I: IntoIterator<Item = Arc<Point>>>(points: I) -> Self {
        Self::default().and(points)
    }
}
