//! A job that writes to the store of a side without the router, with the application's
//! credentials. It begins at side A; when a write is denied, it tries the other side.

use std::path::PathBuf;
use std::time::Duration;

use lepton::core::PutOptions;
use lepton::core::data_set::Side;
use lepton::{ErrorKind, Location, ObjectKey, Result, StorageExt as _};

use super::shared::{Items, Shared, lock};
use crate::ledger::{Content, Known};
use crate::site::{APP, Site};

const PAUSE: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(20);

pub(super) struct Sides {
    a: Location,
    b: Location,
    current: Side,
}

impl Sides {
    pub(super) async fn open(site: &Site) -> Result<Self> {
        let (a, b) = (site.data(Side::A, APP).await?, site.data(Side::B, APP).await?);
        Ok(Self { a, b, current: Side::A })
    }

    /// A write or a delete at the side that it believes to be current.
    async fn write(&self, name: &str, content: Option<Content>) -> Result<()> {
        let place = if self.current == Side::A { &self.a } else { &self.b };
        let key = ObjectKey::new([place.folder().as_bytes(), name.as_bytes()].concat())?;
        match content {
            Some(content) => place.storage().put(&key, content.bytes().into(), PutOptions::new()).await.map(drop),
            None => place.storage().remove(&key).await,
        }
    }
}

pub(super) async fn run(mut sides: Sides, ledger: Shared, stop: PathBuf) {
    let mut items = Items::new("user-job-item", 8);
    let mut value = 0;
    while !stop.exists() {
        value += 1;
        let name = items.name(value);
        let content = (value % 10 != 9).then(|| Content::small(value));
        let outcome = loop {
            match sides.write(&name, content).await {
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !stop.exists() => {
                    sides.current = sides.current.other();
                    tokio::time::sleep(AGAIN).await;
                }
                outcome => break outcome,
            }
        };
        let denied = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        if !denied {
            let mut ledger = lock(&ledger);
            ledger.direct += 1;
            ledger.wrote(&name, content.map_or(Known::Deleted, Known::Value), outcome.is_ok());
        }
        if outcome.is_err() {
            items.leave(value);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
