//! What plugins must not forget: one row for each, written in the transaction of what was let out with it.

use std::collections::BTreeMap;

use curb_model::{HubTime, Name};
use rusqlite::{Transaction, params};

use super::sum::state_sum;
use super::{Disk, Error, Loaded, STATES_KEPT};
use crate::queue::PluginState;

/// The table, for files of the first days, which lack it.
pub(super) const TABLE: &str = "create table if not exists plugin (\
    name text primary key, at integer not null, state blob not null, sum integer not null) strict";

/// The newest of each, in the place of the one before.
pub(super) fn write(transaction: &Transaction<'_>, plugins: &BTreeMap<Name, PluginState>) -> Result<(), Error> {
    if plugins.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached("insert or replace into plugin values (?1, ?2, ?3, ?4)")?;
    let mut delete = transaction.prepare_cached("delete from plugin where name = ?1")?;
    for (name, PluginState { since, bytes }) in plugins {
        match bytes {
            Some(bytes) => {
                let sum = state_sum(name.as_str(), bytes);
                insert.execute(params![name.as_str(), since.as_nanos(), &bytes[..], sum])?
            }
            None => delete.execute([name.as_str()])?,
        };
    }
    let oldest = "delete from plugin where name not in (select name from plugin order by at desc limit ?1)";
    transaction.prepare_cached(oldest)?.execute([STATES_KEPT])?;
    Ok(())
}

impl Disk {
    /// Reads all of it. A row that is not what was written is no reason to give the queue up.
    pub(super) fn load_plugins(&self, loaded: &mut Loaded) -> Result<(), Error> {
        let mut statement = self.connection()?.prepare("select name, state, sum, at from plugin order by name")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            let state: Vec<u8> = row.get(1)?;
            match Name::new(&text) {
                Ok(name) if state_sum(&text, &state) == row.get::<_, i64>(2)? => {
                    let since = HubTime::from_nanos(row.get(3)?);
                    loaded.plugins.insert(name, PluginState { since, bytes: Some(state.into()) });
                }
                Ok(_) | Err(_) => loaded.torn_plugins.push(text),
            }
        }
        Ok(())
    }
}
