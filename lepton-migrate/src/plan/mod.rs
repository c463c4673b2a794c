//! What a migration would do, before it does anything.
//!
//! `steps`: what happens in which order; `text` writes a plan for a person.

mod steps;
mod text;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::deployment::{DeploymentPlan, Finding, Severity};
use lepton_core::resolver::Resolver;
use lepton_core::{ListRequest, Result};

use crate::spec::{MigrationSpec, Start, WritersSpec};

/// What a migration would do. Making one changes nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The name of the migration.
    pub name: String,
    /// The hash over everything that matters; approving a plan approves this hash. It is the
    /// [digest](MigrationSpec::digest) of the specification.
    pub hash: String,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// What is copied.
    pub data_sets: Vec<PlannedData>,
    /// What is created at side B, in this order.
    pub workloads: Vec<PlannedWorkload>,
    /// What happens in which order, one line each.
    pub steps: Vec<String>,
    /// What nothing proves.
    pub assumptions: Vec<String>,
}

/// What is copied of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedData {
    /// The name of the data set.
    pub name: String,
    /// The place at side A, without credentials.
    pub from: String,
    /// The place at side B, without credentials.
    pub to: String,
    /// Objects at side A now.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is created of a workload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedWorkload {
    /// The name of the workload.
    pub name: String,
    /// Where it runs.
    pub place: String,
    /// What an apply would do; `None` if the provider cannot be asked.
    pub change: Option<DeploymentPlan>,
    /// When it starts.
    pub start: Start,
}

impl Plan {
    /// Looks at everything that the specification names: lists the data at side A, asks the
    /// providers what an apply would do, and reads the route. Nothing is written.
    ///
    /// What cannot be reached is a finding.
    ///
    /// # Errors
    /// `invalid_input` if the workloads have no order.
    pub async fn of(spec: &MigrationSpec, resolver: &Arc<dyn Resolver>) -> Result<Self> {
        let mut plan = Self {
            name: spec.name.clone(),
            hash: spec.digest(),
            findings: spec.check(),
            data_sets: Vec::new(),
            workloads: Vec::new(),
            steps: steps::steps(spec)?,
            assumptions: steps::assumptions(spec),
        };
        plan.look_at_route(spec, resolver).await;
        for set in &spec.data_sets {
            match count(&set.a, &set.b, resolver).await {
                Ok(mut data) => {
                    data.name.clone_from(&set.name);
                    plan.data_sets.push(data);
                }
                Err(error) => plan.cannot(&format!("data set {}", set.name), &error),
            }
            if let WritersSpec::Command { a, b, .. } = &set.writers {
                for url in [a, b] {
                    if let Err(error) = resolver.storage(url).await {
                        plan.cannot(&format!("data set {}, the application's credentials", set.name), &error);
                    }
                }
            }
        }
        for entry in spec.order()? {
            let mut workload = PlannedWorkload {
                name: entry.name().to_owned(),
                place: entry.deployment.clone(),
                change: None,
                start: entry.start,
            };
            let looked = async {
                let place = resolver.deployment(&entry.deployment).await?;
                let findings = place.preflight(&entry.spec).await?;
                let secrets = resolver.secrets(&entry.spec.secrets).await?;
                Ok::<_, lepton_core::Error>((findings, place.plan(&entry.spec, &secrets).await?))
            };
            match looked.await {
                Ok((findings, change)) => {
                    plan.findings.extend(findings);
                    workload.change = Some(change);
                }
                Err(error) => plan.cannot(&format!("workload {}", entry.name()), &error),
            }
            plan.workloads.push(workload);
        }
        plan.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(plan)
    }

    /// Whether a finding says that the migration cannot work.
    pub fn is_possible(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    async fn look_at_route(&mut self, spec: &MigrationSpec, resolver: &Arc<dyn Resolver>) {
        let traffic = match resolver.traffic(&spec.traffic.url).await {
            Ok(traffic) => traffic,
            Err(error) => return self.cannot("route", &error),
        };
        if !traffic.capabilities().hold || !traffic.capabilities().owner {
            let message = "it cannot hold requests back, or has no register of who owns the writes";
            let remedy = "put the router in front of it";
            self.findings.push(Finding::new(Severity::Error, "route", message, remedy));
        }
        match traffic.get().await {
            Ok(route) if route.owner == lepton_core::data_set::Side::B => {
                let message = "side B owns the writes already";
                self.findings.push(Finding::new(Severity::Error, "route", message, "exchange the sides"));
            }
            Ok(route) if route.a.is_empty() => {
                let message = "side A has no backend in it";
                let remedy = "add the application's replicas at side A";
                self.findings.push(Finding::new(Severity::Warning, "route", message, remedy));
            }
            Ok(_) => {}
            Err(error) => self.cannot("route", &error),
        }
    }

    fn cannot(&mut self, subject: &str, error: &lepton_core::Error) {
        let remedy = "correct it, then plan again";
        self.findings.push(Finding::new(Severity::Error, subject, error.to_string(), remedy));
    }
}

/// Counts the objects at side A.
async fn count(a: &str, b: &str, resolver: &Arc<dyn Resolver>) -> Result<PlannedData> {
    let (from, to) = (resolver.storage(a).await?, resolver.storage(b).await?);
    let (mut objects, mut bytes) = (0, 0);
    let mut pages = from.storage().list(ListRequest::new().prefix(from.folder().clone()));
    while let Some(page) = pages.try_next().await? {
        objects += page.objects.len() as u64;
        bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
    }
    let shown = |place: &lepton_core::Location| format!("{} {}", place.storage().url(), place.folder());
    let (from, to) = (shown(&from).trim_end().to_owned(), shown(&to).trim_end().to_owned());
    Ok(PlannedData { name: String::new(), from, to, objects, bytes })
}
