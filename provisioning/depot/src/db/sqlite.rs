//! SQLite: a file beside the ingester.

use std::borrow::Cow;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

use super::{Asked, Cell, Failure, LOCK_WAIT, Row, schema};
use crate::error::Error;

/// Statements that are kept prepared: more than there are.
const PREPARED: usize = 96;

/// Opens the file for a writer, and makes it if it is not there.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    if path.is_dir() {
        return Err(Error::NotDepot(path.to_owned()));
    }
    let db = Connection::open(path).map_err(failed("open or make the file"))?;
    set_up(&db)?;
    // Before anything is changed: it may be somebody else's.
    schema::check_ours(&db, path)?;
    // FULL: a commit is on the disk before the broker hears of it. WAL: readers do not stop the writer.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;")
        .map_err(failed("set WAL mode"))?;
    schema::raise_sqlite(&db, path)?;
    Ok(db)
}

/// Opens the file for reading, while a writer may be at work.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, Error> {
    match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => return Err(Error::NotDepot(path.to_owned())),
        Ok(_) => {}
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoDatabase(path.to_owned()));
        }
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    }
    // SQLite has one word for all that keeps it from opening a file.
    std::fs::File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(failed("open the file"))?;
    set_up(&db)?;
    if schema::check_ours(&db, path)? == schema::Tables::None {
        return Err(Error::EmptyDatabase(path.display().to_string()));
    }
    schema::check_sqlite(&db, path)?;
    Ok(db)
}

fn set_up(db: &Connection) -> Result<(), Error> {
    db.busy_timeout(LOCK_WAIT).map_err(failed("set a time-out"))?;
    db.set_prepared_statement_cache_capacity(PREPARED);
    Ok(())
}

/// Names the act that failed.
pub(super) fn failed(act: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Database { act, source: Failure::Sqlite(source) }
}

pub(super) fn run(db: &Connection, sql: &'static str, cells: &[Cell<'_>]) -> Asked<u64> {
    let changed = db.prepare_cached(sql)?.execute(rusqlite::params_from_iter(cells))?;
    Ok(changed as u64)
}

pub(super) fn rows(db: &Connection, sql: &'static str, cells: &[Cell<'_>]) -> Asked<Vec<Row>> {
    let mut statement = db.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map(rusqlite::params_from_iter(cells), |row| {
        (0..columns).map(|column| row.get(column).map(cell)).collect::<Result<_, _>>().map(Row)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn cell(value: Value) -> Cell<'static> {
    match value {
        Value::Null => Cell::Null,
        Value::Integer(int) => Cell::Int(int),
        Value::Real(real) => Cell::Real(real),
        Value::Text(text) => Cell::Text(Cow::Owned(text)),
        Value::Blob(bytes) => Cell::Blob(Cow::Owned(bytes)),
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Int(int) => ValueRef::Integer(*int),
            Cell::Real(real) => ValueRef::Real(*real),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Another process holds the write lock for longer than [`LOCK_WAIT`]. A full or broken disk is not waited for: the
/// process ends with the reason, where somebody sees it.
pub(super) fn is_transient(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
