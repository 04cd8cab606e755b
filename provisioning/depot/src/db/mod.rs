//! The database: a SQLite file, or a PostgreSQL server. What is done with it stands elsewhere, once for both
//! ([`ingest::book`](crate::ingest), [`ledger`](crate::ledger)); here is only how a statement is asked of either.
//!
//! Statements are written in what both dialects have in common, with `?1` for parameters. Where they cannot be,
//! [`Db::pick`] takes the one for its kind. Deliberately absent: a query builder, a pool (one thread asks), and any rule.

mod cell;
mod place;
mod postgres;
mod schema;
mod sqlite;

use std::time::Duration;

pub(crate) use self::cell::{Cell, Row, cells};
pub(crate) use self::place::{Place, PlaceError, without_password};
use self::postgres::Pg;
use crate::error::Error;

/// An open database.
#[derive(Debug)]
pub(crate) enum Db {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Pg>),
}

/// Why a statement failed; the caller says what it was about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Postgres(#[from] ::postgres::Error),
    #[error("column {column} holds what depot did not write there")]
    Shape { column: usize },
}

/// What a statement gave.
pub(crate) type Asked<T> = Result<T, Failure>;

impl Failure {
    /// Whether the same may work later: the server is down or starting, another writer is in the way, a disk is full.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite(error) => sqlite::is_transient(error),
            Self::Postgres(error) => postgres::is_transient(error),
            Self::Shape { .. } => false,
        }
    }
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Real,
    Text,
    Bytes,
}

/// What a transaction will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Write. SQLite has one writer at a time; PostgreSQL as many as lock different rows.
    Write,
    /// Read, all of it as it stood at one moment.
    Read,
}

impl Db {
    /// Opens the database for an ingester, and makes its tables if they are not there.
    pub(crate) fn open_for_writing(place: &Place) -> Result<Self, Error> {
        match place {
            Place::File(path) => sqlite::open_for_writing(path).map(Self::Sqlite),
            Place::Server { config, .. } => Ok(Self::Postgres(Box::new(Pg::open_for_writing(config, place)?))),
        }
    }

    /// Opens the database for reading, while ingesters may be at work.
    pub(crate) fn open_for_reading(place: &Place) -> Result<Self, Error> {
        match place {
            Place::File(path) => sqlite::open_for_reading(path).map(Self::Sqlite),
            Place::Server { config, .. } => Ok(Self::Postgres(Box::new(Pg::open_for_reading(config, place)?))),
        }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn run(&mut self, sql: &'static str, cells: &[Cell<'_>]) -> Asked<u64> {
        match self {
            Self::Sqlite(db) => sqlite::run(db, sql, cells),
            Self::Postgres(db) => db.run(sql, cells),
        }
    }

    /// Runs a statement once for each row of parameters.
    pub(crate) fn run_each(&mut self, sql: &'static str, rows: &[Vec<Cell<'_>>]) -> Asked<()> {
        rows.iter().try_for_each(|cells| self.run(sql, cells).map(drop))
    }

    /// Runs a statement; returns its rows.
    pub(crate) fn rows<T>(
        &mut self,
        sql: &'static str,
        cells: &[Cell<'_>],
        map: impl FnMut(&Row) -> Asked<T>,
    ) -> Asked<Vec<T>> {
        let rows = match self {
            Self::Sqlite(db) => sqlite::rows(db, sql, cells)?,
            Self::Postgres(db) => db.rows(sql, cells)?,
        };
        rows.iter().map(map).collect()
    }

    /// Runs a statement; returns its first row.
    pub(crate) fn first<T>(
        &mut self,
        sql: &'static str,
        cells: &[Cell<'_>],
        map: impl FnMut(&Row) -> Asked<T>,
    ) -> Asked<Option<T>> {
        Ok(self.rows(sql, cells, map)?.into_iter().next())
    }

    /// Whether the connection is gone, and another must be opened.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(db) => db.is_lost(),
        }
    }

    /// The statement for this kind of database, where the two differ.
    pub(crate) const fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// Opens a transaction.
    pub(crate) fn begin(&mut self, access: Access) -> Asked<()> {
        let begin = match access {
            // The write lock at once: SQLite cannot raise a read lock while another writes.
            Access::Write => self.pick("BEGIN IMMEDIATE", "BEGIN"),
            Access::Read => self.pick("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        };
        self.run(begin, &[]).map(drop)
    }

    /// Makes everything since `begin` durable.
    pub(crate) fn commit(&mut self) -> Asked<()> {
        self.run("COMMIT", &[]).map(drop)
    }

    /// Undoes everything since `begin`. An error changes nothing: a connection that is gone has undone it already.
    pub(crate) fn roll_back(&mut self) {
        if let Err(error) = self.run("ROLLBACK", &[]) {
            tracing::debug!(%error, "no transaction to undo");
        }
    }
}

/// How long a statement waits for a lock that another process holds, before it is told so and tries again.
const LOCK_WAIT: Duration = Duration::from_secs(10);
