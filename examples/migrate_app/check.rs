//! Looks for every acknowledged write at the owner.

use lepton::core::data_set::Side;
use lepton::core::{ErrorKind, ListRequest};
use lepton::{ObjectKey, Result, StorageExt as _};

use futures_util::TryStreamExt as _;

use crate::ledger::Ledger;
use crate::site::{LEPTON, Site};

/// What was found wrong, item by item.
pub(crate) async fn check(site: &Site, owner: Side, ledger: &Ledger) -> Result<Vec<String>> {
    let data = site.data(owner, LEPTON).await?;
    let (storage, folder) = (data.storage(), data.folder());
    let mut wrong = Vec::new();
    for (name, known) in &ledger.items {
        let key = ObjectKey::new([folder.as_bytes(), name.as_bytes()].concat())?;
        let found = match storage.read(&key, 64 << 20).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if !known.allows(found.as_deref()) {
            let found = found.map_or_else(|| "nothing".to_owned(), |bytes| format!("{} bytes", bytes.len()));
            wrong.push(format!("{name}: {found}, and the users know {known:?}"));
        }
    }
    // No item is there that nobody wrote.
    let mut pages = storage.list(ListRequest::new().prefix(folder.clone()));
    while let Some(page) = pages.try_next().await? {
        for object in page.objects {
            let name = String::from_utf8_lossy(&object.key.as_bytes()[folder.as_bytes().len()..]).into_owned();
            if name.starts_with("user-") && !ledger.items.contains_key(&name) {
                wrong.push(format!("{name}: nobody wrote it"));
            }
        }
    }
    Ok(wrong)
}
