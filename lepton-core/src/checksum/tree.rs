//! The SHA-256 tree hash: the digest that proves an object.
//!
//! The bytes are cut into leaves of 1 MiB, and each leaf is hashed with SHA-256. On each
//! level, pairs of neighbours are hashed together and an odd node is carried up, until
//! one node is left.
//! The definition is Amazon Glacier's ("Computing Checksums", S3 Glacier
//! Developer Guide); botocore's `calculate_tree_hash` computes the same, except
//! that the digest of no bytes is, here, the SHA-256 of no bytes.
//!
//! A part whose size in MiB is a power of two is a node of the tree, so parts can be
//! hashed separately, in any order, and the root does not depend on the part size.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::sha256::Sha256;

/// The size of a leaf: 1 MiB.
pub const LEAF_SIZE: usize = 1 << 20;

/// The digest of an object: the root of its tree and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TreeDigest {
    /// The root of the tree.
    pub root: Sha256,
    /// The length in bytes.
    pub len: u64,
}

/// Computes the tree hash of bytes that arrive in pieces of any size.
///
/// Memory use is bounded: the state of one leaf and one hash per level.
///
/// ```
/// use lepton_core::{Sha256, TreeHasher};
/// let mut hasher = TreeHasher::new();
/// hasher.update(b"hello ");
/// hasher.update(b"world");
/// assert_eq!(hasher.finish().root, Sha256::of(b"hello world"));
/// ```
#[derive(Debug, Clone)]
pub struct TreeHasher {
    leaf: sha2::Sha256,
    in_leaf: usize,
    nodes: Nodes,
    len: u64,
}

impl TreeHasher {
    /// A hasher over no bytes yet.
    pub fn new() -> Self {
        Self { leaf: sha2::Sha256::new(), in_leaf: 0, nodes: Nodes::default(), len: 0 }
    }

    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> TreeDigest {
        let mut hasher = Self::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(LEAF_SIZE - self.in_leaf));
            self.leaf.update(now);
            self.in_leaf += now.len();
            if self.in_leaf == LEAF_SIZE {
                self.nodes.push(self.leaf.finalize_reset().into());
                self.in_leaf = 0;
            }
            bytes = rest;
        }
    }

    /// Adds the next leaf by its hash. Every leaf but the last must have [`LEAF_SIZE`]
    /// bytes, and the preceding [`update`](Self::update)s must not end within a leaf.
    pub fn push_leaf(&mut self, hash: Sha256, len: u64) {
        debug_assert_eq!(self.in_leaf, 0, "a leaf within a leaf");
        self.nodes.push(hash);
        self.len += len;
    }

    /// The digest of all bytes so far.
    pub fn finish(mut self) -> TreeDigest {
        if self.in_leaf > 0 || self.nodes.is_empty() {
            self.nodes.push(self.leaf.finalize().into());
        }
        TreeDigest { root: self.nodes.root(), len: self.len }
    }
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The root of one part from the hashes of its leaves, in order.
pub fn part_root(leaves: &[Sha256]) -> Sha256 {
    let mut nodes = Nodes::default();
    leaves.iter().for_each(|leaf| nodes.push(*leaf));
    nodes.root()
}

/// The root of an object from the roots of its parts, in order. All parts but the last
/// must have the same size, which is a power of two in MiB; the last is not larger.
pub fn root_of_parts(roots: &[Sha256]) -> Sha256 {
    part_root(roots)
}

impl From<sha2::digest::Output<sha2::Sha256>> for Sha256 {
    fn from(output: sha2::digest::Output<sha2::Sha256>) -> Self {
        Self(output.into())
    }
}

/// Complete subtrees from the largest to the smallest, like the bits of a counter.
#[derive(Debug, Clone, Default)]
struct Nodes {
    stack: Vec<(u32, Sha256)>,
}

impl Nodes {
    fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    fn push(&mut self, hash: Sha256) {
        let mut node = (0, hash);
        while let Some(&(level, left)) = self.stack.last()
            && level == node.0
        {
            self.stack.pop();
            node = (level + 1, join(left, node.1));
        }
        self.stack.push(node);
    }

    fn root(self) -> Sha256 {
        let hashes = self.stack.into_iter().rev().map(|(_, hash)| hash);
        hashes.reduce(|right, left| join(left, right)).unwrap_or_else(|| Sha256::of(b""))
    }
}

fn join(left: Sha256, right: Sha256) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    hasher.update(left.0);
    hasher.update(right.0);
    hasher.finalize().into()
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "test data")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The published definition, level by level.
    fn by_definition(bytes: &[u8]) -> Sha256 {
        let mut level: Vec<Sha256> = bytes.chunks(LEAF_SIZE).map(Sha256::of).collect();
        if level.is_empty() {
            return Sha256::of(b"");
        }
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| if let [l, r] = pair { join(*l, *r) } else { pair[0] }).collect();
        }
        level[0]
    }

    #[test]
    fn equals_the_definition_at_every_leaf_count() {
        let bytes: Vec<u8> = (0..9 * LEAF_SIZE + 17).map(|i| (i * 31 + i / 251) as u8).collect();
        for leaves in 0..=9 {
            for extra in [0, 1, 17] {
                let bytes = &bytes[..leaves * LEAF_SIZE + extra];
                assert_eq!(TreeHasher::of(bytes).root, by_definition(bytes), "{leaves} leaves and {extra}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn does_not_depend_on_pieces_or_part_size(len in 0usize..6 * LEAF_SIZE, piece in 1usize..3 * LEAF_SIZE, log in 0u32..3) {
            let bytes: Vec<u8> = (0..len).map(|i| (i ^ (i >> 9)) as u8).collect();
            let mut hasher = TreeHasher::new();
            bytes.chunks(piece).for_each(|piece| hasher.update(piece));
            let digest = hasher.finish();
            prop_assert_eq!(digest, TreeHasher::of(&bytes));
            let roots: Vec<Sha256> = bytes.chunks(LEAF_SIZE << log).map(|part| TreeHasher::of(part).root).collect();
            prop_assert_eq!(digest.root, root_of_parts(&roots));
        }
    }
}
