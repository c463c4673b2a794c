//! How the application's writers are made to stop, as the specification says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lepton_core::data_set::{Quiesced, Side};
use lepton_core::deployment::{Deployment, Observation};
use lepton_core::resolver::{ProgramRun, Resolver};
use lepton_core::{Error, ErrorKind, Result, RetryClass, SharedRuntime};

use crate::objects::{AssumeRouterOnly, Quiesce, StoreQuiesce};
use crate::spec::{ScaleSpec, WritersSpec};

/// The pause between two looks at a workload that is scaled.
const LOOK: Duration = Duration::from_millis(100);
/// How long a workload may take to end.
const LONGEST: Duration = Duration::from_secs(120);

pub(super) async fn writers(
    spec: &WritersSpec,
    resolver: &Arc<dyn Resolver>,
    env: &SharedRuntime,
) -> Result<Arc<dyn Quiesce>> {
    Ok(match spec {
        WritersSpec::RouterOnly => Arc::new(AssumeRouterOnly),
        WritersSpec::Command { command, timeout, a, b } => {
            let (a, b) = (resolver.storage(a).await?, resolver.storage(b).await?);
            let (resolver, command, timeout) = (Arc::clone(resolver), command.clone(), *timeout);
            let switch = move |side: Side, deny: bool, epoch: u64| {
                let variables = [
                    ("LEPTON_SIDE", if side == Side::A { "a".to_owned() } else { "b".to_owned() }),
                    ("LEPTON_WRITES", if deny { "deny".to_owned() } else { "allow".to_owned() }),
                    ("LEPTON_EPOCH", epoch.to_string()),
                ];
                let program = ProgramRun::new(command.clone(), timeout);
                let program = program.env(variables.map(|(name, value)| (name.to_owned(), value)));
                let resolver = Arc::clone(&resolver);
                async move { resolver.run(program).await }
            };
            Arc::new(StoreQuiesce::new(switch, a, b))
        }
        WritersSpec::Scale { a, b } => {
            let (at_a, at_b) = (resolver.deployment(&a.deployment).await?, resolver.deployment(&b.deployment).await?);
            Arc::new(ScaleQuiesce { sides: [(at_a, a.clone()), (at_b, b.clone())], env: env.clone() })
        }
    })
}

/// The workload that writes is scaled to 0; the proof is that none of its replicas is left.
#[derive(Debug)]
struct ScaleQuiesce {
    sides: [(Arc<dyn Deployment>, ScaleSpec); 2],
    env: SharedRuntime,
}

#[async_trait]
impl Quiesce for ScaleQuiesce {
    async fn quiesce(&self, side: Side, deny: bool, _: u64) -> Result<Quiesced> {
        let (place, spec) = &self.sides[side as usize];
        let name = &spec.workload;
        match place.scale(name, if deny { 0 } else { spec.replicas }).await {
            // The writer of side B may start only after the switch. That of side A must exist: a
            // name that is wrong proves nothing.
            Err(error) if error.kind() == ErrorKind::NotFound && side == Side::B => {
                return Ok(match deny {
                    true => Quiesced::Proven(format!("there is no workload {name}")),
                    false => Quiesced::Lifted,
                });
            }
            scaled => scaled?,
        }
        if deny {
            self.wait_until_stopped(&**place, name).await?;
            return Ok(Quiesced::Proven(format!("the workload {name} has no replica")));
        }
        // Users' requests are held meanwhile: they do not wait for a job that starts.
        Ok(Quiesced::Lifted)
    }
}

impl ScaleQuiesce {
    async fn wait_until_stopped(&self, place: &dyn Deployment, name: &str) -> Result<()> {
        let begun = self.env.uptime();
        while place.observe(name).await?.is_some_and(|seen| !no_replica(&seen)) {
            if self.env.uptime().saturating_sub(begun) > LONGEST {
                let message = format!("the workload {name} still has replicas after {LONGEST:?}");
                return Err(Error::new(ErrorKind::PreconditionFailed, message).with_retry(RetryClass::Never));
            }
            self.env.sleep(LOOK).await;
        }
        Ok(())
    }
}

fn no_replica(seen: &Observation) -> bool {
    seen.desired == 0 && seen.updated == 0 && seen.outdated == 0 && seen.endpoints.is_empty()
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;
    use lepton_core::deployment::{MemoryDeployment, OperationKey, Secrets, WorkloadSpec};

    use super::*;

    fn scale(workload: &str) -> ScaleSpec {
        let json = serde_json::json!({ "deployment": "memory:", "workload": workload, "replicas": 2 });
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test]
    async fn a_writer_is_scaled_and_only_that_of_side_b_may_be_absent() {
        let env = SystemRuntime::shared();
        let place = Arc::new(MemoryDeployment::new(env.clone()));
        let mut spec = WorkloadSpec::of_command("printer", ["printer"]);
        spec.replicas = 2;
        place.apply(&spec, &Secrets::new(), &OperationKey::new("before", "deploy", "1")).await.unwrap();
        let sides = |a: &str| -> [(Arc<dyn Deployment>, ScaleSpec); 2] {
            [(place.clone(), scale(a)), (place.clone(), scale("other"))]
        };
        let quiesce = ScaleQuiesce { sides: sides("printer"), env: env.clone() };
        assert!(matches!(quiesce.quiesce(Side::A, true, 1).await.unwrap(), Quiesced::Proven(_)));
        assert_eq!(quiesce.quiesce(Side::A, false, 1).await.unwrap(), Quiesced::Lifted);
        let seen = place.observe("printer").await.unwrap().unwrap();
        assert_eq!(seen.desired, 2, "{seen:?}");
        assert!(matches!(quiesce.quiesce(Side::B, true, 1).await.unwrap(), Quiesced::Proven(_)));
        assert_eq!(quiesce.quiesce(Side::B, false, 1).await.unwrap(), Quiesced::Lifted);
        let misspelt = ScaleQuiesce { sides: sides("printers"), env };
        for deny in [true, false] {
            assert_eq!(misspelt.quiesce(Side::A, deny, 1).await.unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
}
