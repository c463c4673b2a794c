//! The container itself.

use std::time::Duration;

use http::Method;
use lepton_core::{Error, ErrorKind, Result, RetryClass};

use super::client::Request;
use super::storage::AzureStorage;
use crate::wire::encode::Query;

impl AzureStorage {
    /// Creates the container.
    ///
    /// # Errors
    /// `already_exists`; `permission_denied`; `conflict` while a container of that name
    /// is still being deleted.
    pub async fn create_container(&self) -> Result<()> {
        self.of_container("create_container", Method::PUT).await.map_err(|error| match error.code() {
            Some("ContainerBeingDeleted") => being_deleted(error),
            _ => error,
        })
    }

    /// Deletes the container and everything in it.
    ///
    /// # Errors
    /// `bucket_not_found`; `permission_denied`.
    pub async fn delete_container(&self) -> Result<()> {
        self.of_container("delete_container", Method::DELETE).await
    }

    async fn of_container(&self, operation: &'static str, method: Method) -> Result<()> {
        let query = Query::new().with("restype", "container");
        let reply = self.client.send(Request::new(operation, method, None).query(query)).await?;
        reply.drain().await;
        Ok(())
    }
}

/// "A container with the same name cannot be created for at least 30 seconds."
fn being_deleted(error: Error) -> Error {
    error.with_kind(ErrorKind::Conflict).with_retry(RetryClass::After(Duration::from_secs(30)))
}
