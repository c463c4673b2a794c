//! HMAC-SHA-256, for signatures and for digests that need a key.

use std::fmt;

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::zeroize::Zeroizing;

use super::sha256::Sha256;

/// The length of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Computes the message authentication code HMAC-SHA-256 (RFC 2104) of bytes that arrive in
/// pieces. Cloning it before the first piece saves deriving the key again.
#[derive(Clone)]
pub struct HmacSha256(Hmac<sha2::Sha256>);

impl HmacSha256 {
    /// Starts with a key of any length.
    pub fn new(key: &[u8]) -> Self {
        // RFC 2104 hashes a key that is longer than a block, and fills a shorter one with zeros.
        // The block itself always has the right length, so nothing here can fail.
        let mut block = Zeroizing::new([0; BLOCK]);
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..32].copy_from_slice(&Sha256::of(key).0),
        }
        Self(Hmac::new((&*block).into()))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The code of all bytes so far.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

impl fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacSha256").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_hex;

    fn hmac(key: &[u8], pieces: &[&[u8]]) -> String {
        let mut hmac = HmacSha256::new(key);
        pieces.iter().for_each(|piece| hmac.update(piece));
        to_hex(&hmac.finish())
    }

    /// Test cases 2 and 6 of RFC 4231.
    #[test]
    fn the_published_codes_are_computed() {
        assert_eq!(
            hmac(b"Jefe", &[b"what do ya ", b"want for nothing?"]),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn keys_of_every_length_are_taken() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 1000] {
            let key = vec![7; len];
            let mut known = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            known.update(b"text");
            assert_eq!(hmac(&key, &[b"text"]), to_hex(&known.finalize().into_bytes()), "{len}");
        }
        assert!(!format!("{:?}", HmacSha256::new(b"secret")).contains("secret"));
    }
}
