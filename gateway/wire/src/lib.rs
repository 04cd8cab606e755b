//! The bytes that others read: topics, SenML payloads, the run, gap, clock, status, points and receipt documents,
//! and commands with their answers and audit records.
//!
//! `store` freezes a [`Batch`](curb_model::Batch) with [`senml::encode`]; the city core takes it apart with
//! [`senml::decode`]. City developers read the same in `gateway/WIRE.md`. Golden files (`golden/v1`) hold every document
//! of a version: when one differs the code is wrong, not the file.
//!
//! Deliberately absent: sending and receiving, and any state. Unknown members are ignored by every reader, so that a
//! later hub can say more to an older core; a member never changes its meaning within `v` 1.

pub mod command;
pub mod record;
pub mod senml;
pub mod status;
pub mod topic;

#[cfg(test)]
mod tests;

/// Why bytes are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or a member is missing or of another type.
    #[error("read {document}")]
    Json {
        /// Which document was expected.
        document: &'static str,
        /// Where and what.
        source: serde_json::Error,
    },
    /// Not CBOR, or a member is of another type.
    #[error("read {document}")]
    Cbor {
        /// Which document was expected.
        document: &'static str,
        /// Where and what.
        source: minicbor::decode::Error,
    },
    /// It begins as a zlib stream, and is none, or is cut off, or holds another.
    #[error("inflate {document}: it is no whole zlib stream of one document")]
    Inflate {
        /// Which document was expected.
        document: &'static str,
    },
    /// A few bytes that would become too many.
    #[error("inflate {document}: it becomes more than {limit} bytes")]
    TooLarge {
        /// Which document was expected.
        document: &'static str,
        /// The most that is taken.
        limit: usize,
    },
    /// A version that this reader does not know.
    #[error("read {document}: version is {found}, expected 1")]
    Version {
        /// Which document was expected.
        document: &'static str,
        /// The version found.
        found: u32,
    },
    /// A member is there, and not what it should be.
    #[error("read {document}: {member} is {found:?}, expected {expected}")]
    Member {
        /// Which document was expected.
        document: &'static str,
        /// Which member.
        member: &'static str,
        /// Its text.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
}
