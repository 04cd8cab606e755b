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

/// All points of a hub, by name. What the retained `points` table is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PointSet(BTreeMap<PointName, Arc<Point>>);

impl PointSet {
    /// Every point, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Point>> {
        self.0.values()
    }

    /// The point of this name.
    #[must_use]
    pub fn get(&self, name: &PointName) -> Option<&Arc<Point>> {
        self.0.get(name)
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Arc<Point>> for PointSet {
    fn from_iter<I: IntoIterator<Item = Arc<Point>>>(points: I) -> Self {
        Self(points.into_iter().map(|point| (point.name.clone(), point)).collect())
    }
}
