//! The tables: how they are made, and which version of them this depot reads.
//!
//! SQLite's version stands in the file's `user_version`, PostgreSQL's in the table `depot`. A change that an older reader
//! would misread raises it. A SQLite file is raised step by step when an ingester opens it; a PostgreSQL database begins
//! with version 2.

use std::cmp::Ordering;
use std::path::Path;

use postgres::Client;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{Place, postgres as pg, sqlite};
use crate::error::Error;

/// What this depot reads and writes.
const VERSION: i64 = 2;

/// Step n makes version n + 1 of a SQLite file out of version n.
const SQLITE_STEPS: [&str; 2] = [include_str!("schema/sqlite-1.sql"), include_str!("schema/sqlite-2.sql")];

/// What came later, and no reader misreads. In the words of both databases.
const ADDED: &str = include_str!("schema/added.sql");

/// Of the lock under which tables are made, so that ingesters that start together make them once.
const LOCK: i64 = 0x6465_706f_7400;

/// Makes the tables of a new file, and raises an older one.
pub(super) fn raise_sqlite(db: &Connection, path: &Path) -> Result<(), Error> {
    let failed = sqlite::failed("make the tables");
    let db = Transaction::new_unchecked(db, TransactionBehavior::Immediate).map_err(&failed)?;
    let found = sqlite_version(&db)?;
    let steps = usize::try_from(found).ok().and_then(|found| SQLITE_STEPS.get(found..));
    for step in steps.unwrap_or_default() {
        db.execute_batch(step).map_err(&failed)?;
    }
    if (0..VERSION).contains(&found) {
        db.pragma_update(None, "user_version", VERSION).map_err(&failed)?;
    }
    check_sqlite(&db, path)?;
    db.execute_batch(ADDED).map_err(&failed)?;
    db.commit().map_err(&failed)
}

/// What a SQLite file that is not somebody else's has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// Nothing yet.
    None,
    Ours,
}

/// Refuses what is no database, and one that is not depot's: a hub's queue, say, whose version means something else.
pub(super) fn check_ours(db: &Connection, path: &Path) -> Result<Tables, Error> {
    // Of every version.
    let sql = "SELECT count(*), coalesce(sum(name IN ('hub', 'run', 'stream', 'told')), 0) FROM sqlite_schema
               WHERE type = 'table'";
    let counted = db.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    match counted {
        Ok((0, _)) => Ok(Tables::None),
        Ok((_, 4)) => Ok(Tables::Ours),
        Ok(_) => Err(Error::NotDepot(path.to_owned())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(Error::NotDepot(path.to_owned()))
        }
        Err(error) => Err(sqlite::failed("read the tables")(error)),
    }
}

/// Refuses a file of another version.
pub(super) fn check_sqlite(db: &Connection, path: &Path) -> Result<(), Error> {
    check(sqlite_version(db)?, || path.display().to_string())
}

fn sqlite_version(db: &Connection) -> Result<i64, Error> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sqlite::failed("read the schema's version"))
}

/// Makes the tables of a new database.
pub(super) fn raise_postgres(db: &mut Client, place: &Place) -> Result<(), Error> {
    let failed = pg::failed("make the tables");
    let mut db = db.transaction().map_err(&failed)?;
    db.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).map_err(&failed)?;
    match postgres_version(&mut db)? {
        None => db.batch_execute(include_str!("schema/postgres.sql")).map_err(&failed)?,
        Some(found) => check(found, || place.to_string())?,
    }
    db.batch_execute(ADDED).map_err(&failed)?;
    db.commit().map_err(&failed)
}

/// Refuses a database of another version, and one that no ingester has made tables in.
pub(super) fn check_postgres(db: &mut Client, place: &Place) -> Result<(), Error> {
    let found = postgres_version(db)?.ok_or_else(|| Error::EmptyDatabase(place.to_string()))?;
    check(found, || place.to_string())
}

fn postgres_version(db: &mut impl postgres::GenericClient) -> Result<Option<i64>, Error> {
    let failed = pg::failed("read the schema's version");
    let there = db.query_one("SELECT to_regclass('depot') IS NOT NULL", &[]).map_err(&failed)?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    db.query_one("SELECT version FROM depot", &[]).map(|row| Some(row.get(0))).map_err(&failed)
}

fn check(found: i64, place: impl FnOnce() -> String) -> Result<(), Error> {
    match found.cmp(&VERSION) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(Error::OldSchema { place: place(), found, expected: VERSION }),
        Ordering::Greater => Err(Error::NewSchema { place: place(), found, expected: VERSION }),
    }
}
