//! Range reads.

use std::ops::Range;

use bytes::Bytes;

use super::bodies::{MIB, pattern};
use super::case::cases;
use super::expect::{Check, needs, needs_not, refused, same};
use super::fixture::Fixture;
use crate::error::ErrorKind;
use crate::storage::GetOptions;

cases!("ranges": ranges_give_their_bytes, a_range_beyond_the_end_is_refused, ranges_are_refused_where_unsupported);

const SIZE: usize = 2 * MIB + 100;

async fn ranges_give_their_bytes(f: Fixture) -> Check {
    needs(f.capabilities().range_get, "range_get")?;
    let whole = f.at_most(SIZE);
    let (key, bytes) = (f.key("a")?, pattern(whole, 1));
    f.write(&key, bytes.clone()).await?;
    let piece = MIB.min(whole / 3);
    let (leaf, size) = (piece as u64, whole as u64);
    let cases = [
        ("the beginning", 0..10, 0..10),
        ("the first byte", 0..1, 0..1),
        ("the middle", 1000..1001, 1000..1001),
        ("over the end of a leaf", leaf - 1..leaf + 1, piece - 1..piece + 1),
        ("one leaf", leaf..2 * leaf, piece..2 * piece),
        ("the last byte", size - 1..size, whole - 1..whole),
        ("everything", 0..size, 0..whole),
        ("cut off at the end", size - 5..size + 5, whole - 5..whole),
        ("cut off far behind the end", 7..u64::from(u32::MAX) * 16, 7..whole),
    ];
    for (what, asked, expected) in cases {
        gives(&f, &key, asked, &bytes, expected).await.map_err(|stop| stop.while_doing(what))?;
    }
    Ok(())
}

async fn gives(
    f: &Fixture,
    key: &crate::key::ObjectKey,
    asked: Range<u64>,
    bytes: &Bytes,
    range: Range<usize>,
) -> Check {
    let options = GetOptions::new().range(asked);
    let reply = f.storage().get(key, options.clone()).await?;
    same("the range in the reply", reply.range, range.start as u64..range.end as u64)?;
    same("the size of the whole in the reply", reply.meta.size, bytes.len() as u64)?;
    let found = f.read(key, options).await?;
    same("whether the bytes of the range are right", found == bytes[range], true)
}

async fn a_range_beyond_the_end_is_refused(f: Fixture) -> Check {
    needs(f.capabilities().range_get, "range_get")?;
    let (full, empty) = (f.key("full")?, f.key("empty")?);
    f.write(&full, pattern(100, 1)).await?;
    f.write(&empty, "").await?;
    for range in [100..101, 5000..6000] {
        let result = f.storage().get(&full, GetOptions::new().range(range)).await;
        refused(result, ErrorKind::InvalidInput, &full)?;
    }
    // Stores differ here: some return an empty body.
    match f.storage().get(&empty, GetOptions::new().range(0..1)).await {
        Ok(reply) => same("the range in the reply", reply.range, 0..0),
        result => refused(result, ErrorKind::InvalidInput, &empty),
    }
}

async fn ranges_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().range_get, "range_get")?;
    let key = f.key("a")?;
    f.write(&key, pattern(100, 1)).await?;
    refused(f.storage().get(&key, GetOptions::new().range(1..2)).await, ErrorKind::Unsupported, &key)
}
