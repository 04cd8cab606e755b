//! Open windows as bytes, version 1.
//!
//! ```text
//! timeline 17 bytes (time i64, 1 u8 and UTC offset i64, or 0 and 0), then
//! every i64, shift i64, moved: shift i64 and last end i64 (both 0: not moved), then each point:
//!   id u32, closed i64 (the least: not yet), parts u16, then each part:
//!     end i64, count u32, min f64, max f64, sum f64, doubt u8
//!     top: length u8, f64 each; rest: length u8, sixteenth u16 and count u32 each
//! ```

use curb_plugin::{Pack, PointId, Saved, Timeline, Unpack, join};

use crate::grid::{Grid, Moved};
use crate::part::Part;
use crate::rule::Track;
use crate::tail::{REST, TOP, Tail};

/// The version of these bytes.
const VERSION: u32 = 1;

/// A point without its parts.
pub const POINT_BYTES: usize = 4 + 8 + 2;

/// A part, at most.
#[must_use]
pub const fn part_bytes(with_tail: bool) -> usize {
    8 + 4 + 3 * 8 + 1 + 2 + if with_tail { TOP * 8 + REST * 6 } else { 0 }
}

/// What is kept.
#[derive(Debug, PartialEq)]
pub struct Kept {
    /// How time was.
    pub timeline: Timeline,
    /// Where windows end.
    pub grid: Grid,
    /// The open windows of each point.
    pub tracks: Vec<(PointId, Track)>,
}

/// Writes.
pub fn save<'a>(timeline: Timeline, grid: Grid, tracks: impl Iterator<Item = (PointId, &'a Track)>) -> Saved {
    let mut pack = Pack::default();
    timeline.save(&mut pack);
    let (every, shift, moved) = grid.into_parts();
    let moved = moved.unwrap_or(Moved { shift: 0, last: 0 });
    pack.i64(every).i64(shift).i64(moved.shift).i64(moved.last);
    for (id, track) in tracks {
        pack.u32(id.0).i64(track.closed.unwrap_or(i64::MIN)).u16(short(track.parts.len()));
        track.parts.iter().for_each(|part| save_part(part, &mut pack));
    }
    Saved { version: VERSION, data: pack.into_bytes() }
}

/// Reads.
///
/// # Errors
/// These bytes are of another version, or torn.
pub fn load(saved: &Saved) -> Result<Kept, String> {
    if saved.version != VERSION {
        let version = saved.version.to_string();
        return Err(join(&["found windows of version ", &version, ", expected 1"]));
    }
    let mut from = Unpack::new(&saved.data);
    let timeline = Timeline::load(&mut from);
    let (every, shift) = (from.i64(), from.i64());
    let moved = Moved { shift: from.i64(), last: from.i64() };
    let moved = (moved != Moved { shift: 0, last: 0 }).then_some(moved);
    let mut tracks = Vec::new();
    while from.has_more() {
        let id = PointId(from.u32());
        let closed = Some(from.i64()).filter(|closed| *closed != i64::MIN);
        let mut track = Track { closed, parts: Vec::new() };
        for _ in 0..from.u16() {
            track.parts.push(load_part(&mut from));
        }
        tracks.push((id, track));
    }
    from.finish()?;
    Ok(Kept { timeline, grid: Grid::new(every.max(1), shift, moved), tracks })
}

fn save_part(part: &Part, pack: &mut Pack) {
    pack.i64(part.end).u32(part.count).f64(part.min).f64(part.max).f64(part.sum).u8(part.doubt);
    let Tail { top, rest } = &part.tail;
    pack.u8(byte(top.len()));
    for value in top {
        pack.f64(*value);
    }
    pack.u8(byte(rest.len()));
    for (sixteenth, count) in rest {
        pack.u16(*sixteenth).u32(*count);
    }
}

fn load_part(from: &mut Unpack<'_>) -> Part {
    let mut part = Part::new(from.i64(), 0);
    part.count = from.u32();
    (part.min, part.max, part.sum, part.doubt) = (from.f64(), from.f64(), from.f64(), from.u8());
    for _ in 0..from.u8() {
        part.tail.top.push(from.f64());
    }
    for _ in 0..from.u8() {
        part.tail.rest.push((from.u16(), from.u32()));
    }
    part
}

/// There are TOP and REST at most.
fn byte(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// There are `most_parts` at most, which settings bound by what is kept.
fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
