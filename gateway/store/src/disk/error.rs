//! Why the database did not do what it was asked, and what that means for the writer.

use std::io;
use std::path::PathBuf;

use curb_model::RunId;
use rusqlite::{ErrorCode, ffi};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("use the queue's database")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{act} {path}")]
    Io { act: &'static str, path: PathBuf, source: io::Error },
    #[error("the queue's database has {what} {found}, expected {expected}")]
    Foreign { what: &'static str, found: i32, expected: i32 },
    #[error("the queue's database does not know run {run}, which wrote to it")]
    Lost { run: RunId },
    #[error("the queue's database has a {what} that cannot be")]
    Nonsense { what: &'static str },
    #[error("the damaged database could not be replaced yet")]
    Missing,
}

/// What an error means for the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The file cannot be trusted any more.
    Damaged,
    /// No room: passes when rows are delivered or somebody clears the disk.
    Full,
    /// Another process has the file.
    Locked,
    /// Anything else; trying again may help.
    Other,
}

impl Error {
    pub(crate) fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OutOfMemory))
    }

    pub(crate) fn kind(&self) -> Kind {
        let failure = match self {
            Self::Foreign { .. } | Self::Lost { .. } | Self::Nonsense { .. } => return Kind::Damaged,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => return Kind::Full,
            Self::Io { .. } | Self::Missing => return Kind::Other,
            Self::Sqlite(error) => match error.sqlite_error() {
                Some(failure) => failure,
                // A column of another type, no row where one must be.
                None => return Kind::Damaged,
            },
        };
        let code = failure.code;
        if matches!(code, ErrorCode::DiskFull) {
            Kind::Full
        } else if matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
            Kind::Locked
        } else if matches!(
            code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
        ) || failure.extended_code == ffi::SQLITE_ERROR
        {
            // Our statements fit our schema: one that does not (SQLITE_ERROR) meets another schema or a broken index. Our
            // rows are small: one that is too big has a damaged length.
            Kind::Damaged
        } else {
            // No memory, no file handle, a code that is not known here: none says anything about what is in the file.
            Kind::Other
        }
    }
}
