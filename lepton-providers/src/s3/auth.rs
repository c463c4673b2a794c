//! Resolves credentials, region, endpoint and certificates: from settings, then the
//! environment, then the profile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::{Error, Result, SharedRuntime};

use super::config::S3Config;
use crate::auth::aws::chain::{Chain, on_ec2};
use crate::auth::aws::credentials::{Credentials, CredentialsProvider};
use crate::auth::aws::profile::ProfileFiles;
use crate::auth::issuer::Issuer;
use crate::wire::values::Vars;

/// The result of settings, environment and profile.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) addressing_style: Option<String>,
    /// `None` for anonymous requests.
    pub(super) credentials: Option<Arc<dyn CredentialsProvider>>,
}

/// Makes a client for a service that issues credentials: whether it is reached through
/// the proxies, and which certificates it trusts.
pub(super) type Connect<'a> = &'a dyn Fn(bool, Option<&Path>) -> Result<Issuer>;

/// Resolves the settings. Injected credentials override all others.
pub(super) fn resolve(
    config: &S3Config,
    injected: Option<Arc<dyn CredentialsProvider>>,
    var: Vars<'_>,
    connect: Connect<'_>,
    env: &SharedRuntime,
) -> Result<Resolved> {
    let files = ProfileFiles::from_env(var);
    let named = config.profile.clone().or_else(|| var("AWS_PROFILE"));
    let profile = files.profile(named.as_deref().unwrap_or("default"))?;
    if let (Some(name), None) = (&named, &profile) {
        return Err(Error::invalid_input(format!("there is no profile {name:?} in {}", files.describe())));
    }
    let of_profile = |name: &str| profile.as_ref().and_then(|profile| profile.get(name)).map(str::to_owned);
    let ignores = var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").or_else(|| of_profile("ignore_configured_endpoint_urls"));
    let ignores = ignores.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let given = var;
    let var: Vars<'_> = &|name: &str| given(name).filter(|_| !(ignores && name.starts_with("AWS_ENDPOINT_URL")));
    let region = config
        .region
        .clone()
        .or_else(|| var("AWS_REGION"))
        .or_else(|| var("AWS_DEFAULT_REGION"))
        .or_else(|| of_profile("region"))
        .unwrap_or_else(|| "us-east-1".to_owned());
    let of_environment = || var("AWS_CA_BUNDLE").or_else(|| of_profile("ca_bundle")).map(PathBuf::from);
    let ca_file = config.ca_file.clone().or_else(of_environment);
    let issuers = |proxied| connect(proxied, ca_file.as_deref());
    let chain = Chain { files: &files, var, issuers: &issuers, env, region: &region, on_ec2: on_ec2() };
    let credentials = match injected {
        _ if config.anonymous == Some(true) => None,
        Some(provider) => Some(provider),
        None => Some(credentials(config, &chain, named.as_deref().unwrap_or("default"))?),
    };
    let configured =
        || var("AWS_ENDPOINT_URL_S3").or_else(|| var("AWS_ENDPOINT_URL")).or_else(|| of_profile("endpoint_url"));
    Ok(Resolved {
        endpoint: config.endpoint.clone().or_else(|| configured().filter(|_| !ignores)),
        region,
        ca_file,
        addressing_style: of_profile("s3.addressing_style"),
        credentials,
    })
}

/// The credentials of the settings, otherwise those that the chain finds.
fn credentials(config: &S3Config, chain: &Chain<'_>, profile: &str) -> Result<Arc<dyn CredentialsProvider>> {
    match (&config.access_key_id, &config.secret_access_key) {
        (Some(id), Some(secret)) => {
            let token = config.session_token.clone();
            Ok(Arc::new(Credentials::new(id, secret.clone()).session_token(token)))
        }
        (None, None) => chain.find(profile, config.profile.is_some()),
        _ => Err(Error::invalid_input("access_key_id and secret_access_key go together; one is missing")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lepton_core::SystemRuntime;

    use super::*;

    struct Setup {
        _folder: tempfile::TempDir,
        vars: BTreeMap<String, String>,
    }

    fn setup(vars: &[(&str, &str)], config: &str, credentials: &str) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(folder.path().join(".aws/config"), config).unwrap();
        std::fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
        let mut vars: BTreeMap<String, String> = vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        vars.insert("HOME".into(), folder.path().display().to_string());
        Setup { _folder: folder, vars }
    }

    fn no_issuer(_: bool, _: Option<&Path>) -> Result<Issuer> {
        Err(Error::unsupported("no issuer in this test"))
    }

    async fn key_of(setup: &Setup, config: S3Config) -> Result<String> {
        let resolved =
            resolve(&config, None, &|name| setup.vars.get(name).cloned(), &no_issuer, &SystemRuntime::shared())?;
        match resolved.credentials {
            None => Ok("anonymous".into()),
            Some(provider) => Ok(provider.credentials().await?.access_key_id),
        }
    }

    const KEYS: &str = "[default]\naws_access_key_id=D\naws_secret_access_key=x\n[work]\naws_access_key_id=W\naws_secret_access_key=x\n";
    const ENV_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "x")];

    #[tokio::test]
    async fn the_order_of_credentials() {
        let bare = S3Config::new("b");
        let explicit = bare.clone().access_key_id("X").secret_access_key("x");
        let with_env = setup(&ENV_KEYS, "", KEYS);
        assert_eq!(key_of(&with_env, explicit.clone()).await.unwrap(), "X");
        assert_eq!(key_of(&with_env, bare.clone()).await.unwrap(), "E");
        assert_eq!(key_of(&with_env, bare.clone().profile("work")).await.unwrap(), "W");
        assert_eq!(key_of(&with_env, explicit.anonymous(true)).await.unwrap(), "anonymous");
        assert_eq!(key_of(&setup(&[], "", KEYS), bare.clone()).await.unwrap(), "D");
        assert_eq!(key_of(&setup(&[("AWS_PROFILE", "work")], "", KEYS), bare.clone()).await.unwrap(), "W");
        let process = r#"[default]
credential_process = printf '{"Version":1,"AccessKeyId":"P","SecretAccessKey":"x"}'
"#;
        assert_eq!(key_of(&setup(&[], process, ""), bare).await.unwrap(), "P");
    }

    #[tokio::test]
    async fn errors_name_the_missing_setting() {
        let bare = S3Config::new("b");
        for (setup, config, says) in [
            (setup(&[], "", ""), bare.clone(), "anonymous=true"),
            (setup(&[], "", KEYS), bare.clone().profile("nobody"), "\"nobody\""),
            (setup(&[], "", KEYS), bare.clone().access_key_id("x"), "secret_access_key"),
            (setup(&[("AWS_ACCESS_KEY_ID", "x")], "", KEYS), bare.clone(), "AWS_SECRET_ACCESS_KEY"),
        ] {
            let error = key_of(&setup, config).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn region_endpoint_and_certificates() {
        let config = "[default]\nregion=p\nendpoint_url=http://p\nca_bundle=/p.pem\ns3 =\n  addressing_style = path\n";
        let resolved = |setup: &Setup, config: S3Config| {
            resolve(
                &config.anonymous(true),
                None,
                &|name| setup.vars.get(name).cloned(),
                &no_issuer,
                &SystemRuntime::shared(),
            )
            .unwrap()
        };
        let profile = resolved(&setup(&[], config, ""), S3Config::new("b"));
        assert_eq!((profile.region.as_str(), profile.endpoint.as_deref()), ("p", Some("http://p")));
        assert_eq!(profile.addressing_style.as_deref(), Some("path"));
        assert_eq!(profile.ca_file, Some("/p.pem".into()));
        let vars = [("AWS_DEFAULT_REGION", "d"), ("AWS_ENDPOINT_URL", "http://e"), ("AWS_CA_BUNDLE", "/e.pem")];
        let env = resolved(&setup(&vars, config, ""), S3Config::new("b"));
        assert_eq!((env.region.as_str(), env.endpoint.as_deref()), ("d", Some("http://e")));
        assert_eq!(env.ca_file, Some("/e.pem".into()));
        for (vars, config) in [
            (&[("AWS_ENDPOINT_URL_S3", "http://e"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")][..], config),
            (&[], "[default]\nendpoint_url=http://p\nignore_configured_endpoint_urls = true\n"),
        ] {
            assert_eq!(resolved(&setup(vars, config, ""), S3Config::new("b")).endpoint, None);
            let explicit = resolved(&setup(vars, config, ""), S3Config::new("b").endpoint("http://x"));
            assert_eq!(explicit.endpoint.as_deref(), Some("http://x"));
        }
        let explicit = resolved(&setup(&vars, config, ""), S3Config::new("b").region("r").endpoint("http://x"));
        assert_eq!((explicit.region.as_str(), explicit.endpoint.as_deref()), ("r", Some("http://x")));
        assert_eq!(resolved(&setup(&[], "", ""), S3Config::new("b")).region, "us-east-1");
    }
}
