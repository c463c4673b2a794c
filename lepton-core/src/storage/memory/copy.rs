//! Copies between the stores of this process.

use std::sync::{PoisonError, Weak};

use async_trait::async_trait;

use super::super::{
    CopyOptions, CopySource, GetOptions, PartReceipt, PartSpec, PutReceipt, ServerCheck, ServerCopy, Upload,
};
use super::objects::{Object, cut};
use super::{MemoryStorage, STORES, named};
use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;

fn store(url: &str) -> Result<MemoryStorage> {
    let shared = STORES.lock().unwrap_or_else(PoisonError::into_inner).get(url).and_then(Weak::upgrade);
    let missing = || Error::new(ErrorKind::BucketNotFound, format!("this process has no store {url}"));
    Ok(MemoryStorage { shared: shared.ok_or_else(missing)? })
}

/// The object to copy from, if the source's condition holds.
fn source(from: &CopySource) -> Result<Object> {
    let store = store(&from.store)?;
    let objects = store.objects();
    let object = objects.get(&from.key, from.version.as_ref()).map_err(|e| named(e, "copy", &from.key))?;
    object.read(&GetOptions::new().if_match(from.if_match.clone())).map_err(|e| named(e, "copy", &from.key))?;
    Ok(object.clone())
}

#[async_trait]
impl ServerCopy for MemoryStorage {
    fn reaches(&self, source_url: &str) -> bool {
        store(source_url).is_ok()
    }

    fn largest(&self) -> u64 {
        self.shared.capabilities.max_single_put
    }

    async fn copy(&self, from: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let mut object = source(&from)?;
        self.check(key, object.meta.size, self.largest()).map_err(|e| named(e, "copy", key))?;
        object.meta.key = key.clone();
        object.meta.version = None;
        object.meta.last_modified = Some(self.shared.env.now());
        object.meta.storage_class = options.storage_class;
        object.attributes = options.attributes.unwrap_or(object.attributes);
        let inserted = self.objects().insert(object, &options.precondition, self.shared.versioned);
        let meta = inserted.map_err(|e| named(e, "copy", key))?;
        Ok(PutReceipt::new(ServerCheck::AsWritten).etag(meta.etag).version(meta.version).checksums(meta.checksums))
    }

    async fn copy_part(&self, from: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let object = source(&from)?;
        if part.range.end > object.meta.size {
            return Err(named(
                Error::invalid_input("the range ends behind the source's end"),
                "copy_part",
                &upload.key,
            ));
        }
        let body = Body::from_pieces(cut(&object.pieces, part.range.clone()));
        let copied = self.take_part(upload, part.number, body).await;
        copied.map_err(|e| named(e, "copy_part", &upload.key).with_context("part", part.number))
    }
}
