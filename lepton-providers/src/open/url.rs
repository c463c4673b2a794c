//! Selects the backend by the scheme of a URL.

use std::borrow::Cow;
use std::sync::Arc;

use lepton_core::{Error, Location, MemoryStorage, Result};
use percent_encoding::percent_decode_str;

#[cfg(feature = "http")]
use super::http::open_http;
#[cfg(feature = "local")]
use super::local::open_local;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3"))]
use super::named::Named;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3"))]
use super::query::parse;
use super::query::{options, split_query};
use super::settings::{StoreConfig, other_backend};
#[cfg(feature = "azure")]
use crate::azure::{AzureBuilder, AzureConfig, AzureStorage};
#[cfg(feature = "gcs")]
use crate::gcs::{GcsConfig, GcsStorage};
#[cfg(feature = "s3")]
use crate::s3::{S3Config, S3Storage};

/// Opens a location by its URL. For an S3 server that is not Amazon's and has no `preset`,
/// one request finds out which server it is; for other stores no request is sent yet.
///
/// | URL | location |
/// |---|---|
/// | `s3://bucket/prefix?endpoint=…&region=…&profile=…` | a bucket; every setting of `S3Config` is an option, except secrets |
/// | `az://container/prefix?account=…&endpoint=…` | a container in Azure Blob Storage; likewise for `AzureConfig` |
/// | `gs://bucket/prefix?endpoint=…` | a bucket in Google Cloud Storage; likewise for `GcsConfig` |
/// | `https://host/folder/`, `https://host/folder/file` | files on a web server, read only; the query belongs to the server |
/// | `file:///folder?symlinks=follow&create_root=true` | a folder, or one file; every setting of `LocalConfig` is an option |
/// | `/folder`, `./folder`, `folder` | the same; the text is the literal path |
/// | `memory:name` | a store in this process, shared by all users of that name |
///
/// In URLs, `%` and two hexadecimal digits encode a byte; a `?` in a key is written
/// `%3F`.
///
/// # Errors
/// `invalid_input` for an unknown scheme or option, listing the known ones, and for a
/// secret in a URL; `unsupported` for a scheme whose feature is off; the errors of the
/// backend.
pub async fn open(url: &str) -> Result<Location> {
    open_url(url, None).await
}

/// Opens a location by its URL, with settings that the URL does not hold. Where both hold
/// a setting, the URL wins.
///
/// # Errors
/// The same as [`open`]; `invalid_input` if the settings belong to another backend.
pub async fn open_with(url: &str, settings: StoreConfig) -> Result<Location> {
    open_url(url, Some(settings)).await
}

async fn open_url(url: &str, settings: Option<StoreConfig>) -> Result<Location> {
    let found = scheme(url).map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    match found.as_ref().map(|(scheme, rest)| (scheme.as_str(), *rest)) {
        Some(("s3", rest)) => open_s3(rest, settings).await,
        Some(("az" | "azure", rest)) => open_azure(rest, settings),
        Some(("gs" | "gcs", rest)) => open_gcs(rest, settings),
        Some((scheme @ ("http" | "https"), rest)) => open_http(&format!("{scheme}:{rest}"), settings),
        Some(("memory", rest)) => open_memory(rest, settings.as_ref()),
        Some(("file", rest)) => {
            let (path, query) = split_query(rest);
            let Some(path) = path
                .strip_prefix("//localhost")
                .or(path.strip_prefix("//"))
                .or(Some(path))
                .filter(|p| p.starts_with('/'))
            else {
                return Err(Error::invalid_input(format!("{url:?} names no absolute path; write file:///folder")));
            };
            open_local(percent_decode_str(path).collect(), options(query)?, settings).await
        }
        Some((scheme, _)) => {
            let known = "s3://bucket/prefix, az://container/prefix, gs://bucket/prefix, https://host/folder/, file:///folder, memory:name and plain paths";
            Err(Error::invalid_input(format!("the scheme {scheme}: is not known; known are {known}")))
        }
        None if url.is_empty() => Err(Error::invalid_input("an empty text names no place")),
        None if mistyped(url).is_some() => Err(not_a_folder(url)),
        None => open_local(url.as_bytes().to_vec(), Vec::new(), settings).await,
    }
}

/// The scheme of a URL, and what follows the colon. A path has no scheme, even if it
/// contains a colon.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let known = ["memory", "file"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (valid && (known || rest.starts_with("//"))).then_some((scheme, rest))
}

/// The scheme that a path seems to begin with, if the `//` behind it is missing.
fn mistyped(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once(':')?;
    let known = ["s3", "az", "azure", "gs", "gcs", "http", "https"];
    known.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(scheme)
}

fn not_a_folder(url: &str) -> Error {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.trim_start_matches('/'));
    Error::invalid_input(format!("{url:?} is no URL: write {scheme}://{rest}, or ./{url} if a file or folder is meant"))
}

fn open_memory(rest: &str, settings: Option<&StoreConfig>) -> Result<Location> {
    if !matches!(settings, None | Some(StoreConfig::Memory)) {
        return Err(other_backend("memory"));
    }
    let name = rest.trim_start_matches('/');
    if name.is_empty() || name.contains('?') {
        return Err(Error::invalid_input("write memory:name; there are no options"));
    }
    let name: Cow<'_, str> = percent_decode_str(name).decode_utf8_lossy();
    Ok(Location::new(Arc::new(MemoryStorage::builder().name(name).build()), Vec::new()))
}

#[cfg(feature = "s3")]
async fn open_s3(rest: &str, settings: Option<StoreConfig>) -> Result<Location> {
    let base = match settings {
        None => None,
        Some(StoreConfig::S3(config)) => Some(*config),
        Some(_) => return Err(other_backend("s3")),
    };
    let (config, path) = s3_config(rest, base)?;
    let storage = S3Storage::builder(config).probe_prefix(path.clone()).connect().await?;
    Ok(Location::new(Arc::new(storage), path))
}

/// The settings and the path that follow `s3:`.
#[cfg(feature = "s3")]
fn s3_config(rest: &str, base: Option<S3Config>) -> Result<(S3Config, Vec<u8>)> {
    let advice = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a settings file";
    let url = Named::of(rest, ("s3", "bucket"), &crate::s3::SECRET_SETTINGS, advice)?;
    let config: S3Config = parse(url.options)?;
    let config = match base {
        Some(base) => base.overridden_by(config),
        None => config,
    };
    Ok((config.overridden_by(S3Config::new(url.place)), url.path))
}

#[cfg(feature = "azure")]
fn open_azure(rest: &str, settings: Option<StoreConfig>) -> Result<Location> {
    let base = match settings {
        None => None,
        Some(StoreConfig::Azure(config)) => Some(*config),
        Some(_) => return Err(other_backend("az")),
    };
    let (builder, path) = azure_builder(rest, base)?;
    Ok(Location::new(Arc::new(builder.build()?), path))
}

/// The settings and the path that follow `az:`.
#[cfg(feature = "azure")]
fn azure_builder(rest: &str, base: Option<AzureConfig>) -> Result<(AzureBuilder, Vec<u8>)> {
    let advice = "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or a settings file";
    let url = Named::of(rest, ("az", "container"), &crate::azure::SECRET_SETTINGS, advice)?;
    let by_url = url.options.contains_key("endpoint");
    let config: AzureConfig = parse(url.options)?;
    let config = match base {
        Some(base) => base.overridden_by(config),
        None => config,
    };
    let config = config.overridden_by(AzureConfig::new(url.place));
    Ok((AzureStorage::builder(config).endpoint_by_url(by_url), url.path))
}

#[cfg(feature = "gcs")]
fn open_gcs(rest: &str, settings: Option<StoreConfig>) -> Result<Location> {
    let base = match settings {
        None => None,
        Some(StoreConfig::Gcs(config)) => Some(*config),
        Some(_) => return Err(other_backend("gs")),
    };
    let advice = "GOOGLE_APPLICATION_CREDENTIALS or a settings file";
    let url = Named::of(rest, ("gs", "bucket"), &crate::gcs::SECRET_SETTINGS, advice)?;
    let file_of_url = url.options.contains_key("credentials_file");
    let config: GcsConfig = parse(url.options)?;
    let config = match base {
        Some(base) => base.overridden_by(config),
        None => config,
    };
    let config = config.overridden_by(GcsConfig::new(url.place));
    let storage = GcsStorage::builder(config).file_of_url(file_of_url).build()?;
    Ok(Location::new(Arc::new(storage), url.path))
}

#[cfg(not(feature = "gcs"))]
fn open_gcs(_rest: &str, _settings: Option<StoreConfig>) -> Result<Location> {
    Err(feature_is_off("gcs"))
}

#[cfg(not(feature = "http"))]
fn open_http(_url: &str, _settings: Option<StoreConfig>) -> Result<Location> {
    Err(feature_is_off("http"))
}

#[cfg(not(feature = "azure"))]
fn open_azure(_rest: &str, _settings: Option<StoreConfig>) -> Result<Location> {
    Err(feature_is_off("azure"))
}

/// Entry point for the fuzz targets.
#[cfg(all(fuzzing, feature = "azure", feature = "s3"))]
pub(crate) fn fuzz(text: &str) {
    let _ = scheme(text);
    if let Ok((config, _)) = s3_config(text, None) {
        assert!(!format!("{config:?}").contains("secret_access_key: Some"), "a URL gave a secret");
    }
    if let Ok((builder, _)) = azure_builder(text, None) {
        assert!(!format!("{builder:?}").contains("account_key: Some"), "a URL gave a secret");
    }
}

#[cfg(not(feature = "s3"))]
async fn open_s3(_rest: &str, _settings: Option<StoreConfig>) -> Result<Location> {
    Err(feature_is_off("s3"))
}

#[cfg(not(feature = "local"))]
async fn open_local(
    _path: Vec<u8>,
    _options: Vec<(String, String)>,
    _settings: Option<StoreConfig>,
) -> Result<Location> {
    Err(feature_is_off("local"))
}

#[cfg(not(all(feature = "azure", feature = "gcs", feature = "http", feature = "s3", feature = "local")))]
fn feature_is_off(feature: &str) -> Error {
    Error::unsupported(format!("this program was built without the feature {feature} of lepton"))
}

#[cfg(test)]
mod tests {
    use lepton_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn memory_is_shared_by_name() {
        let first = open("memory:one").await.unwrap();
        assert_eq!(first.storage().url(), open("memory:one").await.unwrap().storage().url());
        assert_ne!(first.storage().url(), open("memory:two").await.unwrap().storage().url());
        assert!(open("memory:").await.is_err());
    }

    #[tokio::test]
    async fn unknown_schemes_list_the_known() {
        for url in ["swift://bucket", "ftp://host/x"] {
            let error = open(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("s3://") && error.to_string().contains("memory:"), "{error}");
        }
        assert_eq!(scheme("a:b"), None);
        assert_eq!(mistyped("a:b"), None);
        assert_eq!(scheme("./s3://x"), None);
    }

    #[tokio::test]
    async fn a_mistyped_url_is_no_folder() {
        for (url, right) in [
            ("s3:/bucket/x", "s3://bucket/x"),
            ("s3:bucket", "s3://bucket"),
            ("S3:bucket", "s3://bucket"),
            ("gs:b", "gs://b"),
            ("az:/c", "az://c"),
            ("https:/host/x", "https://host/x"),
        ] {
            let error = open(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(right) && error.message().contains(&format!("./{url}")), "{error}");
        }
    }

    #[cfg(all(feature = "s3", feature = "local"))]
    #[tokio::test]
    async fn schemes_have_no_case_and_a_path_may_look_like_one() {
        let place = open("S3://b?anonymous=true&preset=minio").await.unwrap();
        assert_eq!(place.storage().url(), "s3://b");
        let _ = open("MEMORY:case").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("s3:")).unwrap();
        let _ = open(&format!("{}/s3:", folder.path().display())).await.unwrap();
    }

    #[cfg(feature = "local")]
    #[tokio::test]
    async fn folders_and_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a b"), "x").unwrap();
        let text = folder.path().to_str().unwrap();
        assert_eq!(open(text).await.unwrap().path(), b"");
        assert_eq!(open(&format!("{text}/a b")).await.unwrap().path(), b"a b");
        let url = format!("file://{text}/a%20b?symlinks=error&paranoid=true");
        assert_eq!(open(&url).await.unwrap().key().unwrap().as_bytes(), b"a b");
        let _ = open(&format!("file://localhost{text}/new?create_root=true")).await.unwrap();
        assert!(folder.path().join("new").is_dir());
        for (url, says) in [
            ("file://host/x", "absolute"),
            ("file:///tmp?symlink=follow", "`symlinks`"),
            ("file:///tmp?root=/", "root"),
            ("", "empty"),
        ] {
            let error = open(url).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        let settings: StoreConfig = serde_json::from_str(r#"{"type": "local", "create_root": true}"#).unwrap();
        let _ = open_with(&format!("{text}/more"), settings).await.unwrap();
        assert!(folder.path().join("more").is_dir());
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn buckets_prefixes_and_options() {
        let place =
            open("s3://photos/a%2Fb//c%FF%3F?endpoint=http://h:9&region=r&anonymous&preset=generic").await.unwrap();
        assert_eq!(place.path(), b"a/b//c\xff?");
        assert_eq!(place.storage().url(), "s3://photos?endpoint=http%3A%2F%2Fh%3A9");
        let place = open("s3://photos//lead?endpoint=HTTP://H:80/&no_sign_request=true&preset=minio").await.unwrap();
        assert_eq!((place.path(), place.storage().url()), (&b"/lead"[..], "s3://photos?endpoint=http%3A%2F%2Fh"));
        let place = open(r#"s3://b?anonymous=true&preset=minio&capabilities={"delete_batch":7}&idle_timeout=5s"#)
            .await
            .unwrap();
        assert_eq!(place.storage().capabilities().delete_batch, 7);
        assert_eq!(place.storage().capabilities().preset, "minio");
        assert_eq!(place.storage().url(), "s3://b");
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn wrong_options_and_secrets_are_refused() {
        for (url, says) in [
            ("s3://b?regoin=x", "`region`"),
            ("s3://b?anonymous=maybe", "neither true nor false"),
            ("s3://b?region=a&region=b", "twice"),
            ("s3://b?secret_access_key=s3cr3t", "AWS_SECRET_ACCESS_KEY"),
            ("s3://b?sse_customer_key=s3cr3t", "URL"),
            ("s3://key:s3cr3t@b/x", "environment"),
            ("s3://b?bucket=c", "first part"),
            ("s3://?anonymous", "bucket"),
            ("s3://b?preset=ceph", "`minio`"),
        ] {
            let error = open(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(error.to_string().contains(says) && !error.to_string().contains("s3cr3t"), "{error}");
        }
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn settings_are_completed_by_the_url() {
        let settings = || -> StoreConfig {
            serde_json::from_str(r#"{"type": "s3", "anonymous": true, "preset": "minio", "endpoint": "http://a"}"#)
                .unwrap()
        };
        let place = open_with("s3://b/x?endpoint=http://c", settings()).await.unwrap();
        assert_eq!(place.storage().url(), "s3://b?endpoint=http%3A%2F%2Fc");
        assert_eq!(place.storage().capabilities().preset, "minio");
        assert!(open_with("memory:x", settings()).await.is_err());
        let unknown = serde_json::from_str::<StoreConfig>(r#"{"type": "s3", "regoin": "x"}"#).unwrap_err();
        assert!(unknown.to_string().contains("`region`"), "{unknown}");
    }

    proptest! {
        #[test]
        fn no_url_panics(url in "(s3|memory|file)?:?/{0,3}[a-z%?&=@:0-9]*") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(open(&url));
        }
    }
}
