//! MD5, for stores that insist on it.

/// The MD5 of these bytes. For stores that insist, never for proof.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Md5Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// Computes an [`md5()`] of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Md5Hasher(::md5::Md5);

impl Md5Hasher {
    /// Begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        ::md5::Digest::update(&mut self.0, bytes);
    }

    /// The MD5 of all bytes so far.
    pub fn finish(self) -> [u8; 16] {
        ::md5::Digest::finalize(self.0).into()
    }
}
