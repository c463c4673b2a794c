//! Server-side copies of objects too large for one request.

use lepton_core::{
    CompleteOptions, CopySource, CreateUploadOptions, Error, ErrorKind, ObjectInfo, ObjectKey, PartSpec, Precondition,
    Result, ServerCopy, SharedStorage,
};

/// Copies part by part, with the attributes and the storage class of the source.
///
/// # Errors
/// `unsupported` where the store cannot copy in parts, or cannot honor the condition.
pub(super) async fn in_parts(
    storage: &SharedStorage,
    server: &dyn ServerCopy,
    source: CopySource,
    target: &ObjectKey,
    info: &ObjectInfo,
    precondition: Precondition,
) -> Result<()> {
    let can = storage.capabilities();
    let (Some(parts), Some(limits)) = (storage.multipart(), can.multipart) else {
        return Err(Error::unsupported("a copy in parts"));
    };
    if precondition != Precondition::None && !can.conditional_complete.is_available() {
        return Err(Error::unsupported("a copy in parts under a condition"));
    }
    let size = info.meta.size;
    let len = server.largest().min(limits.max_part).max(1);
    if size.div_ceil(len) > u64::from(limits.max_parts) {
        let message = format!("the object has {size} bytes; a copy has at most {} parts of {len}", limits.max_parts);
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let class = info.meta.storage_class.clone().filter(|_| can.storage_class.is_available());
    let options = CreateUploadOptions::new().attributes(info.attributes.clone()).storage_class(class);
    let options = options.size(size).copied(true);
    let upload = parts.create(target, options).await?;
    let copied = async {
        let mut receipts = Vec::new();
        for (number, start) in (1..).zip((0..size).step_by(usize::try_from(len).unwrap_or(usize::MAX))) {
            let part = PartSpec::new(number, start..(start + len).min(size));
            receipts.push(server.copy_part(source.clone(), &upload, part).await?);
        }
        parts.complete(&upload, receipts, CompleteOptions::new().precondition(precondition)).await
    };
    let copied = copied.await;
    if copied.is_err() {
        // Report the first error, not one of the abort.
        let _ = parts.abort(&upload).await;
    }
    copied.map(drop)
}
