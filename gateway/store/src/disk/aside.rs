//! What is aside, and what the queue holds as people look at it.

use std::collections::BTreeMap;

use curb_model::{Lane, RowId, RunId, Stream};
use rusqlite::{OptionalExtension as _, Row};

use crate::queue::Aside;
use crate::shelf::{Kept, Shelf};

use super::read::lane;
use super::{Disk, Error, unsigned};

const ASIDE: &str = "select row, run, stream, seq, lane, code, payload from aside";

impl Disk {
    /// How many messages are aside.
    pub(crate) fn count_aside(&self) -> Result<u64, Error> {
        let count = self.connection()?.query_row("select count(*) from aside", [], |row| row.get(0))?;
        unsigned(count)
    }

    /// A message that is aside, if it is there.
    pub(crate) fn find_aside(&self, row: RowId) -> Result<Option<Aside>, Error> {
        let sql = format!("{ASIDE} where row = ?1");
        let mut statement = self.connection()?.prepare_cached(&sql)?;
        let mut rows = statement.query([row.0])?;
        rows.next()?.map(aside).transpose()
    }

    /// Whether a message is aside.
    pub(crate) fn is_aside(&self, row: RowId) -> Result<bool, Error> {
        let mut statement = self.connection()?.prepare_cached("select 1 from aside where row = ?1")?;
        Ok(statement.query_row([row.0], |_| Ok(())).optional()?.is_some())
    }

    /// Messages in the queue that were aside, by stream.
    pub(crate) fn released(&self) -> Result<BTreeMap<i64, u64>, Error> {
        // The index has these alone: the queue may be long.
        let sql = "select stream, count(*) from message where readings = 0 and lane < 2 group by stream";
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut released = BTreeMap::new();
        while let Some(row) = rows.next()? {
            released.insert(row.get(0)?, unsigned(row.get(1)?)?);
        }
        Ok(released)
    }

    /// Messages behind the row `after`, in order: at most `rows` of them, and some `bytes`, but at least one if there is one.
    pub(crate) fn look(&self, shelf: Shelf, after: i64, rows: usize, bytes: usize) -> Result<Vec<Kept>, Error> {
        let sql = match shelf {
            Shelf::Aside => format!("{ASIDE} where row > ?1 order by row"),
            Shelf::Queue => {
                "select m.row, r.counter || '-' || printf('%016x', r.nonce), s.name, m.seq, m.lane, 0, m.payload \
                             from message m join stream s on s.id = m.stream join run r on r.counter = s.run \
                             where m.row > ?1 order by m.row"
                    .to_owned()
            }
        };
        let mut statement = self.connection()?.prepare_cached(&sql)?;
        let mut found = statement.query([after])?;
        let (mut kept, mut size) = (Vec::new(), 0);
        while kept.len() < rows
            && let Some(row) = found.next()?
        {
            let Aside { row, run, stream, seq, lane, code, payload } = aside(row)?;
            size += payload.len();
            if size > bytes && !kept.is_empty() {
                break;
            }
            let code = (shelf == Shelf::Aside).then_some(code);
            kept.push(Kept { row, run, stream, seq, lane, code, payload });
        }
        Ok(kept)
    }
}

fn aside(row: &Row<'_>) -> Result<Aside, Error> {
    let text = |at: usize| row.get_ref(at).map(|cell| cell.as_str().unwrap_or_default().to_owned());
    let run: RunId = text(1)?.parse().map_err(|_| Error::Nonsense { what: "run of a message" })?;
    let stream = Stream::parse(&text(2)?).map_err(|_| Error::Nonsense { what: "stream name" })?;
    let lane: Lane = lane(row.get(4)?)?;
    let payload = row.get_ref(6)?.as_blob().map_err(|_| Error::Nonsense { what: "payload" })?;
    let (row, seq, code) = (RowId(row.get(0)?), unsigned(row.get(3)?)?, row.get(5)?);
    Ok(Aside { row, run, stream, seq, lane, code, payload: payload.into() })
}
