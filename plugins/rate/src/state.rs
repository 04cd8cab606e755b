//! What is remembered of counters as bytes, version 1.
//!
//! ```text
//! timeline 17 bytes (time i64, 1 u8 and UTC offset i64, or 0 and 0), then
//! each point: id u32, 1 while it fails else 0 u8, then
//!   1 u8, at i64, value f64, since i64, counted f64, doubt u8
//!   or 0 u8: it had no good reading yet
//! ```

use curb_plugin::{Pack, PointId, Saved, Timeline, Unpack, join};

use crate::Memory;
use crate::rule::Last;

/// The version of these bytes.
const VERSION: u32 = 1;

/// Writes.
pub fn save(timeline: Timeline, points: impl Iterator<Item = (PointId, Memory)>) -> Saved {
    let mut pack = Pack::default();
    timeline.save(&mut pack);
    for (id, Memory { last, is_failing }) in points {
        pack.u32(id.0).u8(u8::from(is_failing)).u8(u8::from(last.is_some()));
        if let Some(Last { at, value, since, counted, doubt }) = last {
            pack.i64(at).f64(value).i64(since).f64(counted).u8(doubt);
        }
    }
    Saved { version: VERSION, data: pack.into_bytes() }
}

/// Reads.
///
/// # Errors
/// These bytes are of another version, or torn.
pub fn load(saved: &Saved) -> Result<(Timeline, Vec<(PointId, Memory)>), String> {
    if saved.version != VERSION {
        return Err(join(&["found counters of version ", &saved.version.to_string(), ", expected 1"]));
    }
    let mut from = Unpack::new(&saved.data);
    let timeline = Timeline::load(&mut from);
    let mut points = Vec::new();
    while from.has_more() {
        let id = PointId(from.u32());
        let (is_failing, has_last) = (from.u8() == 1, from.u8() == 1);
        let mut last =
            || Last { at: from.i64(), value: from.f64(), since: from.i64(), counted: from.f64(), doubt: from.u8() };
        points.push((id, Memory { last: has_last.then(&mut last), is_failing }));
    }
    from.finish()?;
    Ok((timeline, points))
}
