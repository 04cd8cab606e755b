//! Topics: `curb/v1/<site>/<hub>/…`.
//!
//! | Topic | Direction | QoS | Retained |
//! |---|---|---|---|
//! | `data/<stream>`, `alarm/<stream>` | hub → core | 1 | no |
//! | `run`, `gap`, `clock`, `audit` | hub → core | 1 | no |
//! | `status`, `points` | hub → core | 1 | yes |
//! | `receipt` | core → hub | 1 | no |
//! | `cmd/<command>` | core → hub | 1 | no |
//! | `reply/…` | hub → core | 1 | no |

use curb_model::{Lane, Name, Stream};

/// The first two levels of every topic of this version.
pub const PREFIX: &str = "curb/v1";

/// What the reference ingester subscribes to: every hub of every site.
pub const ALL_HUBS: &str = "curb/v1/+/+/#";

/// Bytes of a response topic at most. Longer ones would only cost memory for each command that waits.
const RESPONSE_TOPIC_MAX: usize = 512;

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

    /// The filter under which the core's commands come.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("{}/cmd/+", self.base)
    }

    /// Whether an answer may be published under this topic. Not among the topics of `curb/v1`, but for this hub's own
    /// `reply/…`: whoever may send a command could otherwise have the hub write its own data, or another's.
    #[must_use]
    pub fn takes_replies(&self, topic: &str) -> bool {
        let is_topic = !topic.is_empty() && topic.len() <= RESPONSE_TOPIC_MAX && !topic.contains(['+', '#', '\0']);
        // `$share`, `$SYS` and their like are the broker's.
        let is_ours = topic.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let replies = topic.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with("/reply/"));
        is_topic && !topic.starts_with('$') && (!is_ours || replies)
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
        Lane::Audit => "audit".to_owned(),
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
    /// `audit`.
    Audit,
    /// `status`.
    Status,
    /// `points`.
    Points,
    /// `receipt`.
    Receipt,
    /// `cmd/<command>`, with the command's name, which may be none of this version's.
    Command(String),
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
            ("audit", None) => Kind::Audit,
            ("status", None) => Kind::Status,
            ("points", None) => Kind::Points,
            ("receipt", None) => Kind::Receipt,
            ("cmd", Some(command)) => Kind::Command(command.to_owned()),
            _ => return None,
        };
        levels.next().is_none().then_some(Self { site, hub, kind })
    }
}
