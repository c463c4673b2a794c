//! Files that hold a secret and are renewed by another program.

use std::io::{self, Read as _};
use std::path::Path;

use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime};
use secrecy::zeroize::Zeroizing;

/// The maximum size of such a file, in bytes.
const MOST: usize = 64 << 10;

/// Reads the content of a file; `what` describes it in messages.
///
/// # Errors
/// `unauthenticated` if it cannot be read, is not text, or is too long: a truncated
/// secret is useless.
pub(crate) async fn secret(env: &SharedRuntime, file: &Path, what: &str) -> Result<Zeroizing<String>> {
    let (place, shown) = (file.to_owned(), file.display().to_string());
    let read = env.run_blocking(move || {
        // The capacity never grows, so that no copy of a secret is left in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(MOST + 1));
        std::fs::File::open(place)?.take(MOST as u64 + 1).read_to_string(&mut text)?;
        if text.len() > MOST {
            let message = format!("it is longer than {} KiB", MOST >> 10);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(text)
    });
    read.join().await?.map_err(|source| {
        Error::io(format!("the {what} cannot be read"), source)
            .with_kind(ErrorKind::Unauthenticated)
            .with_context("file", shown)
    })
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;

    use super::*;

    #[tokio::test]
    async fn a_whole_secret_is_read_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let env = SystemRuntime::shared();
        for (len, good) in [(0, true), (MOST, true), (MOST + 1, false)] {
            std::fs::write(&file, "a".repeat(len)).unwrap();
            let read = secret(&env, &file, "token").await;
            assert_eq!(read.is_ok(), good, "{len}");
            assert!(read.is_ok_and(|text| text.len() == len) || !good);
        }
        std::fs::write(&file, b"half a letter: \xc3").unwrap();
        let error = secret(&env, &file, "token").await.unwrap_err();
        assert_eq!((error.kind(), error.context("file")), (ErrorKind::Unauthenticated, file.to_str()));
        assert_eq!(error.message(), "the token cannot be read");
    }
}
