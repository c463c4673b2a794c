//! The reference of deployments, and the reference with one lie.

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::conformance::deployment::{Options, run};
use lepton_core::deployment::{
    Change, Deployment, DeploymentCapabilities, DeploymentPlan, Finding, LogRequest, LogStream, MemoryDeployment,
    Observation, OperationKey, Revision, RevisionId, Secrets, WorkloadSpec,
};
use lepton_core::{Error, ErrorKind, Result, SystemRuntime};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    None,
    MakesWhatItPlans,
    IgnoresKeys,
    ForgetsKeys,
    TakesFromOthers,
    FindsNothing,
    KeepsNoLog,
    IgnoresScale,
    KeepsTheScale,
    IgnoresSecrets,
    DeletesTooEarly,
    RefusesAbsent,
    AllAtOnce,
}

#[derive(Debug)]
struct Lying {
    inner: MemoryDeployment,
    lie: Lie,
    calls: AtomicU64,
}

impl Lying {
    fn tells(&self, lie: Lie) -> bool {
        self.lie == lie
    }
}

#[async_trait]
impl Deployment for Lying {
    fn capabilities(&self) -> &DeploymentCapabilities {
        self.inner.capabilities()
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    async fn preflight(&self, spec: &WorkloadSpec) -> Result<Vec<Finding>> {
        self.inner.preflight(spec).await
    }

    async fn plan(&self, spec: &WorkloadSpec, secrets: &Secrets) -> Result<DeploymentPlan> {
        let none = Secrets::new();
        let plan = self.inner.plan(spec, if self.tells(Lie::IgnoresSecrets) { &none } else { secrets }).await;
        if self.tells(Lie::MakesWhatItPlans) {
            self.inner.apply(spec, secrets, &OperationKey::new("plan", "plan", "plan")).await?;
        }
        plan
    }

    async fn apply(&self, spec: &WorkloadSpec, secrets: &Secrets, key: &OperationKey) -> Result<RevisionId> {
        let (mut spec, mut key, mut secrets) = (spec.clone(), key.clone(), secrets);
        let none = Secrets::new();
        match self.lie {
            Lie::IgnoresKeys => {
                let call = self.calls.fetch_add(1, Relaxed).to_string();
                spec.labels.insert("call".into(), call.clone());
                key.key = call;
            }
            Lie::TakesFromOthers => key = OperationKey::new("everybody", key.step, key.owner + &key.key),
            Lie::ForgetsKeys if self.inner.plan(&spec, secrets).await?.change == Change::Unchanged => {
                key.key = format!("forgotten {}", self.calls.fetch_add(1, Relaxed));
            }
            Lie::KeepsTheScale => {
                let seen = self.inner.observe(&spec.name).await?;
                spec.replicas = seen.map_or(spec.replicas, |seen| seen.desired);
            }
            Lie::IgnoresSecrets => secrets = &none,
            Lie::AllAtOnce => self.inner.delete(&spec.name).await?,
            _ => {}
        }
        while self.tells(Lie::AllAtOnce) && self.inner.observe(&spec.name).await?.is_some() {}
        self.inner.apply(&spec, secrets, &key).await
    }

    async fn observe(&self, name: &str) -> Result<Option<Observation>> {
        let seen = self.inner.observe(name).await?;
        Ok(seen.filter(|seen| !(self.tells(Lie::DeletesTooEarly) && seen.desired == 0)))
    }

    async fn revisions(&self, name: &str) -> Result<Vec<Revision>> {
        self.inner.revisions(name).await
    }

    async fn scale(&self, name: &str, replicas: u32) -> Result<()> {
        if self.tells(Lie::IgnoresScale) { Ok(()) } else { self.inner.scale(name, replicas).await }
    }

    fn logs(&self, name: &str, request: LogRequest) -> LogStream {
        if self.tells(Lie::KeepsNoLog) { stream::empty().boxed() } else { self.inner.logs(name, request) }
    }

    async fn delete(&self, name: &str) -> Result<()> {
        if self.tells(Lie::RefusesAbsent) && self.inner.observe(name).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "there is no such workload"));
        }
        self.inner.delete(name).await
    }

    async fn find(&self, owner: &str) -> Result<Vec<String>> {
        if self.tells(Lie::FindsNothing) { Ok(Vec::new()) } else { self.inner.find(owner).await }
    }
}

#[tokio::test]
async fn the_reference_passes_and_each_lie_is_found() {
    for (lie, found) in [
        (Lie::None, ""),
        (Lie::MakesWhatItPlans, "what_is_asked_is_not_done"),
        (Lie::IgnoresKeys, "the_same_key_has_one_effect"),
        (Lie::ForgetsKeys, "a_key_that_changed_nothing_is_remembered"),
        (Lie::KeepsTheScale, "an_apply_restores_the_number_of_replicas"),
        (Lie::TakesFromOthers, "what_another_owns_is_left_alone"),
        (Lie::FindsNothing, "an_owner_finds_what_it_made"),
        (Lie::KeepsNoLog, "logs_are_kept"),
        (Lie::IgnoresScale, "the_number_of_replicas_changes"),
        (Lie::IgnoresSecrets, "a_changed_secret_is_a_change"),
        (Lie::DeletesTooEarly, "a_workload_of_no_replicas_is_ready"),
        (Lie::RefusesAbsent, "an_absent_workload_is_deleted"),
        (Lie::AllAtOnce, "an_update_keeps_enough_replicas"),
    ] {
        let env = SystemRuntime::shared();
        let mut runs = WorkloadSpec::of_command("conformance", ["/usr/bin/sleep", "1000"]);
        runs.ports = vec![serde_json::from_str(r#"{"name":"http","containerPort":0}"#).unwrap()];
        let fails = WorkloadSpec::of_command("conformance", ["/usr/bin/false"]);
        let lying = Lying { inner: MemoryDeployment::new(env.clone()), lie, calls: AtomicU64::new(0) };
        let options = Options::new(env, runs, fails).deadline(std::time::Duration::from_secs(2));
        let report = run(&lying, options).await;
        let failed = super::failed(&report);
        assert!(if lie == Lie::None { failed.is_empty() } else { failed.contains(&found) }, "{lie:?}: {report}");
    }
}

#[tokio::test]
async fn what_a_provider_cannot_do_is_not_applicable() {
    let env = SystemRuntime::shared();
    let runs = WorkloadSpec::of_command("conformance", ["/usr/bin/sleep", "1000"]);
    let fails = WorkloadSpec::of_command("conformance", ["/usr/bin/false"]);
    let reference = MemoryDeployment::new(env.clone());
    let report = run(&reference, Options::new(env, runs, fails).only("an_update_keeps_enough_replicas")).await;
    assert_eq!(
        (report.passed(), report.failures().count()),
        (0, 0),
        "a workload without ports shows nothing: {report}"
    );
}
