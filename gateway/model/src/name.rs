//! Names of devices, buses, points, plugins and streams, checked once where they enter.

use std::fmt;
use std::sync::Arc;

/// A site, bus, device, point or plugin: `[a-z0-9-]{1,32}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("empty name")]
    Empty,
    /// Longer than [`Name::MAX_LEN`].
    #[error("name {0:?} has more than 32 characters")]
    TooLong(Box<str>),
    /// A character outside `a-z`, `0-9` and `-`.
    #[error("name {name:?} has {found:?}; allowed are a-z, 0-9 and -")]
    Character {
        /// The whole text.
        name: Box<str>,
        /// The first character that is not allowed.
        found: char,
    },
    /// A word that Curb keeps for itself.
    #[error("name {0:?} is reserved")]
    Reserved(Box<str>),
    /// A point's full name without exactly one `/`.
    #[error("{0:?} is not device/point")]
    NotAPoint(Box<str>),
    /// A stream's name that is neither a device, nor plugin.output, nor one of Curb's own.
    #[error("{0:?} is not a stream name")]
    NotAStream(Box<str>),
}

impl Name {
    /// Characters at most. Topics and file names stay short, and a table stays readable.
    pub const MAX_LEN: usize = 32;

    /// Checks and interns a name.
    ///
    /// # Errors
    /// The text is empty, too long, reserved, or has a character outside `[a-z0-9-]`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(found) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(NameError::Character { name: text.into(), found });
        }
        if text.len() > Self::MAX_LEN {
            return Err(NameError::TooLong(text.into()));
        }
        if text == "quality" {
            return Err(NameError::Reserved(text.into()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A point's full name: `device/point`, or `plugin/point` for a plugin's own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PointName {
    owner: Name,
    point: Name,
}

impl PointName {
    /// The point `point` of the device or plugin `owner`.
    #[must_use]
    pub const fn new(owner: Name, point: Name) -> Self {
        Self { owner, point }
    }

    /// Reads `device/point`.
    ///
    /// # Errors
    /// There is not exactly one `/`, or a half is not a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (owner, point) = text.split_once('/').ok_or_else(|| NameError::NotAPoint(text.into()))?;
        Ok(Self { owner: Name::new(owner)?, point: Name::new(point)? })
    }

    /// The device or plugin.
    #[must_use]
    pub const fn owner(&self) -> &Name {
        &self.owner
    }

    /// The point's own name, without its owner.
    #[must_use]
    pub const fn point(&self) -> &Name {
        &self.point
    }
}

impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.point)
    }
}

impl fmt::Debug for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}/{}\"", self.owner, self.point)
    }
}

/// An ordered sequence of messages to the core: a device (`meter`), a plugin's output (`quiet.alarm`), or one of
/// Curb's own (`_run`, `_gap`, `_clock`, `_audit`). One level of a topic. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream(Arc<str>);

impl Stream {
    /// The stream of a device.
    #[must_use]
    pub fn device(device: &Name) -> Self {
        Self(Arc::clone(&device.0))
    }

    /// The named output of a plugin.
    #[must_use]
    pub fn plugin(plugin: &Name, output: &Name) -> Self {
        Self(format!("{plugin}.{output}").into())
    }

    /// Run records.
    #[must_use]
    pub fn run() -> Self {
        Self("_run".into())
    }

    /// Gap records.
    #[must_use]
    pub fn gap() -> Self {
        Self("_gap".into())
    }

    /// Clock records.
    #[must_use]
    pub fn clock() -> Self {
        Self("_clock".into())
    }

    /// Audit records.
    #[must_use]
    pub fn audit() -> Self {
        Self("_audit".into())
    }

    /// Reads a stream's name, as it stands in topics and payloads.
    ///
    /// # Errors
    /// The text is none of the three forms.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if matches!(text, "_run" | "_gap" | "_clock" | "_audit") {
            return Ok(Self(text.into()));
        }
        let (owner, output) = text.split_once('.').map_or((text, None), |(owner, output)| (owner, Some(output)));
        let fits = Name::new(owner).is_ok() && output.is_none_or(|output| Name::new(output).is_ok());
        if fits { Ok(Self(text.into())) } else { Err(NameError::NotAStream(text.into())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The device or plugin whose points this stream carries; the stream's own name for Curb's own streams.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(owner, _)| owner)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A pattern over full point names: `meter/*`, `*/power`, `meter/volt*`, `*`. A `*` stands for any run of characters
/// within one half; a lone `*` for every point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob {
    owner: Box<str>,
    point: Box<str>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It has no `/` (and is not `*`), more than one, or a character that no name has.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (owner, point) = match text {
            "*" => ("*", "*"),
            _ => text.split_once('/').ok_or_else(|| NameError::NotAPoint(text.into()))?,
        };
        for half in [owner, point] {
            if half.is_empty() {
                return Err(NameError::NotAPoint(text.into()));
            }
            if let Some(found) = half.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '*')) {
                return Err(NameError::Character { name: text.into(), found });
            }
        }
        Ok(Self { owner: owner.into(), point: point.into() })
    }

    /// Whether the pattern names this point.
    #[must_use]
    pub fn matches(&self, name: &PointName) -> bool {
        half_matches(self.owner.as_bytes(), name.owner().as_str().as_bytes())
            && half_matches(self.point.as_bytes(), name.point().as_str().as_bytes())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.point)
    }
}

/// Names have at most 32 characters, so the exponential worst case of backtracking cannot hurt: it is kept linear by
/// remembering only the last star.
fn half_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
