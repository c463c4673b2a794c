//! What the conformance suite cannot ask for.

use std::time::Duration;

use bytes::Bytes;
use lepton_core::{
    Attributes, Body, ErrorKind, HeadOptions, Method, ObjectKey, PutOptions, Storage as _, StorageExt as _,
};
use lepton_providers::azure::{AzureConfig, AzureStorage};

use super::server;

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_the_credentials_is_named() {
    let Some(endpoint) = server::endpoint() else { return };
    let container = server::container(&endpoint).await;
    let base = || AzureConfig::new(&container).account(server::ACCOUNT).endpoint(&endpoint).proxy("none");
    for (config, kind) in [
        (base().account_key("c2VjcmV0"), ErrorKind::Unauthenticated),
        (base().anonymous(true), ErrorKind::Unauthenticated),
        (base().sas_token("sv=2024-11-04&sp=r&sr=c&se=2020-01-01T00:00:00Z&sig=c2VjcmV0"), ErrorKind::Unauthenticated),
    ] {
        let shown = format!("{config:?}");
        let error = AzureStorage::new(config).unwrap().write(&key("a"), "x".into()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error:?}");
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
    }
}

#[tokio::test]
async fn a_missing_container_is_told_from_a_missing_blob() {
    let Some(endpoint) = server::endpoint() else { return };
    let none = AzureStorage::new(server::config("there-is-none", &endpoint)).unwrap();
    assert_eq!(none.exists(&key("a")).await.unwrap_err().kind(), ErrorKind::BucketNotFound);
    assert_eq!(none.write(&key("a"), "x".into()).await.unwrap_err().kind(), ErrorKind::BucketNotFound);
    let Some(store) = server::fresh().await else { return };
    assert!(!store.exists(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_signed_url_gives_its_permission_and_no_other() {
    let Some(store) = server::fresh().await else { return };
    store.write(&key("a b"), "signed".into()).await.unwrap();
    let url = store.signer().unwrap().sign(Method::Get, &key("a b"), Duration::from_secs(60)).await.unwrap();
    let (address, sas) = url.expose().split_once('?').unwrap();
    let (endpoint, container) = address.strip_suffix("/a%20b").unwrap().rsplit_once('/').unwrap();
    let config = AzureConfig::new(container).account(server::ACCOUNT).endpoint(endpoint).sas_token(sas).proxy("none");
    let signed = AzureStorage::new(config).unwrap();
    assert_eq!(signed.read(&key("a b"), 10).await.unwrap(), "signed");
    let error = signed.write(&key("a b"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
}

/// The service sorts `_` before digits when it checks a signature.
#[tokio::test]
async fn names_of_metadata_are_signed_in_the_services_order() {
    let Some(store) = server::fresh().await else { return };
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("i_".into(), "1".into());
    attributes.user_metadata.insert("i0".into(), "2".into());
    let options = PutOptions::new().attributes(attributes.clone());
    store.put(&key("a"), Body::from_pieces([Bytes::from_static(b"x")]), options).await.unwrap();
    let info = store.head(&key("a"), HeadOptions::new()).await.unwrap();
    assert_eq!(info.attributes.user_metadata, attributes.user_metadata);
}
