//! The journal: a record on disk of what a run intended to do and what it did.
//!
//! Each run has one folder with numbered segments and a lock file. Records are
//! appended in memory and become durable in groups: [`Journal::commit`] returns
//! when everything appended before it is on disk. Any number of concurrent callers
//! share one `fdatasync`. After a crash, everything after the last complete group is
//! dropped; damage before it is an error that names the segment and the offset. The
//! format is described in `docs/formats/journal.md`.
//!
//! A group is written when a caller waits for it, when enough is pending, and in any
//! case soon after its first record. What a kill can lose is thus bounded in time and,
//! by [`Journal::append_for`], in the bytes of work that the records stand for.
//!
//! A journal never contains a secret.

mod folder;
mod format;
mod identity;
mod lock;
mod open;
mod replay;
mod restart;
#[cfg(test)]
mod tests;
mod write;

pub use format::FIRST_USER_TYPE;
pub use identity::Identity;
pub use open::{Journal, Opened};
pub use replay::{Record, Replay};
