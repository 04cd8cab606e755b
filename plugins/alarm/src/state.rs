//! What is remembered, as bytes. Version 1, little-endian:
//!
//! ```text
//! now        u8 1 and i64, or u8 0   when the plugin was called last
//! each rule, until the end:
//!   name     u8 length, ASCII
//!   point    u32                     the point that it watches
//!   silence  u8                      1: it looks for silence
//!   raised, turning, confirmed, released, reached, told
//!            each u8 1 and i64, or u8 0
//! ```
//!
//! At most 92 bytes a rule, so that 256 rules, the most that a hub allows, are 24 KB of the 256 that a snapshot may have.

use curb_plugin::{Pack, PointId, Saved, Unpack};

use crate::rule::Rule;
use crate::watch::{Cause, Watch};

/// Of these bytes.
const VERSION: u32 = 1;

/// The state of one rule, and what it was of.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) point: PointId,
    pub(crate) silence: bool,
    pub(crate) watch: Watch,
}

impl Kept {
    /// What of it holds for a rule of this name now: all, if it watches the same point for the same sort of thing; else that
    /// the alarm is on and has been told, so that it will be cleared.
    pub(crate) fn for_rule(&self, rule: &Rule) -> Watch {
        let silence = rule.timing.cause == Cause::Absence;
        if (self.point, self.silence) == (rule.point, silence) {
            return self.watch;
        }
        let Watch { raised, reached, told, .. } = self.watch;
        Watch { raised, reached, told, ..Watch::default() }
    }
}

/// The bytes of all rules.
pub(crate) fn save<'a>(now: Option<i64>, rules: impl Iterator<Item = (&'a Rule, &'a Watch)>) -> Saved {
    let mut pack = Pack::default();
    put_times(&mut pack, &[now]);
    for (rule, watch) in rules {
        // A name has 32 bytes at most, all of them ASCII.
        pack.u8(u8::try_from(rule.name.len()).unwrap_or(u8::MAX));
        for byte in rule.name.bytes() {
            pack.u8(byte);
        }
        pack.u32(rule.point.0).u8(u8::from(rule.timing.cause == Cause::Absence));
        let Watch { raised, turning, confirmed, released, reached, told } = *watch;
        put_times(&mut pack, &[raised, turning, confirmed, released, reached, told]);
    }
    Saved { version: VERSION, data: pack.into_bytes() }
}

/// When the plugin was called last, and what was kept of each rule.
///
/// # Errors
/// The bytes are of another version, or of another length than [`save`] writes.
pub(crate) fn load(saved: &Saved) -> Result<(Option<i64>, Vec<Kept>), String> {
    if saved.version != VERSION {
        return Err("the state is of another version than 1".to_owned());
    }
    let mut unpack = Unpack::new(&saved.data);
    let [now] = times(&mut unpack);
    let mut rules = Vec::new();
    while unpack.has_more() {
        let length = unpack.u8();
        let name = (0..length).map(|_| char::from(unpack.u8())).collect();
        let (point, silence) = (PointId(unpack.u32()), unpack.u8() != 0);
        let [raised, turning, confirmed, released, reached, told] = times(&mut unpack);
        let watch = Watch { raised, turning, confirmed, released, reached, told };
        rules.push(Kept { name, point, silence, watch });
    }
    unpack.finish().map(|()| (now, rules))
}

fn put_times(pack: &mut Pack, times: &[Option<i64>]) {
    for time in times {
        pack.u8(u8::from(time.is_some()));
        if let Some(time) = time {
            pack.i64(*time);
        }
    }
}

fn times<const N: usize>(unpack: &mut Unpack<'_>) -> [Option<i64>; N] {
    [(); N].map(|()| (unpack.u8() != 0).then(|| unpack.i64()))
}
