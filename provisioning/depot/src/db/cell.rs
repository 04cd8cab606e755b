//! One value on its way into or out of a database.

use std::borrow::Cow;

use super::{Asked, Failure};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

/// A row that was asked for.
#[derive(Debug)]
pub(crate) struct Row(pub(super) Vec<Cell<'static>>);

impl Row {
    /// An integer.
    pub(crate) fn int(&self, column: usize) -> Asked<i64> {
        self.maybe_int(column)?.ok_or(Failure::Shape { column })
    }

    /// An integer or NULL.
    pub(crate) fn maybe_int(&self, column: usize) -> Asked<Option<i64>> {
        match self.0.get(column) {
            Some(Cell::Int(int)) => Ok(Some(*int)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Real(_) | Cell::Text(_) | Cell::Blob(_)) | None => Err(Failure::Shape { column }),
        }
    }

    /// A number or NULL.
    #[cfg(test)]
    pub(crate) fn maybe_real(&self, column: usize) -> Asked<Option<f64>> {
        match self.0.get(column) {
            Some(Cell::Real(real)) => Ok(Some(*real)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(_) | Cell::Text(_) | Cell::Blob(_)) | None => Err(Failure::Shape { column }),
        }
    }

    /// A count: an integer that is not negative.
    pub(crate) fn count(&self, column: usize) -> Asked<u64> {
        u64::try_from(self.int(column)?).map_err(|_| Failure::Shape { column })
    }

    /// A count or NULL.
    pub(crate) fn maybe_count(&self, column: usize) -> Asked<Option<u64>> {
        let count = |int| u64::try_from(int).map_err(|_| Failure::Shape { column });
        self.maybe_int(column)?.map(count).transpose()
    }

    /// A text.
    pub(crate) fn text(&self, column: usize) -> Asked<String> {
        self.maybe_text(column)?.ok_or(Failure::Shape { column })
    }

    /// A text or NULL.
    pub(crate) fn maybe_text(&self, column: usize) -> Asked<Option<String>> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(Some(text.clone().into_owned())),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Real(_) | Cell::Int(_) | Cell::Blob(_)) | None => Err(Failure::Shape { column }),
        }
    }
}

impl From<i64> for Cell<'_> {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<u64> for Cell<'_> {
    fn from(count: u64) -> Self {
        Self::Int(i64::try_from(count).expect("counts above 2^53 are refused before they come here"))
    }
}

impl From<bool> for Cell<'_> {
    fn from(yes: bool) -> Self {
        Self::Int(yes.into())
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Cell<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(Cow::Borrowed(bytes))
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement, in the order of its `?1`, `?2`, ….
macro_rules! cells {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Cell::from($value)),*] };
}
pub(crate) use cells;
