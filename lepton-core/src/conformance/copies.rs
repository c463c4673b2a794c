//! Server-side copies.

use std::sync::Arc;

use super::attributes::{has, kept};
use super::bodies::pattern;
use super::case::cases;
use super::expect::{Check, Stop, ensure, failure, refused, same};
use super::fixture::Fixture;
use super::multipart::part_size;
use crate::error::ErrorKind;
use crate::key::ObjectKey;
use crate::object::{Attribute, Attributes, Precondition};
use crate::storage::{
    CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, MemoryStorage, PartSpec, PutOptions, ServerCopy,
    SharedStorage, StorageExt as _,
};

cases!(
    "copies":
    a_store_reaches_itself_and_not_everything,
    another_store_fetches_what_a_read_gives,
    asking_whether_a_copy_is_cheaper_leaves_nothing,
    a_copy_has_bytes_and_attributes_of_its_source,
    a_copy_can_have_other_attributes,
    conditions_on_the_source_hold,
    conditions_on_the_destination_hold_or_are_refused,
    ranges_become_parts,
);

fn facet(f: &Fixture) -> Check<&dyn ServerCopy> {
    f.storage().server_copy().ok_or_else(|| Stop::NotApplicable("server_copy is not available".to_owned()))
}

fn from(f: &Fixture, key: &ObjectKey) -> Check<CopySource> {
    let nobody = || Stop::NotApplicable("no store may fetch the bytes of this store by itself".to_owned());
    CopySource::new(f.storage().as_ref(), key.clone()).ok_or_else(nobody)
}

async fn a_store_reaches_itself_and_not_everything(f: Fixture) -> Check {
    if let Some(url) = f.storage().copy_url() {
        same("whether the store reaches itself", facet(&f)?.reaches(url), true)?;
    }
    let nowhere = "conformance-nowhere://no/such/store";
    same("whether the store reaches one of no known kind", facet(&f)?.reaches(nowhere), false)
}

/// A store that changes bytes in transit must not let other stores fetch the unchanged bytes.
async fn another_store_fetches_what_a_read_gives(f: Fixture) -> Check {
    let memory: SharedStorage = Arc::new(MemoryStorage::new());
    let (key, mut asked) = (f.key("a")?, 0);
    f.write(&key, pattern(f.at_most(3 << 20), 1)).await?;
    let Some(source) = CopySource::new(f.storage().as_ref(), key.clone()) else { return Ok(()) };
    for store in f.others().copier.iter().chain([&memory]) {
        let Some(copier) = store.server_copy().filter(|copier| copier.reaches(&source.store)) else { continue };
        let copy = f.key("fetched")?;
        copier.copy(source.clone(), &copy, CopyOptions::new()).await?;
        let fetched = store.read(&copy, 4 << 20).await;
        store.remove(&copy).await?;
        ensure!(
            fetched? == f.storage().read(&key, 4 << 20).await?,
            "{} fetched other bytes than a read gives",
            store.url()
        );
        asked += 1;
    }
    if asked > 0 { Ok(()) } else { Err(Stop::NotApplicable("no store that could copy was given".to_owned())) }
}

async fn asking_whether_a_copy_is_cheaper_leaves_nothing(f: Fixture) -> Check {
    let facet = facet(&f)?;
    let (source, copy) = (f.key("a")?, f.key("b")?);
    f.write(&source, pattern(f.at_most(3 << 20), 1)).await?;
    // Either result is valid.
    facet.is_cheaper(&from(&f, &source)?, &copy).await?;
    f.absent(&copy).await
}

async fn a_copy_has_bytes_and_attributes_of_its_source(f: Fixture) -> Check {
    let facet = facet(&f)?;
    for (name, size) in [("empty", 0), ("a b+c%d", 100), ("large", f.at_most(3 << 20))] {
        let (source, copy) = (f.key(name)?, f.key(format!("copy of {name}"))?);
        f.put(&source, pattern(size, 1), PutOptions::new().attributes(kept(&f))).await?;
        facet.copy(from(&f, &source)?, &copy, CopyOptions::new()).await?;
        f.holds(&copy, &pattern(size, 1)).await?;
        has(&f, &copy, &kept(&f)).await?;
        f.holds(&source, &pattern(size, 1)).await?;
    }
    Ok(())
}

async fn a_copy_can_have_other_attributes(f: Fixture) -> Check {
    let facet = facet(&f)?;
    if !f.capabilities().keeps(Attribute::UserMetadata) {
        return Err(Stop::NotApplicable("attributes lacks user-metadata".to_owned()));
    }
    let (source, copy) = (f.key("a")?, f.key("b")?);
    f.put(&source, pattern(100, 1), PutOptions::new().attributes(kept(&f))).await?;
    let user_metadata = [("other".to_owned(), "yes".to_owned())].into();
    let other = Attributes { user_metadata, ..Attributes::default() };
    facet.copy(from(&f, &source)?, &copy, CopyOptions::new().attributes(other.clone())).await?;
    has(&f, &copy, &other).await
}

async fn conditions_on_the_source_hold(f: Fixture) -> Check {
    let facet = facet(&f)?;
    let (source, copy, missing) = (f.key("a")?, f.key("b")?, f.key("missing")?);
    f.write(&source, pattern(100, 1)).await?;
    let old = f.etag(&source).await?;
    f.write(&source, pattern(100, 2)).await?;
    let stale = from(&f, &source)?.if_match(Some(old));
    let error = failure(facet.copy(stale, &copy, CopyOptions::new()).await, "precondition_failed")?;
    same("the kind of the error", error.kind(), ErrorKind::PreconditionFailed)?;
    let error = failure(facet.copy(from(&f, &missing)?, &copy, CopyOptions::new()).await, "not_found")?;
    same("the kind of the error", error.kind(), ErrorKind::NotFound)?;
    f.absent(&copy).await?;
    let fresh = from(&f, &source)?.if_match(Some(f.etag(&source).await?));
    facet.copy(fresh, &copy, CopyOptions::new()).await?;
    f.holds(&copy, &pattern(100, 2)).await
}

/// There is no capability for these, because support depends on the request: a store
/// either honours the condition or refuses it as unsupported.
async fn conditions_on_the_destination_hold_or_are_refused(f: Fixture) -> Check {
    let facet = facet(&f)?;
    let (source, copy) = (f.key("a")?, f.key("b")?);
    f.write(&source, pattern(100, 1)).await?;
    f.write(&copy, "already there").await?;
    let stale = f.etag(&source).await?;
    let conditions = [
        (Precondition::IfAbsent, ErrorKind::AlreadyExists),
        (Precondition::IfMatch(stale), ErrorKind::PreconditionFailed),
    ];
    for (condition, kind) in conditions {
        let options = CopyOptions::new().precondition(condition);
        let error = failure(facet.copy(from(&f, &source)?, &copy, options).await, kind.code())?;
        let refused = [kind, ErrorKind::Unsupported].contains(&error.kind());
        ensure!(refused, "expected {kind} or unsupported, found {error:?}");
        f.holds(&copy, b"already there").await?;
    }
    Ok(())
}

async fn ranges_become_parts(f: Fixture) -> Check {
    let (facet, part) = (facet(&f)?, part_size(&f)?);
    let (source, key) = (f.key("a")?, f.key("b")?);
    let bytes = pattern(2 * part + 50, 1);
    if f.at_most(bytes.len()) < bytes.len() {
        return Err(Stop::NotApplicable("max_single_put is below the size of three parts".to_owned()));
    }
    f.write(&source, bytes.clone()).await?;
    let upload = f.upload(&key, CreateUploadOptions::new().copied(true)).await?;
    let first = facet.copy_part(from(&f, &source)?, &upload, PartSpec::new(1, 0..part as u64)).await;
    let whole = facet.largest() >= f.capabilities().max_object;
    if let Some(error) = first.err().filter(|error| whole && error.kind() == ErrorKind::Unsupported) {
        return Err(Stop::NotApplicable(format!("objects of any size are copied whole: {error}")));
    }
    let ends = [0, part as u64, 2 * part as u64, bytes.len() as u64];
    let mut receipts = Vec::new();
    for (number, range) in (1..).zip(ends.windows(2).map(|ends| ends[0]..ends[1])) {
        let spec = PartSpec::new(number, range);
        receipts.push(facet.copy_part(from(&f, &source)?, &upload, spec.clone()).await?);
        same(
            "number and size in the receipt",
            receipts.last().map(|r| (r.number, r.size)),
            Some((number, spec.len())),
        )?;
    }
    f.multipart()?.complete(&upload, receipts, CompleteOptions::new()).await?;
    f.holds(&key, &bytes).await?;
    if !f.capabilities().upload_records.is_available() {
        return Ok(());
    }
    let gone = facet.copy_part(from(&f, &source)?, &upload, PartSpec::new(1, 0..part as u64)).await;
    refused(gone, ErrorKind::UploadNotFound, &key)
}
