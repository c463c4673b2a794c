//! What services say that are asked for tokens.

use lepton_core::{HeadOptions, Storage as _};
use lepton_providers::azure::{AzureConfig, AzureStorage};
use lepton_providers::gcs::{GcsConfig, GcsStorage};
use serde_json::json;

use super::server::{answer, start};
use super::{assert_hidden, forms, key};

const CLIENT: &str = "s3cr3t/client+of~nobody=6";
const REFRESH: &str = "s3cr3t/refresh+of~nobody=5";

/// A service that says this where it refuses a token.
async fn refusing(words: String) -> String {
    start(move |_| {
        let refusal = json!({ "error": words, "error_description": format!("no {words} here\nTrace: x") });
        answer(400, &[("Content-Type", "application/json")], &refusal.to_string())
    })
    .await
}

#[tokio::test]
async fn a_service_of_tokens_cannot_say_what_it_was_asked_with() {
    for form in forms(CLIENT).into_iter().chain(forms(REFRESH)) {
        let address = refusing(form.clone()).await;
        let user = json!({
            "type": "authorized_user", "client_id": "c", "client_secret": CLIENT, "refresh_token": REFRESH,
            "token_uri": format!("http://{address}/token"),
        });
        let config = GcsConfig::new("bucket").endpoint(format!("http://{address}")).proxy("none");
        let store = GcsStorage::new(config.credentials_json(user.to_string())).unwrap();
        assert_hidden(&store.head(&key(), HeadOptions::new()).await.unwrap_err(), &form, "a user");
    }
    for form in forms(CLIENT) {
        let address = refusing(form.clone()).await;
        let config = AzureConfig::new("container").account("account").endpoint(format!("http://{address}"));
        let config = config.tenant_id("tenant").client_id("client").client_secret(CLIENT).proxy("none");
        let config = config.authority_host(format!("http://{address}"));
        let store = AzureStorage::new(config).unwrap();
        assert_hidden(&store.head(&key(), HeadOptions::new()).await.unwrap_err(), &form, "an application");
    }
}
