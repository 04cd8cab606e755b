//! What the daemon tells of itself: faults, the status document, the points that there are.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use curb_identity::Identity;
use curb_model::{Fault, Name, PointSet, Room};
use curb_wire::status::{FaultEntry, Points, State, Status};
use tokio::time::Instant;

use super::{Daemon, fault};
use crate::assemble::Documents;
use crate::clock::{self, Verdict};
use crate::config::Settings;
use crate::pace::Seen;
use crate::status::{self, About, ClockReport, Report};

/// A certificate that ends sooner than this is a fault: time for a person to act who is not there every day.
const EXPIRES_SOON: Duration = Duration::from_secs(30 * 86_400);

/// The status document is published when a fault comes or goes, and for its counts this often.
const STATUS_EVERY: Duration = Duration::from_secs(60);

impl Daemon {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.rooms.faults();
        faults.extend(self.refused.clone());
        faults.extend(self.unfit.clone());
        match &self.identity {
            Ok(identity) => {
                faults.extend(identity.warnings.iter().map(curb_identity::Warning::fault));
                faults.extend(self.expiry(identity));
            }
            Err(fault) => faults.push(fault.clone()),
        }
        faults.extend(
            match self.verdict {
                Verdict::Trusted(_) => None,
                Verdict::Unsynchronised => {
                    Some(format!("nobody vouches for the clock, which shows {}", clock::wall_text()))
                }
                Verdict::BeforeFloor => Some(format!("the clock shows {}, which cannot be", clock::wall_text())),
            }
            .map(|detail| fault(Room::Clock, "clock", "clock-not-trusted", detail)),
        );
        faults.sort();
        faults
    }

    /// What there is to say about the certificate's end, while the clock is trusted.
    fn expiry(&self, identity: &Identity) -> Option<Fault> {
        let (Verdict::Trusted(_), now) = (self.verdict, UNIX_EPOCH + clock::wall()) else { return None };
        let (word, detail) = match identity.not_after.duration_since(now) {
            Ok(left) if left > EXPIRES_SOON => return None,
            Ok(left) => ("certificate-expires", format!("it ends in {} days: renew it", left.as_secs() / 86_400)),
            Err(_) => ("certificate-expired", "it has ended: the core will refuse the next connection".to_owned()),
        };
        Some(fault(Room::Identity, "certificate", word, detail))
    }

    pub(super) fn report(&self, faults: &[Fault]) -> Report {
        let now = self.clock.now();
        let about = About {
            hub: &self.hub,
            site: &self.settings.hub.site,
            uptime_s: self.started.elapsed().as_secs(),
            config: if self.refused.is_some() { "last-good" } else { "files" },
            clock: ClockReport {
                trusted: self.clock.offset().is_some(),
                trust: clock::trust_word(self.settings.clock.trust).to_owned(),
                time_ms: self.clock.offset().map(|offset| now.utc_millis(offset)),
            },
            now,
            usage: self.usage.report(self.utc()),
            linger: self.pace.linger(),
            faults: faults.iter().map(FaultEntry::from).collect(),
        };
        status::report(about, &self.rooms)
    }

    /// Counts what the line and the card cost, and lets readings linger accordingly.
    pub(super) fn look_at_the_line(&mut self, now: Instant) {
        let health = self.rooms.uplink.as_ref().map(curb_uplink::Uplink::health).unwrap_or_default();
        let bytes = self.rooms.line_bytes();
        self.usage.look(bytes, self.utc(), now);
        let connected = matches!(health.state, curb_uplink::State::Connected | curb_uplink::State::Holding);
        let seen = Seen { bytes, waited: health.waited, connected };
        let per_second = self.settings.core.budget.per_second();
        self.rooms.pipeline.linger(self.pace.look(self.settings.linger, per_second, seen, now));
    }

    /// UTC in seconds since 1970, while the clock is trusted.
    fn utc(&self) -> Option<i64> {
        self.clock.offset().map(|offset| self.clock.now().utc_millis(offset) / 1_000)
    }

    /// Gives the uplink a new status document if a fault came or went, or the counts are old.
    pub(super) fn publish(&mut self, now: Instant, faults: &[Fault]) {
        let Documents { status, points } = &self.rooms.documents;
        let old = now >= self.published + STATUS_EVERY;
        let key = |fault: &FaultEntry| (fault.subject.clone(), fault.word.clone());
        let entries: Vec<FaultEntry> = faults.iter().map(FaultEntry::from).collect();
        let same = status.borrow().faults.iter().map(key).eq(entries.iter().map(key));
        if old || !same {
            self.published = now;
            let queue = Some(status::waiting(&self.rooms));
            status.send_modify(|status| *status = Arc::new(Status { faults: entries, queue, ..Status::clone(status) }));
        }
        let document = self::points(&self.hub, &self.settings, self.rooms.pipeline.points());
        points.send_if_modified(|points| {
            let differs = **points != document;
            if differs {
                *points = Arc::new(document);
            }
            differs
        });
    }
}

/// The table of points: what may leave the hub, of the devices' and the plugins'.
pub(super) fn points(hub: &Name, settings: &Settings, of_plugins: PointSet) -> Points {
    let all = settings.points.clone().and(of_plugins.iter().cloned());
    Points::new(hub.as_str(), &all.only(|name| settings.pipeline.policy.allows(name)))
}

/// The status document as it is before anything is known.
pub(super) fn document(hub: &Name, run: &str) -> Status {
    Status {
        v: 1,
        hub: hub.to_string(),
        state: State::Online,
        run: run.to_owned(),
        connection: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clean: false,
        faults: Vec::new(),
        queue: None,
    }
}
