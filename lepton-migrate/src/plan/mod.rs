//! What a migration would do, before it does anything.
//!
//! `look`: what is found at both sides; `steps`: what happens in which order; `text` writes a plan
//! for a person.

mod look;
mod steps;
mod text;

use std::sync::Arc;

use lepton_core::Result;
use lepton_core::deployment::{DeploymentPlan, Finding, Severity};
use lepton_core::resolver::Resolver;

use crate::spec::{MigrationSpec, Start};

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
        plan.look_at_data(spec, resolver).await;
        plan.look_at_side_a(spec, resolver).await;
        plan.look_at_workloads(&spec.order()?, resolver).await;
        plan.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(plan)
    }

    /// Whether a finding says that the migration cannot work.
    pub fn is_possible(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}
