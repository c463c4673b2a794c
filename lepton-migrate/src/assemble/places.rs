//! Where workloads run.

use std::collections::BTreeMap;
use std::sync::Arc;

use lepton_core::Result;
use lepton_core::deployment::Deployment;
use lepton_core::resolver::Resolver;

/// The places for workloads that are open, by URL.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Arc<dyn Deployment>>);

impl Places {
    /// Opens a place once.
    pub(super) async fn open(&mut self, url: &str, resolver: &Arc<dyn Resolver>) -> Result<Arc<dyn Deployment>> {
        if let Some(place) = self.0.get(url) {
            return Ok(Arc::clone(place));
        }
        let place = resolver.deployment(url).await?;
        self.0.insert(url.to_owned(), Arc::clone(&place));
        Ok(place)
    }

    /// A place that is open.
    pub(super) fn get(&self, url: &str) -> Option<&Arc<dyn Deployment>> {
        self.0.get(url)
    }
}
