//! Objects are read back as they were put, whole or not at all.

use bytes::Bytes;

use super::bodies::{MIB, broken, is_breakage, pattern, short, streamed};
use super::case::cases;
use super::expect::{Check, Stop, ensure, failure, refused, same};
use super::fixture::Fixture;
use crate::body::Body;
use crate::checksum::{ChecksumScope, Md5Hasher, StoredChecksum, to_hex};
use crate::error::ErrorKind;
use crate::storage::{GetOptions, HeadOptions, PutOptions, ServerCheck};

cases!(
    "objects":
    sizes_around_the_leaf_come_back,
    a_body_of_many_pieces_comes_back,
    a_body_can_be_sent_again,
    tags_and_checksums_agree,
    an_etag_is_the_md5_where_declared,
    a_receipt_names_a_declared_check,
    an_overwrite_replaces_everything,
    what_is_not_there_is_not_found,
    a_broken_body_leaves_nothing,
    a_broken_body_leaves_the_old_object,
    a_short_body_is_refused,
);

async fn sizes_around_the_leaf_come_back(f: Fixture) -> Check {
    for size in [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB].map(|size| f.at_most(size)) {
        let (key, bytes) = (f.key(format!("{size}"))?, pattern(size, 1));
        f.put(&key, streamed(&bytes), PutOptions::new()).await?;
        same("the size in a head", f.storage().head(&key, HeadOptions::new()).await?.meta.size, size as u64)?;
        f.holds(&key, &bytes).await?;
    }
    Ok(())
}

async fn a_body_of_many_pieces_comes_back(f: Fixture) -> Check {
    let bytes = pattern(f.at_most(MIB + 4321), 2);
    let pieces = bytes.chunks(997).map(Bytes::copy_from_slice);
    let key = f.key("pieces")?;
    f.put(&key, Body::from_pieces(pieces), PutOptions::new()).await?;
    f.holds(&key, &bytes).await
}

async fn a_body_can_be_sent_again(f: Fixture) -> Check {
    let bytes = pattern(f.at_most(MIB + 5), 3);
    let body = streamed(&bytes);
    for name in ["first", "second"] {
        let key = f.key(name)?;
        f.put(&key, body.clone(), PutOptions::new()).await?;
        f.holds(&key, &bytes).await?;
    }
    Ok(())
}

/// Receipt, head, get and listing agree about an object, and every full checksum matches
/// its bytes.
async fn tags_and_checksums_agree(f: Fixture) -> Check {
    let (key, bytes) = (f.key("a")?, pattern(f.at_most(70_000), 4));
    let receipt = f.write(&key, bytes.clone()).await?;
    let head = f.storage().head(&key, HeadOptions::new()).await?.meta;
    let get = f.storage().get(&key, GetOptions::new()).await?.meta;
    let listed = f.list(crate::storage::ListRequest::new().prefix(f.prefix())).await?;
    ensure!(head.etag.is_some(), "head gives no ETag");
    let [listed] = listed.as_slice() else {
        return Err(Stop::Failed(format!("one object was written, listed are {listed:?}")));
    };
    for (place, meta) in [("get", &get), ("the listing", listed)] {
        same(&format!("the ETag in {place}"), &meta.etag, &head.etag)?;
        same(&format!("the size in {place}"), meta.size, head.size)?;
    }
    if receipt.etag.is_some() {
        same("the ETag in the receipt", &receipt.etag, &head.etag)?;
    }
    let checksums = [&receipt.checksums, &head.checksums, &get.checksums, &listed.checksums];
    for checksum in checksums.into_iter().flatten().filter(|checksum| checksum.scope == ChecksumScope::Full) {
        let own = StoredChecksum::of(checksum.algorithm, &bytes);
        ensure!(own.as_ref().is_none_or(|own| own == checksum), "{checksum:?} is not of the bytes: {own:?}");
    }
    Ok(())
}

async fn an_etag_is_the_md5_where_declared(f: Fixture) -> Check {
    if !f.capabilities().etag_is_md5 {
        return Err(Stop::NotApplicable("etag_is_md5 is false".to_owned()));
    }
    for size in [0, 5, f.at_most(MIB + 1)] {
        let (key, bytes) = (f.key(format!("{size}"))?, pattern(size, 5));
        f.write(&key, bytes.clone()).await?;
        let mut md5 = Md5Hasher::new();
        md5.update(&bytes);
        same("the ETag", f.etag(&key).await?.unquoted().to_owned(), to_hex(&md5.finish()))?;
    }
    Ok(())
}

/// A store that verifies a checksum of what it receives declares that it does.
async fn a_receipt_names_a_declared_check(f: Fixture) -> Check {
    let receipt = f.write(&f.key("a")?, pattern(f.at_most(70_000), 4)).await?;
    match receipt.check {
        ServerCheck::Checksum(algorithm) => {
            let declared = &f.capabilities().verified_checksums;
            ensure!(
                declared.contains(&algorithm),
                "the receipt names {algorithm:?}; verified_checksums is {declared:?}"
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn an_overwrite_replaces_everything(f: Fixture) -> Check {
    let key = f.key("a")?;
    f.write(&key, pattern(2000, 1)).await?;
    let first = f.etag(&key).await?;
    f.write(&key, pattern(2000, 2)).await?;
    let second = f.etag(&key).await?;
    ensure!(first != second, "the ETag {first} stayed while the bytes changed");
    f.holds(&key, &pattern(2000, 2)).await?;
    f.write(&key, pattern(10, 3)).await?;
    f.holds(&key, &pattern(10, 3)).await?;
    same("the objects that are there", f.listed().await?, vec![key])
}

async fn what_is_not_there_is_not_found(f: Fixture) -> Check {
    f.write(&f.key("folder/there")?, "x").await?;
    for name in ["missing", "folder/missing", "folder/ther", "folder"] {
        let key = f.key(name)?;
        refused(f.storage().head(&key, HeadOptions::new()).await, ErrorKind::NotFound, &key)?;
        refused(f.storage().get(&key, GetOptions::new()).await, ErrorKind::NotFound, &key)?;
    }
    Ok(())
}

async fn a_broken_body_leaves_nothing(f: Fixture) -> Check {
    for (len, good) in [(10, 0), (MIB, 10), (3 * MIB, 2 * MIB)] {
        let len = f.at_most(len);
        let good = good.min(len / 2);
        let key = f.key(format!("{len}-{good}"))?;
        let result = f.put(&key, broken(len, good), PutOptions::new()).await;
        is_breakage(&failure(result, "the error of the body")?)?;
        f.absent(&key).await?;
    }
    same("the objects that are there", f.listed().await?, Vec::new())
}

async fn a_broken_body_leaves_the_old_object(f: Fixture) -> Check {
    let key = f.key("a")?;
    f.write(&key, pattern(f.at_most(5000), 1)).await?;
    let etag = f.etag(&key).await?;
    let result = f.put(&key, broken(f.at_most(3 * MIB), f.at_most(3 * MIB) / 2), PutOptions::new()).await;
    is_breakage(&failure(result, "the error of the body")?)?;
    f.holds(&key, &pattern(f.at_most(5000), 1)).await?;
    same("the ETag of the old object", f.etag(&key).await?, etag)
}

async fn a_short_body_is_refused(f: Fixture) -> Check {
    let key = f.key("a")?;
    let len = f.at_most(2 * MIB);
    failure(f.put(&key, short(len, len / 2 + 1), PutOptions::new()).await, "a body that ends early to be refused")?;
    f.absent(&key).await
}
