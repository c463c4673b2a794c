//! The key under which the values of secrets are digested.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use lepton_core::{Error, Result, RuntimeExt as _, SharedRuntime};

/// The file in the folder of the journal.
const NAME: &str = "digest.key";
const LEN: usize = 32;

/// The key of a migration. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DigestKey([u8; LEN]);

impl DigestKey {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(***)")
    }
}

/// Reads the key of a migration, or makes one. With it the key of an operation can depend on the
/// values of secrets without revealing them: a changed value is another operation.
pub(super) async fn digest_key(env: &SharedRuntime, folder: &Path) -> Result<DigestKey> {
    let path = folder.join(NAME);
    let fresh: Vec<u8> = (0..LEN / 8).flat_map(|_| env.random().to_le_bytes()).collect();
    env.run_blocking(move || read_or_make(&path, &fresh)).join().await?
}

fn read_or_make(path: &Path, fresh: &[u8]) -> Result<DigestKey> {
    let failed = |error| Error::io(format!("cannot use the key {}", path.display()), error);
    let part = path.with_extension("part");
    if !path.exists() {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
        file.write_all(fresh).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&part, path).map_err(failed)?;
    }
    let mut key = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(1024).read_to_end(&mut key)).map_err(failed)?;
    let key = <[u8; LEN]>::try_from(key).map(DigestKey);
    key.map_err(|_| failed(std::io::Error::new(Io::InvalidData, "it does not have 32 bytes")))
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;

    use super::*;

    #[tokio::test]
    async fn the_key_stays_the_same_and_is_private() {
        let (env, folder) = (SystemRuntime::shared(), tempfile::tempdir().unwrap());
        let key = digest_key(&env, folder.path()).await.unwrap();
        assert_eq!(digest_key(&env, folder.path()).await.unwrap(), key);
        assert_eq!(format!("{key:?}"), "DigestKey(***)");
        let file = folder.path().join(NAME);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert!(digest_key(&env, folder.path()).await.is_err());
    }
}
