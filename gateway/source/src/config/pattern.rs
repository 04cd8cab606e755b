//! Regular expressions for frames of text.

use std::fmt;

use regex::bytes::{Captures, Regex, RegexBuilder};

/// Bytes of a compiled pattern at most. Patterns of field devices take a few thousand; nested repetitions such as
/// `(a{100}){100}` would take megabytes, and a time for each byte that grows with them.
const MAX_SIZE: usize = 64 << 10;

/// A regular expression that was compiled: its time grows with the frame and never with what is in it. `.` is any byte
/// but a line's end, `\d`, `\w` and `\s` are ASCII.
#[derive(Clone)]
pub struct Pattern(Regex);

/// A text that is no pattern, or compiles to too much.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("compile the pattern")]
pub struct PatternError(#[from] regex::Error);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is no regular expression, or one that takes too much memory.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self(RegexBuilder::new(text).unicode(false).size_limit(MAX_SIZE).build()?))
    }

    /// The names of its groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }

    /// What the first match in this frame is made of.
    pub(crate) fn groups_of<'f>(&self, frame: &'f [u8]) -> Option<Captures<'f>> {
        self.0.captures(frame)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.0.as_str())
    }
}
