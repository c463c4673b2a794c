//! The subject in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::fixture::{Subject, User};
use crate::data_set::Side;
use crate::traffic::{MemoryTraffic, Sent, Traffic as _};
use crate::{Result, SharedRuntime};

/// A route in memory with its user.
pub fn memory(env: &SharedRuntime) -> Subject {
    let traffic = MemoryTraffic::new(env.clone());
    let user = MemoryUser { traffic: traffic.clone(), env: env.clone() };
    Subject::new(Arc::new(traffic), Arc::new(user), env.clone())
}

#[derive(Debug)]
struct MemoryUser {
    traffic: MemoryTraffic,
    env: SharedRuntime,
}

#[async_trait]
impl User for MemoryUser {
    async fn request(&self, writes: bool) -> Result<Option<Side>> {
        match self.traffic.send(writes) {
            Sent::To(side) => Ok(Some(side)),
            Sent::Refused => Ok(None),
            Sent::Held => loop {
                let route = self.traffic.get().await?;
                if route.hold.is_none() {
                    return Ok(Some(route.owner));
                }
                self.env.sleep(Duration::from_millis(1)).await;
            },
        }
    }
}
