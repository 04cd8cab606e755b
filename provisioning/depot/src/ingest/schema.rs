//! The database file: how it is made, opened for writing, and opened for reading beside the writer.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// Stands in the file's `user_version`. A change to `schema.sql` that an older reader would misread raises it.
const VERSION: i64 = 1;

const MS_PER_DAY: i64 = 86_400_000;

/// The day of a moment, in days since 1970 (UTC).
pub(crate) const fn day(ms: i64) -> i64 {
    ms.div_euclid(MS_PER_DAY)
}

/// Opens the file for the one writer, and makes it if it is not there.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    let failed = |act| move |source| Error::Database { act, source };
    let db = Connection::open(path).map_err(failed("open or make the file"))?;
    // FULL: a commit is on the disk before the broker hears of it. WAL: readers do not stop the writer.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;")
        .map_err(failed("set WAL mode"))?;
    if version(&db)? == 0 {
        let make = format!("BEGIN; {} PRAGMA user_version = {VERSION}; COMMIT;", include_str!("schema.sql"));
        db.execute_batch(&make).map_err(failed("make the tables"))?;
    }
    check_version(&db, path)?;
    db.execute_batch(include_str!("added.sql")).map_err(failed("make the tables that came later"))?;
    Ok(db)
}

/// Opens the file for reading, while a writer may be at work.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, Error> {
    let failed = |act| move |source| Error::Database { act, source };
    if !path.exists() {
        return Err(Error::NoDatabase(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(failed("open the file"))?;
    db.busy_timeout(Duration::from_secs(10)).map_err(failed("set a time-out"))?;
    check_version(&db, path)?;
    Ok(db)
}

fn version(db: &Connection) -> Result<i64, Error> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|source| Error::Database { act: "read the schema's version", source })
}

fn check_version(db: &Connection, path: &Path) -> Result<(), Error> {
    let found = version(db)?;
    if found == VERSION { Ok(()) } else { Err(Error::Schema { path: path.to_owned(), found, expected: VERSION }) }
}
