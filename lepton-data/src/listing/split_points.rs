//! Finds where to split a key space, with a few requests: at folders if there are any,
//! otherwise at the first character in which the remaining keys differ.

use futures_util::StreamExt as _;
use lepton_core::{KeyPrefix, ListPage, ListRequest, Result, SharedStorage};

/// The most split points.
const MOST: usize = 64;

/// The most pages of folders that are read.
const PAGES: usize = 10;

/// The most levels of single folders to descend.
const DEEPEST: usize = 16;

/// Split points after `after`, ascending. A range holds the keys that are greater than one
/// point and not greater than the next. There are few or none if the keys have no usable
/// structure.
pub(crate) async fn split(storage: &SharedStorage, folder: &KeyPrefix, after: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut cuts = at_folders(storage, folder, after).await?;
    if cuts.is_empty() {
        cuts = at_characters(storage, folder, after).await?;
    }
    cuts.retain(|cut| &cut[..] > after);
    let step = cuts.len().div_ceil(MOST).max(1);
    Ok(cuts.into_iter().step_by(step).collect())
}

/// The remaining folders, at the first level that has more than a single folder.
async fn at_folders(storage: &SharedStorage, folder: &KeyPrefix, after: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut inside = folder.clone();
    for _ in 0..DEEPEST {
        let request = ListRequest::new().prefix(inside.clone()).delimiter(b'/').start_after(after.to_vec());
        let request = request.tolerant(true);
        let mut pages = storage.list(request).take(PAGES);
        let mut found = Vec::new();
        let mut objects = 0;
        while let Some(page) = pages.next().await {
            let ListPage { objects: files, prefixes, .. } = page?;
            objects += files.len();
            found.extend(prefixes);
        }
        match found.as_slice() {
            [only] if objects == 0 && *only != inside => inside = only.clone(),
            found => return Ok(found.iter().map(|prefix| prefix.as_bytes().to_vec()).collect()),
        }
    }
    Ok(Vec::new())
}

/// Split points at the first character in which the remaining keys differ.
async fn at_characters(storage: &SharedStorage, folder: &KeyPrefix, after: &[u8]) -> Result<Vec<Vec<u8>>> {
    // A probe at a later character is smaller, so keys beyond the probe at one character are
    // also beyond the probe at each later one. A binary search finds the first.
    let (mut low, mut high) = (folder.as_bytes().len(), after.len());
    while low < high {
        let middle = low.midpoint(high);
        match next_of(after, middle) {
            Some(probe) if first(storage, folder, &probe).await?.is_some() => high = middle,
            _ => low = middle + 1,
        }
    }
    let mut cuts = Vec::new();
    let Some(mut probe) = next_of(after, low) else { return Ok(cuts) };
    while let Some(key) = first(storage, folder, &probe).await? {
        let (Some(cut), Some(next)) = (key.get(..=low), next_of(&key, low)) else { break };
        cuts.push(cut.to_vec());
        probe = next;
        if cuts.len() == MOST {
            break;
        }
    }
    Ok(cuts)
}

/// The key up to and including the character at `at`, with that character incremented; only
/// for ASCII, because stores require names of whole characters.
fn next_of(key: &[u8], at: usize) -> Option<Vec<u8>> {
    let (stem, character) = (key.get(..at)?, *key.get(at)?);
    let is_text = std::str::from_utf8(stem).is_ok() && (b' '..b'~').contains(&character);
    is_text.then(|| [stem, &[character + 1]].concat())
}

/// The first key after a name.
async fn first(storage: &SharedStorage, folder: &KeyPrefix, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let request = ListRequest::new().prefix(folder.clone()).start_after(name.to_vec()).page_size(1);
    let request = request.tolerant(true);
    let page = storage.list(request).next().await.transpose()?;
    Ok(page.and_then(|page| Some(page.objects.first()?.key.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use lepton_core::{MemoryStorage, ObjectKey, StorageExt as _};

    async fn cuts(keys: impl IntoIterator<Item = String>, folder: &str, after: &str) -> Vec<String> {
        let store = MemoryStorage::new();
        for key in keys {
            store.write(&ObjectKey::try_from(&*key).unwrap(), bytes::Bytes::from_static(b"x")).await.unwrap();
        }
        let storage: SharedStorage = Arc::new(store);
        let cuts = split(&storage, &folder.into(), after.as_bytes()).await.unwrap();
        cuts.into_iter().map(|cut| String::from_utf8(cut).unwrap()).collect()
    }

    #[tokio::test]
    async fn folders_are_where_to_cut() {
        let keys = || (0..300).map(|i| format!("in/top/f{:02}/{i}", i / 10));
        let found = cuts(keys(), "in/", "in/top/f03/35").await;
        assert_eq!(found.first().map(String::as_str), Some("in/top/f04/"));
        assert_eq!(found.len(), 26);
        let many = cuts((0..5000).map(|i| format!("f{i:04}/x")), "", "f0000/x").await;
        assert!(many.len() > 30 && many.len() <= MOST, "{}", many.len());
        assert!(many.is_sorted());
    }

    #[tokio::test]
    async fn without_folders_the_first_character_that_differs_is() {
        let found = cuts((0..1000).map(|i| format!("in/object-{i:07}")), "in/", "in/object-0000012").await;
        assert_eq!(found, (1..10).map(|i| format!("in/object-00001{i}").replace("00001", "0000")).collect::<Vec<_>>());
        assert!(cuts(["a".into(), "b".into()], "", "b").await.is_empty());
        assert!(cuts(["ü1".into(), "ü2".into()], "", "ü1").await.len() <= 1);
    }
}
