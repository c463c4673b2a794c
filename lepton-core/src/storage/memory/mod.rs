//! The in-memory backend: the reference implementation of the contract.
//!
//! `store` holds the state, a `bucket`, and that the bytes, `content`; `builder` makes a
//! store. `storage` has the operations, `list` and `multipart` those that need more than a few
//! lines; `rules` is what is refused.

mod bucket;
mod builder;
mod content;
mod list;
mod multipart;
mod rules;
mod storage;
mod store;
#[cfg(test)]
mod tests;

pub use builder::MemoryStorageBuilder;
pub use store::MemoryStorage;
