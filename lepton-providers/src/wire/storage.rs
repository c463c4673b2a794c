//! The storage type of a remote store, whose calls its client implements.

/// Defines the type of a store, which hands each call to its client, and how the store
/// lists.
macro_rules! storage {
    ($(#[$about:meta])+ $storage:ident of $client:ty, $pages:path) => {
        $(#[$about])+
        pub struct $storage {
            pub(super) client: std::sync::Arc<$client>,
            url: String,
        }

        impl $storage {
            pub(super) fn of(client: $client, url: String) -> Self {
                Self { client: std::sync::Arc::new(client), url }
            }
        }

        impl std::fmt::Debug for $storage {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($storage)).field("url", &self.url).finish_non_exhaustive()
            }
        }

        const _: () = {
            use lepton_core::{
                Body, Capabilities, DeleteRequest, DeleteResults, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest,
                Multipart, ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions, PutReceipt, Result,
                ServerCopy, Signer, Storage, Versions,
            };

            #[async_trait::async_trait]
            impl Storage for $storage {
                fn capabilities(&self) -> &Capabilities {
                    &self.client.capabilities
                }

                fn url(&self) -> &str {
                    &self.url
                }

                fn copy_url(&self) -> Option<&str> {
                    Some(self.url())
                }

                async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
                    Ok(self.client.location(prefix))
                }

                fn list(&self, request: ListRequest) -> PageStream {
                    $pages(std::sync::Arc::clone(&self.client), request)
                }

                async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
                    self.client.head(key, options).await
                }

                async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
                    self.client.get(key, options).await
                }

                async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
                    self.client.put(key, body, options).await
                }

                async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
                    self.client.delete(requests).await.map(Into::into)
                }

                fn multipart(&self) -> Option<&dyn Multipart> {
                    self.client.capabilities.multipart.is_some().then_some(self as &dyn Multipart)
                }

                fn server_copy(&self) -> Option<&dyn ServerCopy> {
                    self.client.capabilities.server_copy.is_available().then_some(self as &dyn ServerCopy)
                }

                fn signer(&self) -> Option<&dyn Signer> {
                    self.client.can_sign().then_some(self as &dyn Signer)
                }

                fn versions(&self) -> Option<&dyn Versions> {
                    self.client.capabilities.versions.is_available().then_some(self as &dyn Versions)
                }
            }
        };
    };
}
pub(crate) use storage;
