//! `depot`: what the works depot and the operations room use. It makes a site's certificates ([`ca`]), takes what the
//! hubs send off the city's broker ([`ingest`]), and proves that nothing is missing ([`ledger`]).
//!
//! Deliberately absent: anything that a hub needs to run. A hub that never hears of `depot` again works on.

mod ca;
mod cli;
mod clock;
mod db;
mod error;
mod ingest;
mod intervals;
mod ledger;
#[cfg(test)]
mod simhub;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::error::Outcome;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Not locked: the ingester's writer thread has the same output.
    let mut out = io::stdout();
    let outcome = cli::run(cli, &mut out).and_then(|outcome| {
        out.flush().map_err(error::Error::Output)?;
        Ok(outcome)
    });
    match outcome {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::FoundWrong) => ExitCode::from(1),
        Err(error) => {
            // Nobody is left to tell if stderr is gone too.
            drop(writeln!(io::stderr(), "depot: failed to {}", error::chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}
