//! The subject in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::fixture::{Subject, User};
use crate::data_set::{Credentials, MemoryDataSet, MemorySide, Side};
use crate::{Result, SharedRuntime};

/// A data set in memory with its user.
pub fn memory(env: &SharedRuntime) -> Subject {
    let (a, b) = (MemorySide::new(), MemorySide::new());
    let set = MemoryDataSet::new("memory", a.clone(), b.clone(), env.clone());
    Subject::new(move || Ok(Arc::new(set.clone())), memory_user(a, b), env.clone())
}

/// The user of two sides in memory, for another data set over them.
pub fn memory_user(a: MemorySide, b: MemorySide) -> Arc<dyn User> {
    Arc::new(MemoryUser([a, b]))
}

#[derive(Debug)]
struct MemoryUser([MemorySide; 2]);

#[async_trait]
impl User for MemoryUser {
    async fn list(&self, side: Side) -> Result<Vec<String>> {
        Ok(self.0[side as usize].list())
    }

    async fn read(&self, side: Side, name: &str) -> Result<Option<Bytes>> {
        Ok(self.0[side as usize].read(name))
    }

    async fn write(&self, credentials: Credentials, side: Side, name: &str, content: Bytes) -> Result<()> {
        self.0[side as usize].write(credentials, name, content)
    }

    async fn delete(&self, credentials: Credentials, side: Side, name: &str) -> Result<()> {
        self.0[side as usize].delete(credentials, name)
    }
}
