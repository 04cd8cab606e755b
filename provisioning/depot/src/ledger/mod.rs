//! The closed ledger: what each stream of each hub says it read, against what is held here.
//!
//! [`balance`] is the arithmetic, [`side`] says who is wrong where it does not close, [`read`] gets its input out of the ingester's database, [`print`] shows the result.

mod balance;
mod print;
mod read;
mod side;

use std::io::Write;

use crate::db::{Db, Place};
use crate::error::{Error, Outcome};

/// Balances the books of a database and shows the result.
///
/// # Errors
/// The database cannot be read, or the output not written.
pub(crate) fn run(db: String, hub: Option<&str>, as_json: bool, out: &mut dyn Write) -> Result<Outcome, Error> {
    let place: Place = db.parse().map_err(|source| Error::Place { text: db, source })?;
    show(&mut Db::open_for_reading(&place)?, hub, as_json, out)
}

/// Balances the books behind `db` and shows the result.
pub(crate) fn show(db: &mut Db, hub: Option<&str>, as_json: bool, out: &mut dyn Write) -> Result<Outcome, Error> {
    let ledger = read::read(db, hub).map_err(|source| Error::Database { act: "read the books", source })?;
    if let Some(hub) = hub.filter(|_| ledger.hubs.is_empty()) {
        return Err(Error::UnknownHub(hub.to_owned()));
    }
    let written = if as_json { print::json(&ledger, out) } else { print::table(&ledger, out) };
    written.map_err(Error::Output)?;
    Ok(if ledger.closes() { Outcome::Fine } else { Outcome::FoundWrong })
}

#[cfg(test)]
mod tests;
