//! MD5, for stores that require it.

/// The MD5 of these bytes. Only for stores that require it, never as proof of content.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Md5Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// Computes the [`md5()`] of bytes that arrive in pieces.
#[derive(Debug, Clone, Default)]
pub struct Md5Hasher(::md5::Md5);

impl Md5Hasher {
    /// A hasher over no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        ::md5::Digest::update(&mut self.0, bytes);
    }

    /// The MD5 of all bytes so far.
    pub fn finish(self) -> [u8; 16] {
        ::md5::Digest::finalize(self.0).into()
    }
}
