//! The in-memory backend: the reference implementation of the contract.
//!
//! `store` contains the state: a `bucket`, which contains the bytes as `content`. `builder`
//! makes a store. `storage` has the operations; the longer ones are in `list` and `multipart`.
//! `rules` has the checks that refuse requests.

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
