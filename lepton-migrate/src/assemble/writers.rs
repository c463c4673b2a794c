//! How the application's writers are made to stop, as the specification says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lepton_core::data_set::{Quiesced, Side};
use lepton_core::deployment::{Deployment, Observation};
use lepton_core::resolver::{ProgramRun, Resolver};
use lepton_core::{Error, ErrorKind, Result, Retry, SystemEnv};

use crate::objects::{AssumeRouterOnly, Quiesce, StoreQuiesce};
use crate::spec::{ScaleSpec, WritersSpec};

/// The pause between two looks at a workload that is scaled.
const LOOK: Duration = Duration::from_millis(100);
/// How long a workload may take to end.
const LONGEST: Duration = Duration::from_secs(120);

pub(super) async fn writers(spec: &WritersSpec, resolver: &Arc<dyn Resolver>) -> Result<Arc<dyn Quiesce>> {
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
            Arc::new(ScaleQuiesce { sides: [(at_a, a.clone()), (at_b, b.clone())] })
        }
    })
}

/// The workload that writes is scaled to 0; the proof is that none of its replicas is left.
#[derive(Debug)]
struct ScaleQuiesce {
    sides: [(Arc<dyn Deployment>, ScaleSpec); 2],
}

#[async_trait]
impl Quiesce for ScaleQuiesce {
    async fn quiesce(&self, side: Side, deny: bool, _: u64) -> Result<Quiesced> {
        let (place, spec) = &self.sides[side as usize];
        let replicas = if deny { 0 } else { spec.replicas };
        match place.scale(&spec.workload, replicas).await {
            // A workload that does not exist yet writes nothing.
            Err(error) if error.kind() == ErrorKind::NotFound && (deny || side == Side::B) => {}
            scaled => scaled?,
        }
        if !deny {
            return Ok(Quiesced::Lifted);
        }
        let env = SystemEnv::shared();
        let begun = env.uptime();
        while let Some(seen) = place.observe(&spec.workload).await? {
            if no_replica(&seen) {
                break;
            }
            if env.uptime().saturating_sub(begun) > LONGEST {
                let message = format!("the workload {} still has replicas after {LONGEST:?}", spec.workload);
                return Err(Error::new(ErrorKind::PreconditionFailed, message).with_retry(Retry::Never));
            }
            env.sleep(LOOK).await;
        }
        Ok(Quiesced::Proven(format!("the workload {} has no replica", spec.workload)))
    }
}

fn no_replica(seen: &Observation) -> bool {
    seen.desired == 0 && seen.updated == 0 && seen.outdated == 0 && seen.endpoints.is_empty()
}
