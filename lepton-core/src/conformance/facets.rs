//! A facet exists if and only if the capabilities declare it.

use std::time::Duration;

use super::case::cases;
use super::expect::{Check, Stop, ensure, failure, same};
use super::fixture::Fixture;
use crate::error::ErrorKind;
use crate::storage::Method;

cases!("facets": facets_agree_with_capabilities, url_is_stable, signed_urls);

async fn facets_agree_with_capabilities(f: Fixture) -> Check {
    let (store, capabilities) = (f.storage(), f.capabilities());
    same("whether there is a multipart facet", store.multipart().is_some(), capabilities.multipart.is_some())?;
    same("whether there is a copy facet", store.server_copy().is_some(), capabilities.server_copy.is_available())?;
    same("whether there is a versions facet", store.versions().is_some(), capabilities.versions.is_available())
}

async fn url_is_stable(f: Fixture) -> Check {
    let url = f.storage().url().to_owned();
    ensure!(url.contains(':'), "{url} is no URL");
    f.write(&f.key("a")?, "x").await?;
    same("the URL of the store", f.storage().url(), &url)
}

async fn signed_urls(f: Fixture) -> Check {
    let Some(signer) = f.storage().signer() else {
        return Err(Stop::NotApplicable("there is no signer".to_owned()));
    };
    let key = f.key("signed")?;
    for method in [Method::Get, Method::Put, Method::Head, Method::Delete] {
        let url = signer.sign(method, &key, Duration::from_secs(60)).await?;
        ensure!(url.expose().starts_with("http"), "a signed URL begins with its scheme");
        ensure!(!format!("{url:?}").contains(url.expose()), "a signed URL is a secret and must not print");
    }
    let century = Duration::from_secs(100 * 365 * 86_400);
    let error = failure(signer.sign(Method::Get, &key, century).await, "a URL valid for a century to be refused")?;
    same("the kind of the error", error.kind(), ErrorKind::InvalidInput)
}
