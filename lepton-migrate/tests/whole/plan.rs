//! What a plan finds, and a plan that replaces another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::deployment::{Deployment, MemoryDeployment, SecretReference, Secrets};
use lepton_core::migration::{Command, State};
use lepton_core::resolver::{HttpAnswer, HttpRequest, ProgramRun, Resolver};
use lepton_core::traffic::{HoldRequest, MemoryTraffic, Traffic};
use lepton_core::{Error, ErrorKind, Location, MemoryStorage, Result, SharedRuntime, SharedStorage, SystemRuntime};
use lepton_migrate::{Format, MigrationSpec, Plan};

/// Everything in memory, and empty.
#[derive(Debug, Clone)]
struct Surroundings {
    env: SharedRuntime,
    traffic: MemoryTraffic,
}

#[async_trait]
impl Resolver for Surroundings {
    async fn storage(&self, _: &str) -> Result<Location> {
        Ok(Location::from(Arc::new(MemoryStorage::new()) as SharedStorage))
    }

    async fn deployment(&self, _: &str) -> Result<Arc<dyn Deployment>> {
        Ok(Arc::new(MemoryDeployment::new(self.env.clone())))
    }

    async fn traffic(&self, _: &str) -> Result<Arc<dyn Traffic>> {
        Ok(Arc::new(self.traffic.clone()))
    }

    async fn secrets(&self, _: &BTreeMap<String, SecretReference>) -> Result<Secrets> {
        Ok(Secrets::new())
    }

    async fn send(&self, _: HttpRequest) -> Result<HttpAnswer> {
        Err(Error::unsupported("a plan sends nothing"))
    }

    async fn run(&self, _: ProgramRun) -> Result<()> {
        Err(Error::unsupported("a plan runs nothing"))
    }
}

fn spec(set: &str) -> MigrationSpec {
    let text = format!(
        "name = \"shop\"\n[traffic]\nurl = \"router:x\"\n[[data_sets]]\nname = \"{set}\"\na = \"s3://a\"\nb = \"s3://b\"\n\
         [data_sets.writers.scale]\na = {{ deployment = \"process:a\", workload = \"writer\", replicas = 1 }}\n\
         b = {{ deployment = \"process:b\", workload = \"writer\", replicas = 1 }}\n\
         [[decommission]]\ndeployment = \"process:a\"\nworkload = \"shop\"\n\
         [[steps]]\nname = \"dns\"\napply = [\"dns\", \"--token\", \"hunter2\"]\nundo = [\"dns\", \"--token=hunter2\"]\n"
    );
    MigrationSpec::parse(&text, Format::Toml).unwrap()
}

#[tokio::test]
async fn a_plan_finds_what_is_missing_and_shows_no_secret() {
    let env = SystemRuntime::shared();
    let around = Surroundings { env: env.clone(), traffic: MemoryTraffic::new(env) };
    around.traffic.hold(HoldRequest::new(1)).await.unwrap();
    let plan = Plan::of(&spec("items"), &(Arc::new(around) as Arc<dyn Resolver>)).await.unwrap();
    let shown = plan.to_string();
    for text in [
        "it holds requests back already",
        "side A has no objects",
        "data set items, the workload writer that writes: process:a has no workload",
        "data set items, the workload writer that writes: process:b has no workload",
        "decommission, the workload shop: process:a has no workload",
        "run dns --token ***; a rollback runs dns --token=***",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in {shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!plan.is_possible());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_replaces_only_one_that_was_not_approved() {
    let (env, folder) = (SystemRuntime::shared(), tempfile::tempdir().unwrap());
    let propose = |spec: &MigrationSpec| Command::Plan { hash: spec.digest() };
    let (items, others) = (spec("items"), spec("others"));
    assert_eq!(items.record(folder.path(), propose(&items), &env).await.unwrap(), State::Planned);
    assert_eq!(others.record(folder.path(), propose(&others), &env).await.unwrap(), State::Planned);
    assert_eq!(others.state(folder.path()).unwrap().plan(), Some(others.digest().as_str()));
    let approve = Command::Approve { hash: others.digest() };
    assert!(matches!(others.record(folder.path(), approve, &env).await.unwrap(), State::Copying { .. }));
    let error = items.record(folder.path(), propose(&items), &env).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PlanMismatch);
    assert!(matches!(others.state(folder.path()).unwrap().state(), State::Copying { .. }));
}
