//! Copies that the emulator makes itself. It ignores conditions, which is why its preset
//! has none; bytes and attributes it copies.

use lepton_core::{
    Attributes, CopyOptions, CopySource, GetOptions, HeadOptions, ObjectKey, PutOptions, Storage, StorageExt as _,
};
use lepton_providers::gcs::GcsStorage;

use super::server::bucket;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_attributes_are_copied() {
    let Some(config) = bucket(false, serde_json::json!({ "server_copy": "native" })).await else { return };
    let store = GcsStorage::new(config).unwrap();
    let (source, copy) = (ObjectKey::try_from("a b/c").unwrap(), ObjectKey::try_from("d%/é").unwrap());
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/plain".into());
    attributes.cache_control = Some("no-store".into());
    attributes.user_metadata = [("origin", "a ü"), ("looks-encoded", "=?UTF-8?B?w6Q=?=")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    store.put(&source, "hello".into(), PutOptions::new().attributes(attributes.clone())).await.unwrap();
    let first = store.head(&source, HeadOptions::new()).await.unwrap().meta.version;
    store.write(&source, "another".into()).await.unwrap();
    store.put(&source, "hello".into(), PutOptions::new().attributes(attributes.clone())).await.unwrap();
    let copies = store.server_copy().unwrap();
    assert!(copies.reaches(store.url()) && first.is_some());
    let from = CopySource::new(&store, source.clone()).unwrap();
    let receipt = copies.copy(from.clone(), &copy, CopyOptions::new()).await.unwrap();
    let found = store.get(&copy, GetOptions::new()).await.unwrap();
    assert_eq!((found.meta.version.clone(), found.meta.size), (receipt.version, 5));
    assert_eq!(found.attributes, attributes);
    assert_eq!(store.read(&copy, 10).await.unwrap(), "hello");
    let mut other = Attributes::default();
    other.user_metadata = [("other".to_owned(), "yes".to_owned())].into();
    copies.copy(from, &copy, CopyOptions::new().attributes(other)).await.unwrap();
    let found = store.head(&copy, HeadOptions::new()).await.unwrap().attributes;
    assert_eq!(found.content_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(found.user_metadata.get("other").map(String::as_str), Some("yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_time_is_kept_as_metadata() {
    let Some(config) = bucket(false, serde_json::json!({})).await else { return };
    let store = GcsStorage::new(config).unwrap();
    let key = ObjectKey::try_from("a").unwrap();
    let timed = |time: &str| {
        let mut attributes = Attributes::default();
        attributes.user_metadata = [("goog-custom-time".to_owned(), time.to_owned())].into();
        PutOptions::new().attributes(attributes)
    };
    assert!(store.put(&key, "x".into(), timed("soon")).await.unwrap_err().message().contains("\"soon\""));
    store.put(&key, "x".into(), timed("2030-01-01T00:00:00Z")).await.unwrap();
    let found = store.head(&key, HeadOptions::new()).await.unwrap().attributes.user_metadata;
    assert_eq!(found["goog-custom-time"], "2030-01-01T00:00:00Z");
}
