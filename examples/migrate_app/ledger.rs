//! What the users were told: the last acknowledged write of each item, apart from Lepton.
//!
//! An item whose last write was not answered is left alone from then on: a write that is late
//! could otherwise replace one that was acknowledged after it.

use std::collections::BTreeMap;
use std::path::Path;

use lepton::{Error, Result};
use serde::{Deserialize, Serialize};

/// The bytes of an item: a number, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) number: u64,
    pub(crate) len: usize,
}

/// The state of an item, as its only user knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Known {
    /// This value was acknowledged.
    Value(Content),
    /// A delete was acknowledged.
    Deleted,
    /// The last write was not answered: the value before it, or its own.
    Unsure(Box<Known>, Box<Known>),
}

/// A post: each makes an object of its own, whose name the application chooses.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Post {
    pub(crate) content: Content,
    pub(crate) acknowledged: bool,
}

/// All items and the counters of all users.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) items: BTreeMap<String, Known>,
    pub(crate) posts: BTreeMap<String, Post>,
    pub(crate) requests: u64,
    pub(crate) writes: u64,
    /// Writes that the background writer made directly at a store.
    pub(crate) direct: u64,
    /// Answers of 500 and above, and broken connections.
    pub(crate) failures: u64,
    /// The first of them.
    pub(crate) failed: Vec<String>,
    /// The same, while the router was killed and started again.
    pub(crate) cut_off: u64,
    /// Requests whose client has hung up.
    pub(crate) hung_up: u64,
    /// Writes over a WebSocket that were acknowledged.
    pub(crate) over_socket: u64,
    /// WebSockets that were closed with code 1012.
    pub(crate) restarted: u64,
    /// Reads that did not give the last acknowledged value.
    pub(crate) stale: u64,
    /// The longest that a request took, in milliseconds, without those that upload slowly.
    pub(crate) longest: u64,
}

impl Ledger {
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let failed = |error| Error::io("cannot save the ledger", error);
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::invalid_input("the ledger cannot be written").with_source(error))?;
        let part = path.with_extension("part");
        std::fs::write(&part, text).map_err(failed)?;
        std::fs::rename(&part, path).map_err(failed)
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io("cannot read the ledger", error))?;
        serde_json::from_slice(&text).map_err(|error| Error::invalid_input("the ledger is damaged").with_source(error))
    }

    /// Records a write of an item.
    pub(crate) fn wrote(&mut self, name: &str, next: Known, acknowledged: bool) {
        self.writes += 1;
        let known = if acknowledged {
            next
        } else {
            let before = self.items.remove(name).unwrap_or(Known::Deleted);
            Known::Unsure(Box::new(before), Box::new(next))
        };
        self.items.insert(name.to_owned(), known);
    }

    /// Records a post.
    pub(crate) fn posted(&mut self, name: String, content: Content, acknowledged: bool) {
        self.writes += 1;
        self.posts.insert(name, Post { content, acknowledged });
    }
}

impl Known {
    /// Whether an item may hold these bytes; `None` is an item that does not exist.
    pub(crate) fn allows(&self, found: Option<&[u8]>) -> bool {
        match (self, found) {
            (Self::Value(content), Some(found)) => content.is(found),
            (Self::Deleted, None) => true,
            (Self::Unsure(before, after), found) => before.allows(found) || after.allows(found),
            _ => false,
        }
    }
}

impl Content {
    /// A small item; all of them have one length.
    pub(crate) fn small(number: u64) -> Self {
        Self { number, len: 2_000 }
    }

    /// An item that is larger than a part.
    pub(crate) fn large(number: u64) -> Self {
        Self { number, len: 9 << 20 }
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.number.to_le_bytes().repeat(self.len / 8)
    }

    fn is(self, found: &[u8]) -> bool {
        found.len() == self.len && found == self.bytes()
    }
}

impl Post {
    /// Whether this is what the objects of the post hold: one object, or none if the post was not
    /// answered.
    pub(crate) fn allows(&self, found: &[Vec<u8>]) -> bool {
        match found {
            [] => !self.acknowledged,
            [one] => self.content.is(one),
            _ => false,
        }
    }
}
