//! Tokens of the user logged in with the Azure CLI.

use async_trait::async_trait;
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};

use super::resource::RESOURCE;
use crate::auth::command::output;
use crate::auth::oauth::token_of;
use crate::auth::token::{Token, TokenProvider};

/// Runs `az account get-access-token`.
#[derive(Debug)]
pub(crate) struct Cli {
    env: SharedRuntime,
    tenant: Option<String>,
}

impl Cli {
    pub(crate) fn new(env: SharedRuntime, tenant: Option<String>) -> Self {
        Self { env, tenant }
    }
}

#[async_trait]
impl TokenProvider for Cli {
    async fn token(&self) -> Result<Token> {
        let mut command = vec!["az", "account", "get-access-token", "--output", "json", "--resource", RESOURCE];
        command.extend(self.tenant.iter().flat_map(|tenant| ["--tenant", tenant]));
        let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
        let named = |why: &'static str| {
            let message = format!("the Azure CLI (az) {why}; is it installed, and did you run `az login`?");
            Error::new(ErrorKind::Unauthenticated, message)
        };
        let printed = output(&self.env, &command).await.map_err(|failed| failed.into_error(named))?;
        token_of(&printed, self.env.now()).ok_or_else(|| named("printed no token"))
    }
}
