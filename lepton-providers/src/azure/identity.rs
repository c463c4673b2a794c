//! Selects the identity that gets tokens.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result, SharedRuntime};

use super::config::AzureConfig;
use crate::auth::azure::{Application, Cli, ManagedIdentity, Proof};
use crate::auth::issuer::Issuers;
use crate::auth::token::TokenProvider;
use crate::wire::values::Vars;

/// The issuer of tokens in the public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The context of the settings.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) var: Vars<'a>,
    pub(super) issuers: Issuers<'a>,
    pub(super) env: &'a SharedRuntime,
}

/// The origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigSource {
    /// The settings contain it, or it was injected.
    Settings,
    /// The settings name its location: a file, a command, the machine. A URL can do this,
    /// too.
    Named,
    /// Only the environment has it.
    Environment,
}

type Provider = Arc<dyn TokenProvider>;

/// The identity that the settings select, and whether its proof is contained in them.
pub(super) fn chosen(config: &AzureConfig, context: &Context<'_>) -> Result<Option<(Provider, ConfigSource)>> {
    if config.use_cli == Some(true) {
        let tenant = config.tenant_id.clone().or_else(|| (context.var)("AZURE_TENANT_ID"));
        return Ok(Some((Arc::new(Cli::new(context.env.clone(), tenant)), ConfigSource::Named)));
    }
    if config.use_managed_identity == Some(true) {
        return Ok(Some((managed(config, context)?, ConfigSource::Named)));
    }
    let secret = config.client_secret.clone().map(|secret| (Proof::Secret(secret), ConfigSource::Settings));
    let certificate =
        config.client_certificate_file.clone().map(|file| (Proof::Certificate(file), ConfigSource::Named));
    let workload = config.federated_token_file.clone().map(|file| (Proof::Workload(file), ConfigSource::Named));
    match secret.or(certificate).or(workload) {
        Some((proof, source)) => match application(config, context, proof)? {
            Some(application) => Ok(Some((application, source))),
            None => Err(missing_client_id()),
        },
        None => Ok(None),
    }
}

/// The identity in the environment.
pub(super) fn found(config: &AzureConfig, context: &Context<'_>) -> Result<Option<Provider>> {
    let var = context.var;
    let file = |name| var(name).map(PathBuf::from);
    let secret = var("AZURE_CLIENT_SECRET").map(|secret| Proof::Secret(secret.into()));
    let certificate = || file("AZURE_CLIENT_CERTIFICATE_PATH").map(Proof::Certificate);
    let workload = || file("AZURE_FEDERATED_TOKEN_FILE").map(Proof::Workload);
    let proof = secret.or_else(certificate).or_else(workload);
    let proves = proof.is_some();
    if let Some(proof) = proof
        && let Some(application) = application(config, context, proof)?
    {
        return Ok(Some(application));
    }
    let service = var("IDENTITY_ENDPOINT").is_some() || (var("MSI_ENDPOINT").is_some() && var("MSI_SECRET").is_some());
    match (service, proves) {
        (true, _) => managed(config, context).map(Some),
        (false, true) => Err(missing_client_id()),
        (false, false) => Ok(None),
    }
}

fn missing_client_id() -> Error {
    let message = "a client's secret or certificate, or a workload's token, needs tenant_id and client_id \
                   (AZURE_TENANT_ID, AZURE_CLIENT_ID)";
    Error::new(ErrorKind::Unauthenticated, message)
}

fn client(config: &AzureConfig, var: Vars<'_>) -> Option<String> {
    config.client_id.clone().or_else(|| var("AZURE_CLIENT_ID"))
}

fn managed(config: &AzureConfig, context: &Context<'_>) -> Result<Provider> {
    let client = client(config, context.var);
    Ok(Arc::new(ManagedIdentity::new((context.issuers)(false)?, client, context.var)?))
}

/// The application that authenticates with this proof; `None` if neither settings nor
/// environment name it.
fn application(config: &AzureConfig, context: &Context<'_>, proof: Proof) -> Result<Option<Provider>> {
    let var = context.var;
    let tenant = config.tenant_id.clone().or_else(|| var("AZURE_TENANT_ID"));
    let (Some(tenant), Some(client)) = (tenant, client(config, var)) else { return Ok(None) };
    let authority = config.authority_host.clone().or_else(|| var("AZURE_AUTHORITY_HOST"));
    let authority = authority.unwrap_or_else(|| AUTHORITY.to_owned());
    let authority = if authority.contains("://") { authority } else { format!("https://{authority}") };
    let (issuer, env) = ((context.issuers)(true)?, context.env.clone());
    Ok(Some(Arc::new(Application::new(issuer, env, &authority, (&tenant, &client), proof)?)))
}
