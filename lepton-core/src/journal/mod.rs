//! The journal: what a run meant to do and what it did, on disk.
//!
//! One folder per run, with numbered segments and a lock file. Records are
//! appended in memory and become durable in groups: [`Journal::commit`] returns
//! when everything appended before it is on disk, however many callers wait at
//! once, for the price of one `fdatasync`. After a crash everything behind the
//! last complete group is dropped; damage before it is an error that names the
//! segment and the offset. The format is in `docs/formats/journal.md`.
//!
//! A group is written when somebody waits for it, when enough is pending, and in any
//! case soon after its first record: what a kill can take is bounded in time and, by
//! [`Journal::append_for`], in the bytes of the work that the records stand for.
//!
//! A journal never holds a secret.

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
