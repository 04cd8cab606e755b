//! Which commands have been carried out: the memory that makes a repeated one harmless. Pure.
//!
//! ```text
//! (unknown) ──admit──► pending ──finish──► done        pending is on disk before the write is sent
//!                        │
//!                        └──restart──► done: unconfirmed
//! ```
//!
//! A command is forgotten after [`KEPT`], or when there are more than [`MOST`], the oldest first; but never before its deadline
//! has passed. So the same bytes are carried out once at most, however often they come and whatever is forgotten: they are
//! either remembered or too late.
//!
//! Deliberately absent: commands that were refused before anything was sent. Nothing was done, so nothing can be done twice.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curb_wire::command::{Answer, Outcome, Refusal, Write};
use serde::{Deserialize, Serialize};

/// Commands remembered at most: the file that is written for each stays at some 60 KiB. A core whose deadlines are seconds
/// away never has as many that are not over.
const MOST: usize = 256;

/// How long a command is remembered, if there is room.
const KEPT: Duration = Duration::from_hours(24);

/// The version of the stored form.
const VERSION: u32 = 1;

/// The commands that have been carried out, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    most: usize,
    entries: VecDeque<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: Box<[u8]>,
    write: Write,
    /// When it came: UTC in milliseconds.
    at_ms: i64,
    /// What was answered; `None` while it is under way.
    answer: Option<Answer>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// Nothing.
    No,
    /// It is being carried out.
    UnderWay,
    /// It has been carried out: the answer was this.
    Done(Box<Answer>),
    /// The id was another request's.
    Another,
}

/// Whether a request may be carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Admission {
    /// It may; it is under way from here.
    Go,
    /// It is not new.
    Known(Known),
    /// Too many are remembered that must not be forgotten yet.
    Full,
}

impl Default for Seen {
    fn default() -> Self {
        Self { most: MOST, entries: VecDeque::new() }
    }
}

impl Seen {
    /// What is known of this request. It is the same again if point and value are; a core may well give it more time.
    pub(crate) fn look(&self, id: &[u8], write: &Write) -> Known {
        let Some(entry) = self.entries.iter().find(|entry| *entry.id == *id) else { return Known::No };
        if (&entry.write.point, &entry.write.value) != (&write.point, &write.value) {
            return Known::Another;
        }
        entry.answer.clone().map_or(Known::UnderWay, |answer| Known::Done(Box::new(answer)))
    }

    /// Takes a request, whose deadline has not passed, on.
    pub(crate) fn admit(&mut self, id: &[u8], write: &Write, now_ms: i64) -> Admission {
        match self.look(id, write) {
            Known::No => {}
            known @ (Known::UnderWay | Known::Done(_) | Known::Another) => return Admission::Known(known),
        }
        let kept_ms = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let is_over = |entry: &Entry| entry.answer.is_some() && entry.write.deadline_ms <= now_ms;
        self.entries.retain(|entry| !is_over(entry) || now_ms.saturating_sub(entry.at_ms) < kept_ms);
        if self.entries.len() >= self.most {
            let Some(oldest) = self.entries.iter().position(is_over) else { return Admission::Full };
            self.entries.remove(oldest);
        }
        self.entries.push_back(Entry { id: id.into(), write: write.clone(), at_ms: now_ms, answer: None });
        Admission::Go
    }

    /// It has been carried out, or could not be.
    pub(crate) fn finish(&mut self, id: &[u8], answer: Answer) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.id == *id) {
            entry.answer = Some(answer);
        }
    }

    /// It could not even be noted, and nothing was sent.
    pub(crate) fn forget(&mut self, id: &[u8]) {
        self.entries.retain(|entry| *entry.id != *id);
    }

    /// What was under way when the hub was restarted is not known to be done, and never done again: id and outcome of each.
    pub(crate) fn interrupted(&mut self, hub: &str) -> Vec<(Vec<u8>, Outcome)> {
        let mut interrupted = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.answer.is_none()) {
            let refusal = Refusal {
                word: "unconfirmed".to_owned(),
                detail: "the hub was restarted while it wrote: it may or may not have taken effect".to_owned(),
            };
            let (point, value) = (Some(entry.write.point.clone()), Some(entry.write.value.clone()));
            let outcome = Outcome { point, value, result: Err(refusal), time_ms: None };
            entry.answer = Some(Answer { hub: hub.to_owned(), outcome: outcome.clone() });
            interrupted.push((entry.id.to_vec(), outcome));
        }
        interrupted
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let commands = self.entries.iter().map(|entry| StoredEntry {
            id: URL_SAFE_NO_PAD.encode(&entry.id),
            at_ms: entry.at_ms,
            write: entry.write.clone(),
            answer: entry.answer.clone(),
        });
        serde_json::to_vec(&Stored { v: VERSION, commands: commands.collect() })
            .expect("text keys and finite numbers always serialize")
    }

    /// Reads the stored form; `None` if it is not that.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok().filter(|stored: &Stored| stored.v == VERSION)?;
        let entry = |stored: StoredEntry| {
            let id = URL_SAFE_NO_PAD.decode(&stored.id).ok()?.into();
            Some(Entry { id, write: stored.write, at_ms: stored.at_ms, answer: stored.answer })
        };
        let entries = stored.commands.into_iter().map(entry).collect::<Option<_>>()?;
        Some(Self { most: MOST, entries })
    }
}

/// The file's content: `{"v":1,"commands":[{"id":"…","at_ms":…,"write":{…},"answer":{…}}]}`, the last two as on the wire.
#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    commands: Vec<StoredEntry>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    id: String,
    at_ms: i64,
    write: Write,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

#[cfg(test)]
mod tests {
    use curb_model::{PointName, Value};
    use curb_wire::command::Proof;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_555_555_000;

    fn write(value: u64, deadline_ms: i64) -> Write {
        Write { point: PointName::parse("lamp/dim").unwrap(), value: Value::U64(value), deadline_ms }
    }

    fn answer(value: u64) -> Answer {
        let outcome = Outcome {
            point: Some(PointName::parse("lamp/dim").unwrap()),
            value: Some(Value::U64(value)),
            result: Ok(Proof::ReadBack),
            time_ms: Some(NOW),
        };
        Answer { hub: "lamp-0042".to_owned(), outcome }
    }

    fn done(value: u64) -> Admission {
        Admission::Known(Known::Done(Box::new(answer(value))))
    }

    #[test]
    fn a_repeated_command_gets_the_answer_of_the_first() {
        let mut seen = Seen::default();
        let (first, later) = (write(50, NOW + 5), write(50, NOW + 500));
        assert_eq!(seen.admit(b"7", &first, NOW), Admission::Go);
        assert_eq!(seen.admit(b"7", &later, NOW), Admission::Known(Known::UnderWay));
        assert_eq!(seen.admit(b"7", &write(51, NOW + 5), NOW), Admission::Known(Known::Another));
        seen.finish(b"7", answer(50));
        assert_eq!(seen.admit(b"7", &later, NOW), done(50));
        assert_eq!(seen.admit(b"7", &write(51, NOW + 5), NOW), Admission::Known(Known::Another));
        assert_eq!(seen.admit(b"8", &first, NOW), Admission::Go);
        seen.forget(b"8");
        assert_eq!(seen.admit(b"8", &first, NOW), Admission::Go, "what could not be noted was not done");
    }

    #[test]
    fn what_a_restart_cut_off_is_unconfirmed_and_not_done_again() {
        let mut seen = Seen::default();
        seen.admit(b"7", &write(50, NOW + 5), NOW);
        seen.admit(b"8", &write(60, NOW + 5), NOW);
        seen.finish(b"8", answer(60));
        let mut again = Seen::decode(&seen.encode()).unwrap();
        assert_eq!(again, seen);
        let interrupted = again.interrupted("lamp-0042");
        assert_eq!(interrupted.len(), 1);
        assert_eq!(interrupted[0].0, b"7");
        let Admission::Known(Known::Done(answer)) = again.admit(b"7", &write(50, NOW + 5), NOW) else {
            panic!("it is known");
        };
        assert_eq!(answer.outcome.result.unwrap_err().word, "unconfirmed");
        assert!(again.interrupted("lamp-0042").is_empty(), "each is told once");
        assert_eq!(Seen::decode(b"{\"v\":2,\"commands\":[]}"), None);
        assert_eq!(Seen::decode(b""), None);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_could_still_be_carried_out() {
        let mut seen = Seen::default();
        for n in 0..MOST as u64 {
            let id = n.to_be_bytes();
            assert_eq!(seen.admit(&id, &write(n, NOW + 1000), NOW), Admission::Go);
            seen.finish(&id, answer(n));
        }
        assert_eq!(seen.admit(b"more", &write(1, NOW + 1000), NOW), Admission::Full);
        assert!(seen.encode().len() < 100_000, "{}", seen.encode().len());
        let later = NOW + 1000;
        assert_eq!(seen.admit(b"more", &write(1, later + 1000), later), Admission::Go, "the oldest is over by now");
        assert_eq!(seen.look(&0_u64.to_be_bytes(), &write(0, 0)), Known::No);
        assert_eq!(seen.entries.len(), MOST);
        let day = later + 24 * 3_600_000;
        assert_eq!(seen.admit(b"day", &write(1, day + 1000), day), Admission::Go);
        assert_eq!(seen.entries.len(), 2, "what is under way, and what has just come");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask { id: u8, value: u64, lives_ms: i64, saved: bool },
        Finish { id: u8, saved: bool },
        Restart,
        Wait { ms: i64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let ask = (0..6_u8, 0..2_u64, 1..2_000_i64, prop::bool::weighted(0.9));
        prop_oneof![
            6 => ask.prop_map(|(id, value, lives_ms, saved)| Step::Ask { id, value, lives_ms, saved }),
            3 => (0..6_u8, any::<bool>()).prop_map(|(id, saved)| Step::Finish { id, saved }),
            1 => Just(Step::Restart),
            2 => (1..1_500_i64).prop_map(|ms| Step::Wait { ms }),
        ]
    }

    proptest! {
        /// Whatever is asked, repeated, lost on the way to the disk, and whenever the hub is cut off: the same bytes are
        /// carried out once at most; and no id twice, as long as it is remembered.
        #[test]
        fn each_command_is_carried_out_once_at_most(most in 1..8_usize, steps in prop::collection::vec(step(), 1..80)) {
            let mut seen = Seen { most, ..Seen::default() };
            let mut disk = seen.encode();
            let mut now = NOW;
            let mut asked: Vec<(u8, Write)> = Vec::new();
            let mut sent: Vec<(u8, Write)> = Vec::new();
            for step in steps {
                match step {
                    Step::Ask { id, value, lives_ms, saved } => {
                        // The same bytes as before, every other time.
                        let before = asked.iter().find(|(old, write)| *old == id && write.value == Value::U64(value));
                        let request = match before.cloned() {
                            Some((_, write)) if lives_ms % 2 == 0 => write,
                            _ => write(value, now + lives_ms),
                        };
                        asked.push((id, request.clone()));
                        if request.deadline_ms <= now {
                            continue;
                        }
                        if seen.admit(&[id], &request, now) == Admission::Go {
                            if saved {
                                disk = seen.encode();
                                sent.push((id, request));
                            } else {
                                seen.forget(&[id]);
                            }
                        }
                    }
                    Step::Finish { id, saved } => {
                        let under_way = seen.entries.iter().any(|entry| *entry.id == [id] && entry.answer.is_none());
                        if under_way {
                            seen.finish(&[id], answer(0));
                            if saved {
                                disk = seen.encode();
                            }
                        }
                    }
                    Step::Restart => {
                        seen = Seen { most, ..Seen::decode(&disk).unwrap() };
                        seen.interrupted("hub");
                        disk = seen.encode();
                    }
                    Step::Wait { ms } => now += ms,
                }
                prop_assert!(seen.entries.len() <= most);
            }
            for (at, (id, write)) in sent.iter().enumerate() {
                for (other, again) in &sent[at + 1..] {
                    prop_assert!(id != other || write != again, "the same bytes twice");
                    // With room for every id there is, none is forgotten on this day.
                    prop_assert!(most < 6 || id != other, "one id twice");
                }
            }
        }
    }
}
