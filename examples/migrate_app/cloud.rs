//! A cloud: an S3 server in memory, with a policy that can deny the application to write.

use std::path::PathBuf;
use std::sync::Arc;

use lepton::core::data_set::Side;
use lepton::{Error, MemoryStorage, ObjectKey, Result, StorageExt as _};
use lepton_s3_front::{Action, Failure, Hooks, RequestInfo, S3Front};

use crate::site::{APP, BUCKET, LEPTON, Site, cloud};

/// Serves until the process is killed.
pub(crate) async fn run(site: &Site, side: Side, objects: usize) -> Result<()> {
    let storage = MemoryStorage::new();
    if side == Side::A {
        fill(&storage, objects).await?;
    }
    let front = S3Front::builder()
        .bucket(BUCKET, Arc::new(storage))
        .credentials(LEPTON.0, LEPTON.1)
        .credentials(APP.0, APP.1)
        .hooks(Arc::new(Policy(site.policy(side))))
        .build()?;
    let server = front.serve("127.0.0.1:0").await?;
    site.publish(&cloud(side), &server.address().to_string())?;
    std::future::pending::<()>().await;
    server.stop().await;
    Ok(())
}

/// What the application has stored so far: photographs, and videos that are uploaded in parts.
async fn fill(storage: &MemoryStorage, objects: usize) -> Result<()> {
    for number in 0..objects {
        let len = if number % 100 == 7 { 9 << 20 } else { 1_000 + number * 317 };
        let body = number.to_le_bytes().repeat(len / 8);
        let key = ObjectKey::try_from(format!("items/photo-{number:04}").as_str())?;
        storage.write(&key, body.into()).await?;
    }
    Ok(())
}

/// While its file exists, the application's key may only read.
struct Policy(PathBuf);

impl Hooks for Policy {
    fn on_request(&self, request: &RequestInfo) -> Action {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        if !reads && request.access_key.as_deref() == Some(APP.0) && self.0.exists() {
            return Action::Fail(Failure::new(403, "AccessDenied"));
        }
        Action::Pass
    }
}

/// Makes a side deny the application to write, or allow it again.
pub(crate) fn set_policy(site: &Site, side: Side, deny: bool) -> Result<()> {
    let path = site.policy(side);
    let failed = |error| Error::io("cannot change the policy", error);
    if deny {
        return std::fs::write(&path, "").map_err(failed);
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Changes the policy as the variables say that a driver sets for its program; `only` at this side.
pub(crate) fn change_policy(site: &Site, only: Option<Side>) -> Result<()> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let side = match variable("LEPTON_SIDE").as_str() {
        "a" => Side::A,
        "b" => Side::B,
        other => return Err(Error::invalid_input(format!("LEPTON_SIDE is {other:?}"))),
    };
    if only.is_some_and(|only| only != side) {
        return Ok(());
    }
    match variable("LEPTON_WRITES").as_str() {
        "deny" => set_policy(site, side, true),
        "allow" => set_policy(site, side, false),
        other => Err(Error::invalid_input(format!("LEPTON_WRITES is {other:?}"))),
    }
}
