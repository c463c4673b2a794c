//! What a plan finds at both sides.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::data_set::Side;
use lepton_core::deployment::{Finding, Severity};
use lepton_core::resolver::Resolver;
use lepton_core::traffic::Route;
use lepton_core::{Error, ListRequest, Location, Result};

use super::{Plan, PlannedData, PlannedWorkload};
use crate::spec::{DataSetSpec, MigrationSpec, WorkloadEntry, WritersSpec};

impl Plan {
    pub(super) async fn look_at_route(&mut self, spec: &MigrationSpec, resolver: &Arc<dyn Resolver>) {
        let traffic = match resolver.traffic(&spec.traffic.url).await {
            Ok(traffic) => traffic,
            Err(error) => return self.cannot("route", &error),
        };
        if !traffic.capabilities().hold || !traffic.capabilities().owner {
            let message = "it cannot hold requests back, or has no register of who owns the writes";
            self.finds(Severity::Error, "route", message, "put the router in front of it");
        }
        match traffic.get().await {
            Ok(route) => self.look_at_state_of(&route),
            Err(error) => self.cannot("route", &error),
        }
    }

    fn look_at_state_of(&mut self, route: &Route) {
        if let Some(hold) = &route.hold {
            let message = format!("it holds requests back already, in the fence of epoch {}", hold.epoch);
            let remedy = "wait until the other migration has ended the hold, or until the hold ends by itself";
            self.finds(Severity::Error, "route", message, remedy);
        }
        if route.owner == Side::B {
            self.finds(Severity::Error, "route", "side B owns the writes already", "exchange the sides");
        } else if route.a.is_empty() {
            let remedy = "add the application's replicas at side A";
            self.finds(Severity::Warning, "route", "side A has no backend in it", remedy);
        }
    }

    pub(super) async fn look_at_data(&mut self, spec: &MigrationSpec, resolver: &Arc<dyn Resolver>) {
        for set in &spec.data_sets {
            let subject = format!("data set {}", set.name);
            match count(set, resolver).await {
                Ok(data) => {
                    if data.objects == 0 && !set.may_be_empty {
                        let message = format!("side A has no objects in {}", data.from);
                        let remedy = "correct the address; if it is right, set `may_be_empty`, without which the \
                                      comparison of an empty data set does not pass";
                        self.finds(Severity::Warning, &subject, message, remedy);
                    }
                    self.data_sets.push(data);
                }
                Err(error) => self.cannot(&subject, &error),
            }
            if let WritersSpec::Command { a, b, .. } = &set.writers {
                for url in [a, b] {
                    if let Err(error) = resolver.storage(url).await {
                        self.cannot(&format!("{subject}, the application's credentials"), &error);
                    }
                }
            }
        }
    }

    /// Looks whether the workloads that the specification names at side A exist.
    pub(super) async fn look_at_side_a(&mut self, spec: &MigrationSpec, resolver: &Arc<dyn Resolver>) {
        for set in &spec.data_sets {
            let WritersSpec::Scale { a, b } = &set.writers else { continue };
            let subject = format!("data set {}, the workload {} that writes", set.name, a.workload);
            self.look_for(&subject, &a.deployment, &a.workload, resolver).await;
            // That of side B may be created by the migration, after the switch.
            let subject = format!("data set {}, the workload {} that writes", set.name, b.workload);
            if !spec.workloads.iter().any(|entry| entry.is(&b.deployment, &b.workload)) {
                self.look_for(&subject, &b.deployment, &b.workload, resolver).await;
            } else if let Err(error) = observed(&b.deployment, &b.workload, resolver).await {
                self.cannot(&subject, &error);
            }
        }
        for owned in &spec.decommission {
            let subject = format!("decommission, the workload {}", owned.workload);
            self.look_for(&subject, &owned.deployment, &owned.workload, resolver).await;
        }
    }

    async fn look_for(&mut self, subject: &str, deployment: &str, workload: &str, resolver: &Arc<dyn Resolver>) {
        match observed(deployment, workload, resolver).await {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("{deployment} has no workload of this name");
                self.finds(Severity::Error, subject, message, "correct the name or the place");
            }
            Err(error) => self.cannot(subject, &error),
        }
    }

    pub(super) async fn look_at_workloads(&mut self, order: &[&WorkloadEntry], resolver: &Arc<dyn Resolver>) {
        for entry in order {
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
                Ok::<_, Error>((findings, place.plan(&entry.spec, &secrets).await?))
            };
            match looked.await {
                Ok((findings, change)) => {
                    self.findings.extend(findings);
                    workload.change = Some(change);
                }
                Err(error) => self.cannot(&format!("workload {}", entry.name()), &error),
            }
            self.workloads.push(workload);
        }
    }

    fn cannot(&mut self, subject: &str, error: &Error) {
        self.finds(Severity::Error, subject, error.to_string(), "correct it, then plan again");
    }

    fn finds(&mut self, severity: Severity, subject: &str, message: impl Into<String>, remedy: &str) {
        self.findings.push(Finding::new(severity, subject, message, remedy));
    }
}

/// Whether the workload exists.
async fn observed(deployment: &str, workload: &str, resolver: &Arc<dyn Resolver>) -> Result<bool> {
    Ok(resolver.deployment(deployment).await?.observe(workload).await?.is_some())
}

/// Counts the objects at side A.
async fn count(set: &DataSetSpec, resolver: &Arc<dyn Resolver>) -> Result<PlannedData> {
    let (from, to) = (resolver.storage(&set.a).await?, resolver.storage(&set.b).await?);
    let (mut objects, mut bytes) = (0, 0);
    let mut pages = from.storage().list(ListRequest::new().prefix(from.folder().clone()));
    while let Some(page) = pages.try_next().await? {
        objects += page.objects.len() as u64;
        bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
    }
    let shown = |place: &Location| format!("{} {}", place.storage().url(), place.folder()).trim_end().to_owned();
    Ok(PlannedData { name: set.name.clone(), from: shown(&from), to: shown(&to), objects, bytes })
}
