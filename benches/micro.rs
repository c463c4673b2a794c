//! The engine's inner loops in isolation: `cargo bench -p lepton-benches --bench micro`.
//!
//! Hashing a leaf, parsing a page of a listing, appending to the journal, and planning: two
//! listings merged, compared and divided into parts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::TryStreamExt as _;
use lepton::core::journal::{Identity, Journal};
use lepton::core::{Crc, LEAF_SIZE, ObjectKey, SystemRuntime, TreeHasher, crc, md5};
use lepton::{ExistingPolicy, MemoryStorage, SharedStorage, StorageExt as _, Transfer};
use lepton_providers::s3::parse_page;
use tokio::runtime::Runtime;

const OBJECTS: u32 = 10_000;
/// Maximum number of objects in a page of S3.
const PAGE: u32 = 1000;

fn hashing(criterion: &mut Criterion) {
    let leaf: Vec<u8> = (0..LEAF_SIZE).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
    let mut group = criterion.benchmark_group("a leaf of 1 MiB");
    group.throughput(Throughput::Bytes(LEAF_SIZE as u64));
    group.bench_function("tree hash", |bencher| bencher.iter(|| TreeHasher::of(&leaf)));
    group.bench_function("CRC-64/NVME", |bencher| bencher.iter(|| crc(Crc::Crc64Nvme, &leaf)));
    group.bench_function("MD5", |bencher| bencher.iter(|| md5(&leaf)));
    group.finish();
}

/// A page in the form of S3, with encoded names as Lepton requests them.
fn page() -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix></Prefix>\
        <MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
        .to_owned();
    for i in 0..PAGE {
        write!(
            text,
            "<Contents><Key>folder-{:03}%2Fan+object-{i:06}.jpg</Key>\
             <LastModified>2026-01-01T17:50:30.000Z</LastModified><ETag>&quot;{i:032x}&quot;</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            i / 100,
            i * 7919
        )
        .unwrap();
    }
    text + "</ListBucketResult>"
}

fn listing(criterion: &mut Criterion) {
    let document = page();
    assert_eq!(parse_page(document.as_bytes()).unwrap().objects.len(), PAGE as usize);
    let mut group = criterion.benchmark_group("a page of 1,000 keys");
    group.throughput(Throughput::Elements(PAGE.into()));
    group.bench_function("read", |bencher| bencher.iter(|| parse_page(document.as_bytes()).unwrap()));
    group.finish();
}

fn journal(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let opened = Journal::open(SystemRuntime::shared(), folder.path(), &Identity::new()).unwrap();
    let mut group = criterion.benchmark_group("the journal");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 records of 300 bytes, appended and committed", |bencher| {
        bencher.iter(|| {
            (0..100).for_each(|_| opened.journal.append(1, &[7; 300]).unwrap());
            runtime.block_on(opened.journal.commit()).unwrap();
        });
    });
    group.finish();
}

/// Two stores in which every tenth object differs.
async fn stores() -> (SharedStorage, SharedStorage) {
    let (from, to) = (MemoryStorage::new(), MemoryStorage::new());
    for i in 0..OBJECTS {
        let key = ObjectKey::try_from(&*format!("folder-{:03}/object-{i:06}", i / 100)).unwrap();
        from.write(&key, vec![1; 10].into()).await.unwrap();
        to.write(&key, vec![1; if i % 10 == 0 { 11 } else { 10 }].into()).await.unwrap();
    }
    (Arc::new(from), Arc::new(to))
}

fn planning(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (from, to) = runtime.block_on(stores());
    let mut group = criterion.benchmark_group("a plan of 10,000 objects");
    group.throughput(Throughput::Elements(OBJECTS.into())).measurement_time(Duration::from_secs(5)).sample_size(20);
    for (name, existing) in [("all of them", ExistingPolicy::Overwrite), ("what differs", ExistingPolicy::IfDifferent)]
    {
        let transfer = || {
            let _guard = runtime.enter();
            Transfer::builder().from(from.clone()).to(to.clone()).existing(existing).build().unwrap()
        };
        group.bench_function(name, |bencher| {
            let count = |transfer: Transfer| {
                let planned = transfer.plan().try_fold(0, |sum, _| std::future::ready(Ok(sum + 1)));
                runtime.block_on(planned).unwrap()
            };
            bencher.iter_batched(transfer, |transfer| assert_eq!(count(transfer), OBJECTS), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, listing, journal, planning);
criterion_main!(benches);
