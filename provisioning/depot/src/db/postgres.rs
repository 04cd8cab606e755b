//! PostgreSQL: a server on this machine, shared by any number of ingesters.
//!
//! Deliberately absent: TLS. [`Place`] takes a Unix socket or loopback only, so nothing leaves the machine unencrypted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error as StdError;

use bytes::BytesMut;
use postgres::error::SqlState;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};

use super::{Asked, Cell, Failure, Kind, LOCK_WAIT, Place, Row, schema};
use crate::error::Error;

/// A connection, with its prepared statements.
pub(crate) struct Pg {
    client: Client,
    /// By text as it stands in our code; there are some dozens.
    prepared: HashMap<&'static str, Statement>,
}

impl std::fmt::Debug for Pg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pg").field("prepared", &self.prepared.len()).finish_non_exhaustive()
    }
}

impl Pg {
    /// Connects, and makes the tables if they are not there.
    pub(super) fn open_for_writing(config: &Config, place: &Place) -> Result<Self, Error> {
        let mut db = Self::connect(config, place)?;
        schema::raise_postgres(&mut db.client, place)?;
        Ok(db)
    }

    /// Connects.
    pub(super) fn open_for_reading(config: &Config, place: &Place) -> Result<Self, Error> {
        let mut db = Self::connect(config, place)?;
        schema::check_postgres(&mut db.client, place)?;
        Ok(db)
    }

    fn connect(config: &Config, place: &Place) -> Result<Self, Error> {
        let mut client = config
            .connect(NoTls)
            .map_err(|source| Error::Connect { place: place.to_string(), source: Failure::Postgres(source) })?;
        // A commit is on the server's disk before the broker hears of it, whatever the server's own default is.
        let settings = format!(
            "SET synchronous_commit = on; SET lock_timeout = {}; SET client_min_messages = warning",
            LOCK_WAIT.as_millis()
        );
        client.batch_execute(&settings).map_err(failed("set the session's time-outs"))?;
        Ok(Self { client, prepared: HashMap::new() })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn run(&mut self, sql: &'static str, cells: &[Cell<'_>]) -> Asked<u64> {
        let statement = self.prepare(sql)?;
        Ok(self.client.execute(&statement, &params(cells))?)
    }

    pub(super) fn rows(&mut self, sql: &'static str, cells: &[Cell<'_>]) -> Asked<Vec<Row>> {
        let statement = self.prepare(sql)?;
        let rows = self.client.query(&statement, &params(cells))?;
        rows.iter().map(row).collect()
    }

    /// Puts rows into a table as one stream: a round trip in all, instead of one for each row. `sql` is `COPY … FROM STDIN
    /// BINARY`, `kinds` are those of its columns.
    pub(crate) fn copy(&mut self, sql: &'static str, kinds: &[Kind], rows: &[Vec<Cell<'_>>]) -> Asked<()> {
        let types: Vec<Type> = kinds.iter().copied().map(column_type).collect();
        let mut writer = postgres::binary_copy::BinaryCopyInWriter::new(self.client.copy_in(sql)?, &types);
        for row in rows {
            writer.write(&params(row))?;
        }
        writer.finish()?;
        Ok(())
    }

    fn prepare(&mut self, sql: &'static str) -> Asked<Statement> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$"))?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Names the act that failed.
pub(super) fn failed(act: &'static str) -> impl Fn(postgres::Error) -> Error {
    move |source| Error::Database { act, source: Failure::Postgres(source) }
}

const fn column_type(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8,
        Kind::Real => Type::FLOAT8,
        Kind::Text => Type::TEXT,
        Kind::Bytes => Type::BYTEA,
    }
}

fn params<'a>(cells: &'a [Cell<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    cells.iter().map(|cell| -> &(dyn ToSql + Sync) { cell }).collect()
}

fn row(row: &postgres::Row) -> Asked<Row> {
    let cell = |(column, kind): (usize, &Type)| -> Asked<Cell<'static>> {
        let cell = match *kind {
            Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map(Cell::Int),
            Type::INT4 => row.try_get::<_, Option<i32>>(column)?.map(|int| Cell::Int(int.into())),
            Type::BOOL => row.try_get::<_, Option<bool>>(column)?.map(Cell::from),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.map(Cell::Real),
            Type::TEXT => row.try_get::<_, Option<String>>(column)?.map(|text| Cell::Text(Cow::Owned(text))),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(column)?.map(|bytes| Cell::Blob(Cow::Owned(bytes))),
            _ => return Err(Failure::Shape { column }),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    let kinds = row.columns().iter().map(postgres::Column::type_).enumerate();
    kinds.map(cell).collect::<Asked<_>>().map(Row)
}

/// A cell takes the form of the column that it goes to, as SQLite would do it.
impl ToSql for Cell<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, kind) {
            (Cell::Null, _) => Ok(IsNull::Yes),
            (Cell::Int(int), &Type::TEXT) => int.to_string().to_sql(kind, out),
            (Cell::Int(int), &Type::INT4) => i32::try_from(*int)?.to_sql(kind, out),
            (Cell::Int(int), _) => int.to_sql(kind, out),
            (Cell::Real(real), &Type::TEXT) => real.to_string().to_sql(kind, out),
            (Cell::Real(real), _) => real.to_sql(kind, out),
            // The one character that PostgreSQL's text cannot hold.
            (Cell::Text(text), _) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(kind, out),
            (Cell::Text(text), _) => text.to_sql(kind, out),
            (Cell::Blob(bytes), &Type::TEXT) => {
                curb_model::Value::Bytes(bytes.to_vec().into()).to_string().to_sql(kind, out)
            }
            (Cell::Blob(bytes), _) => bytes.as_ref().to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::FLOAT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

/// The server is down, starting, stopping, out of something, or another ingester was in the way. What it refuses for good
/// (a password, a right, a statement) is not tried again.
pub(super) fn is_transient(error: &postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // No answer of the server: the connection is gone, or never came about. An error of our own would come again.
        return error.is_closed() || is_io(error);
    };
    let class = code.code().get(..2).unwrap_or_default();
    // 08 connection, 53 out of resources (disk, memory, connections), 55 locks, 57 the operator, 58 the system.
    matches!(class, "08" | "53" | "55" | "57" | "58")
        || [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED].contains(&code)
}

fn is_io(error: &postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
