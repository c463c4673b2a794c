//! Plan, apply, scale and delete: each changes one file, and returns.

use std::fs::{self, File};

use lepton_core::deployment::{Change, DeploymentPlan, OperationKey, RevisionId, Secrets, WorkloadSpec};
use lepton_core::{Effect, Error, ErrorKind, Result};

use super::shared::{Driver, absent};
use crate::process::overlay::check;
use crate::process::state::{
    Applied, KeptSecrets, UsedKey, Workload, create_folder, failed, is_name, own_folder, sync_folder, wipe_all,
    write_values,
};

/// What an apply is given.
#[derive(Debug)]
pub(super) struct Apply {
    pub(super) spec: WorkloadSpec,
    pub(super) secrets: Secrets,
    pub(super) key: OperationKey,
}

/// The workload with this name; `None` for an invalid name.
pub(super) fn read(driver: &Driver, name: &str) -> Result<Option<Workload>> {
    if is_name(name) { Workload::read(&driver.state_dir, name) } else { Ok(None) }
}

pub(super) fn plan(driver: &Driver, spec: &WorkloadSpec, secrets: &Secrets) -> Result<DeploymentPlan> {
    check(spec)?;
    let workload = read(driver, &spec.name)?.filter(|workload| !workload.deleted);
    compare(workload.as_ref(), spec, &driver.state_dir.key()?, secrets)
}

fn compare(workload: Option<&Workload>, spec: &WorkloadSpec, key: &[u8], secrets: &Secrets) -> Result<DeploymentPlan> {
    let last = workload.map(Workload::last).transpose()?;
    let kept = last.and_then(|last| last.secrets.as_ref());
    let changed = match kept {
        Some(kept) => kept.digest != secrets.keyed_digest(key),
        None => last.is_some() && secrets.names().next().is_some(),
    };
    // A scaled workload differs from what was applied.
    let applied = workload.zip(last).map(|(workload, last)| {
        let mut spec = last.spec.clone();
        spec.replicas = workload.desired;
        spec
    });
    Ok(DeploymentPlan::compare(applied.as_ref(), spec, changed))
}

impl Apply {
    /// Whether this can be applied at all.
    pub(super) fn check(&self) -> Result<()> {
        check(&self.spec)?;
        self.check_secrets()
    }

    /// Applies it under the lock of the state.
    pub(super) fn run(self, driver: &Driver, lock: File) -> Result<RevisionId> {
        let revision = self.write(driver)?;
        drop(lock);
        // The workload is applied; applying it again with the same key tries this again.
        summon(driver)?;
        Ok(revision)
    }

    /// Each secret of the spec has a value, and each value is one of the spec.
    fn check_secrets(&self) -> Result<()> {
        let missing = self.spec.secrets.keys().find(|name| !self.secrets.names().any(|known| known == *name));
        if let Some(name) = missing {
            return Err(Error::invalid_input(format!("the secret {name} of the workload has no value")));
        }
        if let Some(name) = self.secrets.names().find(|name| !self.spec.secrets.contains_key(*name)) {
            return Err(Error::invalid_input(format!(
                "there is a value for {name}, which is no secret of the workload"
            )));
        }
        if let Some((name, _)) = self.secrets.expose().find(|(_, value)| value.contains('\0')) {
            return Err(Error::invalid_input(format!("the value of the secret {name} contains a NUL character")));
        }
        Ok(())
    }

    fn write(&self, driver: &Driver) -> Result<RevisionId> {
        let secret = driver.state_dir.key()?;
        let found = read(driver, &self.spec.name)?;
        if let Some(workload) = &found
            && let Some(revision) = self.check_owner(workload, &secret)?
        {
            self.restore(driver, workload.clone(), &revision, &secret)?;
            return Ok(revision);
        }
        let plan = compare(found.as_ref(), &self.spec, &secret, &self.secrets)?;
        let exists = found.is_some();
        let mut workload = found.unwrap_or_else(|| Workload::new(&self.key.owner));
        let revision = if plan.change == Change::Unchanged {
            if let Some(kept) = self.lost(workload.last()?, &secret) {
                self.keep_secrets(driver, kept)?;
            }
            workload.last()?.id.clone()
        } else {
            let id = workload.next_id();
            let applied = self.applied(driver, &id, &secret)?;
            if let Some(kept) = &applied.secrets {
                self.keep_secrets(driver, kept)?;
            }
            workload.add(applied);
            id
        };
        workload.note(UsedKey::new(&self.key, &revision, &self.spec, &secret));
        if exists {
            workload.write(&driver.state_dir.workload(&self.spec.name))?;
        } else {
            self.create(driver, &mut workload)?;
        }
        Ok(revision)
    }

    /// The revision that this key has made, if it was used before.
    fn check_owner(&self, workload: &Workload, secret: &[u8]) -> Result<Option<RevisionId>> {
        let conflict =
            |message| Err(Error::new(ErrorKind::Conflict, message).with_context("workload", &self.spec.name));
        if workload.owner != self.key.owner {
            return conflict(format!("the workload {} belongs to {}", self.spec.name, workload.owner));
        }
        if workload.deleted {
            return conflict(format!("the workload {} is being deleted", self.spec.name));
        }
        let Some(used) = workload.keys.iter().find(|used| used.key == self.key) else { return Ok(None) };
        if used.spec != UsedKey::digest(&self.spec, secret) {
            return conflict(format!("the key {} was used with another spec of {}", self.key.key, self.spec.name));
        }
        Ok(Some(used.revision.clone()))
    }

    /// The secrets of a revision, if their values are gone, as after a restart of the machine, and
    /// these are the values.
    fn lost<'a>(&self, applied: &'a Applied, secret: &[u8]) -> Option<&'a KeptSecrets> {
        let lost = |kept: &&KeptSecrets| !kept.file.exists() && kept.digest == self.secrets.keyed_digest(secret);
        applied.secrets.as_ref().filter(lost)
    }

    /// Brings back the values of the revision of a key that was used before.
    fn restore(&self, driver: &Driver, mut workload: Workload, revision: &RevisionId, secret: &[u8]) -> Result<()> {
        let last = workload.last()?;
        let Some(kept) = self.lost(last, secret).filter(|_| last.id == *revision) else { return Ok(()) };
        self.keep_secrets(driver, kept)?;
        // As a change, so that the supervisor tries again at once.
        workload.write(&driver.state_dir.workload(&self.spec.name))
    }

    fn applied(&self, driver: &Driver, id: &RevisionId, secret: &[u8]) -> Result<Applied> {
        let since = driver.env.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let applied_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let secrets = if self.spec.secrets.is_empty() {
            None
        } else {
            let Some(folder) = driver.secrets_of(&self.spec.name) else {
                let message = "this machine has no folder in memory for the values of secrets; \
                               name a folder with ProcessBuilder::secrets_folder";
                return Err(Error::unsupported(message));
            };
            let file = folder.join(format!("{id}.json"));
            Some(KeptSecrets { digest: self.secrets.keyed_digest(secret), file })
        };
        Ok(Applied { id: id.clone(), applied_ms, spec: self.spec.clone(), secrets })
    }

    fn keep_secrets(&self, driver: &Driver, kept: &KeptSecrets) -> Result<()> {
        let (workload, parent) = (kept.file.parent(), kept.file.ancestors().nth(2));
        for folder in [driver.secrets.as_deref(), parent, workload].into_iter().flatten() {
            own_folder(folder)?;
        }
        write_values(&kept.file, &self.secrets)
    }

    /// Makes a workload that appears whole.
    fn create(&self, driver: &Driver, workload: &mut Workload) -> Result<()> {
        let folder = driver.state_dir.workload(&self.spec.name);
        let temporary = driver.state_dir.workloads().join(format!(".new-{:016x}", driver.env.random()));
        create_folder(&temporary)?;
        workload.write(&temporary)?;
        fs::rename(&temporary, &folder).map_err(|error| failed("the workload cannot be made", &folder, error))?;
        sync_folder(&folder)
    }
}

/// Starts a supervisor if none is alive.
fn summon(driver: &Driver) -> Result<()> {
    let summoned = driver.summoner.ensure(&driver.state_dir, driver.env.uptime());
    summoned.map(drop).map_err(|error| error.with_effect(Effect::Unknown))
}

pub(super) fn scale(driver: &Driver, lock: File, name: &str, replicas: u32) -> Result<()> {
    change(driver, &lock, name, |workload| workload.desired = replicas)?.ok_or_else(|| absent(name))?;
    drop(lock);
    summon(driver)
}

pub(super) fn delete(driver: &Driver, lock: File, name: &str) -> Result<()> {
    if change(driver, &lock, name, |workload| workload.deleted = true)?.is_some() {
        drop(lock);
        return summon(driver);
    }
    // A driver that was killed may have written values for a workload that it never made. A name
    // that cannot be one of a folder has none.
    match driver.secrets_of(name).filter(|_| is_name(name)) {
        Some(folder) => wipe_all(&folder),
        None => Ok(()),
    }
}

/// Changes a workload under the lock of the state; `None` if there is none.
fn change(driver: &Driver, _: &File, name: &str, change: impl FnOnce(&mut Workload)) -> Result<Option<()>> {
    let Some(mut workload) = read(driver, name)? else { return Ok(None) };
    let before = workload.clone();
    change(&mut workload);
    if workload != before {
        workload.write(&driver.state_dir.workload(name))?;
    }
    Ok(Some(()))
}
