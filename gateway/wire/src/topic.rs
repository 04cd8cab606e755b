//! Topics: `curb/v1/<site>/<hub>/…`.
//!
//! | Topic | Direction | QoS | Retained |
//! |---|---|---|---|
//! | `data/<stream>`, `alarm/<stream>` | hub → core | 1 | no |
//! | `run`, `gap`, `clock` | hub → core | 1 | no |
//! | `status`, `points` | hub → core | 1 | yes |
//! | `receipt` | core → hub | 1 | no |

use curb_model::{Lane, Name, Stream};

/// The first two levels of every topic of this version.
pub const PREFIX: &str = "curb/v1";

/// What the reference ingester subscribes to: every hub of every site.
pub const ALL_HUBS: &str = "curb/v1/+/+/#";

/// The topics of one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    base: String,
}

impl Topics {
    /// The topics of `hub` at `site`.
    #[must_use]
    pub fn new(site: &Name, hub: &Name) -> Self {
        Self { base: format!("{PREFIX}/{site}/{hub}") }
    }

    /// Where a queued message goes.
    #[must_use]
    pub fn lane(&self, lane: Lane, stream: &Stream) -> String {
        format!("{}/{}", self.base, levels(lane, stream))
    }

    /// The retained [`Status`](crate::status::Status).
    #[must_use]
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// The retained [`Points`](crate::status::Points).
    #[must_use]
    pub fn points(&self) -> String {
        format!("{}/points", self.base)
    }

    /// Where the core sends each [`Receipt`](crate::record::Receipt).
    #[must_use]
    pub fn receipt(&self) -> String {
        format!("{}/receipt", self.base)
    }
}

/// The levels of a queued message's topic below its hub: `data/meter`, `gap`.
#[must_use]
pub fn levels(lane: Lane, stream: &Stream) -> String {
    match lane {
        Lane::Data => format!("data/{stream}"),
        Lane::Alarm => format!("alarm/{stream}"),
        Lane::Run => "run".to_owned(),
        Lane::Gap => "gap".to_owned(),
        Lane::Clock => "clock".to_owned(),
    }
}

/// A topic taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The site.
    pub site: Name,
    /// The hub.
    pub hub: Name,
    /// Which of the hub's topics.
    pub kind: Kind,
}

/// Which of a hub's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `data/<stream>`.
    Data(Stream),
    /// `alarm/<stream>`.
    Alarm(Stream),
    /// `run`.
    Run,
    /// `gap`.
    Gap,
    /// `clock`.
    Clock,
    /// `status`.
    Status,
    /// `points`.
    Points,
    /// `receipt`.
    Receipt,
}

impl Address {
    /// Takes a topic apart; `None` if it is none of this version's.
    #[must_use]
    pub fn parse(topic: &str) -> Option<Self> {
        let rest = topic.strip_prefix(PREFIX)?.strip_prefix('/')?;
        let mut levels = rest.split('/');
        let site = Name::new(levels.next()?).ok()?;
        let hub = Name::new(levels.next()?).ok()?;
        let kind = match (levels.next()?, levels.next()) {
            ("data", Some(stream)) => Kind::Data(Stream::parse(stream).ok()?),
            ("alarm", Some(stream)) => Kind::Alarm(Stream::parse(stream).ok()?),
            ("run", None) => Kind::Run,
            ("gap", None) => Kind::Gap,
            ("clock", None) => Kind::Clock,
            ("status", None) => Kind::Status,
            ("points", None) => Kind::Points,
            ("receipt", None) => Kind::Receipt,
            _ => return None,
        };
        levels.next().is_none().then_some(Self { site, hub, kind })
    }
}
