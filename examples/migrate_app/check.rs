//! Looks for every acknowledged write at the owner.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton::core::data_set::Side;
use lepton::core::{ErrorKind, ListRequest};
use lepton::{Location, ObjectKey, Result, StorageExt as _};

use crate::ledger::Ledger;
use crate::site::{LEPTON, Site};

/// Reads at the same time.
const READS: usize = 8;

/// What was found wrong, item by item.
pub(crate) async fn check(site: &Site, owner: Side, ledger: &Ledger) -> Result<Vec<String>> {
    let data = site.data(owner, LEPTON).await?;
    let mut wrong = items(&data, ledger).await?;
    wrong.extend(posts(&data, ledger).await?);
    wrong.extend(policies(site, owner));
    Ok(wrong)
}

/// Each item has its last acknowledged value.
async fn items(data: &Location, ledger: &Ledger) -> Result<Vec<String>> {
    let found = stream::iter(&ledger.items).map(|(name, known)| async move {
        let found = read(data, name).await?;
        Ok((!known.allows(found.as_deref())).then(|| {
            let found = found.map_or_else(|| "nothing".to_owned(), |bytes| seen(&bytes));
            format!("{name}: {found}, and the users know {known:?}")
        }))
    });
    found.buffered(READS).try_filter_map(|wrong| async { Ok(wrong) }).try_collect().await
}

/// Each acknowledged post has made one object, and no item is there that nobody wrote.
async fn posts(data: &Location, ledger: &Ledger) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut objects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut pages = data.storage().list(ListRequest::new().prefix(data.folder().clone()));
    while let Some(page) = pages.try_next().await? {
        for object in page.objects {
            let name = String::from_utf8_lossy(&object.key.as_bytes()[data.folder().as_bytes().len()..]).into_owned();
            // The application adds an end of its own to the name of a post.
            let post = name.rsplit_once('_').and_then(|(post, _)| ledger.posts.get_key_value(post));
            match post {
                Some((post, _)) => objects.entry(post).or_default().push(name),
                None if name.starts_with("user-") && !ledger.items.contains_key(&name) => {
                    wrong.push(format!("{name}: nobody wrote it"));
                }
                None => {}
            }
        }
    }
    let found = stream::iter(&ledger.posts).map(|(name, post)| {
        let names = objects.remove(name.as_str()).unwrap_or_default();
        async move {
            let mut found = Vec::new();
            for name in &names {
                found.extend(read(data, name).await?);
            }
            Ok((!post.allows(&found)).then(|| format!("{name}: {} objects, and the users know {post:?}", found.len())))
        }
    });
    let posts: Vec<_> = found.buffered(READS).try_filter_map(|wrong| async { Ok(wrong) }).try_collect().await?;
    wrong.extend(posts);
    Ok(wrong)
}

/// The owner accepts the application's writes, and the other side refuses them.
fn policies(site: &Site, owner: Side) -> Vec<String> {
    let wrong = |side: Side, what: &str| format!("side {side} {what} writes, and side {owner} owns them");
    let mut found = Vec::new();
    if site.policy(owner).exists() {
        found.push(wrong(owner, "refuses"));
    }
    if !site.policy(owner.other()).exists() {
        found.push(wrong(owner.other(), "accepts"));
    }
    found
}

async fn read(data: &Location, name: &str) -> Result<Option<Vec<u8>>> {
    let key = ObjectKey::new([data.folder().as_bytes(), name.as_bytes()].concat())?;
    match data.storage().read(&key, 64 << 20).await {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn seen(bytes: &[u8]) -> String {
    let number = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
    format!("{} bytes of {number:?}", bytes.len())
}
