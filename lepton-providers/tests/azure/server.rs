//! Where the emulator is, and a fresh container in it.

#![allow(dead_code, reason = "the tests of the workspace use it too")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lepton_providers::azure::{AzureConfig, AzureStorage};

/// The emulator's well-known account.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A permission to read and to list all containers until 2099, signed with that key.
pub const READING: &str = "sv=2021-12-02&ss=b&srt=sco&sp=rl&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp\
                           &sig=o8256hF4M%2F9fWSdJ3Nkh3S7OjikYg5Vm2iCbYIZWBJg%3D";

/// The address of the emulator, if there is one. Says where not.
pub fn endpoint() -> Option<String> {
    match std::env::var("LEPTON_TEST_AZURITE") {
        Ok(endpoint) => Some(format!("{endpoint}/{ACCOUNT}")),
        Err(_) if std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1") => {
            panic!("LEPTON_TEST_AZURITE is not set, and LEPTON_TEST_REQUIRED=1")
        }
        Err(_) => {
            println!("skipped: LEPTON_TEST_AZURITE is not set");
            None
        }
    }
}

pub fn config(container: &str, endpoint: &str) -> AzureConfig {
    AzureConfig::new(container).account(ACCOUNT).account_key(KEY).endpoint(endpoint).proxy("none")
}

/// A store over a container that did not exist before, which may only be read.
pub async fn reading() -> Option<AzureStorage> {
    let endpoint = endpoint()?;
    let config = AzureConfig::new(container(&endpoint).await).account(ACCOUNT).endpoint(&endpoint).proxy("none");
    Some(AzureStorage::new(config.sas_token(READING)).unwrap())
}

/// The name of a container that did not exist before.
pub async fn container(endpoint: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("lepton-{}-{nanos}", COUNT.fetch_add(1, Ordering::Relaxed));
    AzureStorage::new(config(&name, endpoint)).unwrap().create_container().await.unwrap();
    name
}

/// A store over such a container.
pub async fn fresh() -> Option<AzureStorage> {
    let endpoint = endpoint()?;
    let container = container(&endpoint).await;
    Some(AzureStorage::new(config(&container, &endpoint)).unwrap())
}
