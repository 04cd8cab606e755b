//! What a plugin with state must know to go on, as it is kept between runs. Pure.
//!
//! ```text
//! format u8 · version u32 · data · inputs: list of (name, id) · own points: list of (name, id) · next id u32
//! ```
//!
//! Numbers and lists are those of [`crate::codec`]. Point ids stand in a plugin's data, so they are kept with it, and none is
//! given to another point for as long as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::{Body, Damaged, Writer};

/// Bytes of one snapshot. Twenty plugins take 5 MiB of a hub's memory and disk then; a window over hundreds of points takes a tenth of one.
pub(crate) const SNAPSHOT_MAX: usize = 256 << 10;

/// Ids from here on are damage: each reload takes some hundred.
const NEXT_MAX: u32 = 1 << 31;

/// The format's version.
const FORMAT: u8 = 1;

/// What a plugin gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The plugin's own.
    pub version: u32,
    /// What only the plugin understands.
    pub data: Arc<[u8]>,
}

/// The ids of a plugin's points: of those that it sees, as `device/point`, and of its own, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Of the points that it sees, by `device/point`.
    pub inputs: BTreeMap<String, u32>,
    /// Of its own, by their names.
    pub own: BTreeMap<String, u32>,
    /// The least that none has had.
    pub next: u32,
}

impl Ids {
    /// Whether they can have been given.
    pub(crate) fn is_sound(&self) -> bool {
        self.next <= NEXT_MAX && self.inputs.values().chain(self.own.values()).all(|id| *id < self.next)
    }

    /// The id of a point that it sees.
    pub(crate) fn input(&mut self, name: &str) -> u32 {
        if let Some(id) = self.inputs.get(name) {
            return *id;
        }
        let id = self.take(1);
        self.inputs.insert(name.to_owned(), id);
        id
    }

    /// So many ids that follow each other; the first.
    pub(crate) const fn take(&mut self, count: u32) -> u32 {
        let first = self.next;
        self.next += count;
        first
    }
}

/// Both, to be kept.
pub(crate) fn to_bytes(saved: &Saved, ids: &Ids) -> Arc<[u8]> {
    let list = |names: &BTreeMap<String, u32>| names.iter().map(|(name, id)| (name.clone(), *id)).collect::<Vec<_>>();
    let mut writer = Writer::default();
    writer.u8(FORMAT).saved(saved);
    for names in [&ids.inputs, &ids.own] {
        writer.list(&list(names), |w, (name, id)| w.text(name).u32(*id));
    }
    writer.u32(ids.next);
    writer.into_bytes().into()
}

/// What was kept.
///
/// # Errors
/// The bytes are none of ours, or of a later release.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Saved, Ids), Damaged> {
    let mut body = Body::new(bytes);
    match body.u8()? {
        FORMAT => {}
        other => return Err(Damaged::Kind(other)),
    }
    let saved = body.saved()?;
    let mut names = || Ok(body.list(8, |r| Ok((r.text()?, r.u32()?)))?.into_iter().collect::<BTreeMap<_, _>>());
    let (inputs, own) = (names()?, names()?);
    let next = body.u32()?;
    body.finish()?;
    let ids = Ids { inputs, own, next };
    if ids.is_sound() { Ok((saved, ids)) } else { Err(Damaged::Id) }
}
