//! Objects keep the contract of data sets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use lepton_core::conformance::data_set::{Options, Subject, User, run};
use lepton_core::data_set::{Credentials, DataSet, Side};
use lepton_core::layer::layered;
use lepton_core::{
    Body, ErrorKind, ListRequest, MemoryStorage, ObjectKey, PutOptions, Result, SharedStorage, Storage as _,
    StorageExt as _, SystemRuntime,
};
use lepton_migrate::{ObjectSet, StoreQuiesce};

use crate::world::Policy;

/// Two stores in memory with a policy each.
#[derive(Debug, Clone, Default)]
struct Stores {
    stores: [MemoryStorage; 2],
    policies: [Policy; 2],
}

impl Stores {
    fn store(&self, credentials: Credentials, side: Side) -> SharedStorage {
        let store: SharedStorage = Arc::new(self.stores[side as usize].clone());
        match credentials {
            Credentials::Application => layered(store, self.policies[side as usize].clone()),
            Credentials::Administrator => store,
        }
    }

    fn objects(&self, folder: PathBuf) -> Result<Arc<dyn DataSet>> {
        let policies = self.policies.clone();
        let switch = move |side: Side, deny, _| {
            policies[side as usize].0.store(deny, SeqCst);
            async { Ok(()) }
        };
        let [a, b] = [Side::A, Side::B].map(|side| self.store(Credentials::Application, side));
        let quiesce = StoreQuiesce::new(switch, a, b);
        let [a, b] = [Side::A, Side::B].map(|side| self.store(Credentials::Administrator, side));
        let mut settings = lepton_data::TransferConfig::default();
        settings.max_delete_percent = 100;
        let objects = ObjectSet::builder("objects", a, b, folder, quiesce);
        Ok(Arc::new(objects.pause(Duration::from_millis(1)).config(settings).build()?))
    }
}

#[async_trait]
impl User for Stores {
    async fn list(&self, side: Side) -> Result<Vec<String>> {
        let pages: Vec<_> = self.stores[side as usize].list(ListRequest::new()).try_collect().await?;
        let objects = pages.iter().flat_map(|page| &page.objects);
        Ok(objects.map(|object| String::from_utf8_lossy(object.key.as_bytes()).into_owned()).collect())
    }

    async fn read(&self, side: Side, name: &str) -> Result<Option<bytes::Bytes>> {
        match self.store(Credentials::Application, side).read(&ObjectKey::try_from(name)?, 1000).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    async fn write(&self, credentials: Credentials, side: Side, name: &str, content: bytes::Bytes) -> Result<()> {
        let (store, key) = (self.store(credentials, side), ObjectKey::try_from(name)?);
        store.put(&key, Body::from(content), PutOptions::new()).await.map(drop)
    }

    async fn delete(&self, credentials: Credentials, side: Side, name: &str) -> Result<()> {
        self.store(credentials, side).remove(&ObjectKey::try_from(name)?).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_keep_the_contract_of_data_sets() {
    let env = SystemRuntime::shared();
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let make = async || {
        number += 1;
        let (stores, folder) = (Stores::default(), folder.path().join(number.to_string()));
        let user = Arc::new(stores.clone());
        Ok(Subject::new(move || stores.objects(folder.clone()), user, env.clone()))
    };
    let report = run(Options::new(), make).await;
    assert_eq!((report.failures().count(), report.passed()), (0, report.cases.len()), "{report}");
}
