//! A state folder whose processes are ended when the test ends, and what the tests do there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lepton_core::deployment::{
    Deployment as _, Observation, OperationKey, Port, Probe, RevisionId, Secrets, WaitOptions, WorkloadSpec,
    wait_until_absent, wait_until_ready,
};
use lepton_core::{Result, SystemRuntime};
use lepton_providers::process::{ProcessBuilder, ProcessDeployment};
use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for anything; a limit, not an expectation.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const OWNER: &str = "migration-7";

pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) deployment: ProcessDeployment,
}

/// A process of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) replica: String,
    pub(crate) pid: i32,
    /// Whether it has not become the replica yet, and perhaps never will.
    pub(crate) launches: bool,
}

pub(crate) fn program(mode: &str) -> WorkloadSpec {
    let own = std::env::current_exe().unwrap().display().to_string();
    let mut spec = WorkloadSpec::of_command("shop", [own.as_str(), "program", mode]);
    spec.termination_grace_period_seconds = 20;
    spec
}

/// A probe that is asked every second, and waits long for an answer of a machine that is busy.
pub(crate) fn patient(mut probe: Probe) -> Probe {
    probe.timeout_seconds = 30;
    probe.period_seconds(1)
}

/// A workload that is ready when it answers.
pub(crate) fn serve() -> WorkloadSpec {
    let mut spec = program("serve");
    spec.ports = vec![Port { name: "http".into(), container_port: 0 }];
    spec.readiness_probe = Some(patient(Probe::http("/ready", "http")));
    spec
}

pub(crate) fn key(key: &str) -> OperationKey {
    OperationKey::new(OWNER, "deploy", key)
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(ProcessBuilder) -> ProcessBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = builder(folder.path().join("state"));
        let deployment = change(builder).open().await.unwrap();
        Self { folder, deployment }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder().join(below)
    }

    pub(crate) async fn apply(&self, spec: &WorkloadSpec, number: &str) -> Result<RevisionId> {
        self.deployment.apply(spec, &Secrets::new(), &key(number)).await
    }

    pub(crate) async fn observe(&self) -> Observation {
        self.deployment.observe("shop").await.unwrap().expect("the workload is there")
    }

    pub(crate) async fn ready(&self, revision: &RevisionId) -> Observation {
        let wait = WaitOptions::new().deadline(LONG).period(Duration::from_millis(20)).restarts(1000);
        wait_until_ready(&self.deployment, "shop", revision, &wait, &*SystemRuntime::shared(), |_| {}).await.unwrap()
    }

    pub(crate) async fn gone(&self) {
        let wait = WaitOptions::new().deadline(LONG).period(Duration::from_millis(20));
        wait_until_absent(&self.deployment, "shop", &wait, &*SystemRuntime::shared()).await.unwrap();
        assert_eq!(self.processes(), [], "processes are left of a workload that is gone");
    }

    /// Waits until an observation is as it should be.
    pub(crate) async fn until(&self, what: &str, as_wanted: impl Fn(&Observation) -> bool) -> Observation {
        let start = Instant::now();
        loop {
            let seen = self.observe().await;
            if as_wanted(&seen) {
                return seen;
            }
            assert!(start.elapsed() < LONG, "{what}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the supervisor has wiped something.
    pub(crate) async fn until_wiped(&self, wiped: impl Fn() -> bool) {
        self.until("an older value is wiped", |_| wiped()).await;
    }

    /// Waits until the processes are as they should be.
    pub(crate) async fn until_processes(&self, what: &str, as_wanted: impl Fn(&[Found]) -> bool) -> Vec<Found> {
        let start = Instant::now();
        loop {
            let found = self.processes();
            if as_wanted(&found) {
                return found;
            }
            assert!(start.elapsed() < LONG, "{what}: {found:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The living processes with the markers of this place.
    pub(crate) fn processes(&self) -> Vec<Found> {
        let Some(id) = self.json("place.json").and_then(|place| Some(place["id"].as_str()?.to_owned())) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            let variable = |name: &str| environment.split('\0').find_map(|entry| entry.strip_prefix(name));
            if variable("LEPTON_PLACE=") == Some(&id) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let launches = String::from_utf8_lossy(&line).contains("lepton-launch");
                found.push(Found {
                    replica: variable("LEPTON_REPLICA=").unwrap_or_default().to_owned(),
                    pid,
                    launches,
                });
            }
        }
        found.sort();
        found
    }

    /// The replicas that have a living process.
    pub(crate) fn replicas(&self) -> BTreeSet<String> {
        self.processes().into_iter().map(|found| found.replica).collect()
    }

    pub(crate) fn json(&self, below: &str) -> Option<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(self.path(below)).ok()?).ok()
    }

    /// The process of the supervisor, if there is one.
    pub(crate) fn supervisor(&self) -> Option<i32> {
        let pid = self.json("supervisor.json")?["pid"].as_i64()?;
        let pid = i32::try_from(pid).ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let own = self.folder().canonicalize().ok()?.display().to_string();
        String::from_utf8_lossy(&line).contains(&own).then_some(pid)
    }

    pub(crate) fn kill_supervisor(&self) {
        if let Some(pid) = self.supervisor() {
            kill(pid);
        }
    }
}

pub(crate) fn builder(folder: PathBuf) -> ProcessBuilder {
    ProcessDeployment::builder(folder).restart_delay(Duration::from_millis(50)).settle(Duration::from_millis(300))
}

pub(crate) fn kill(pid: i32) {
    send(pid, Signal::KILL);
}

pub(crate) fn send(pid: i32, signal: Signal) {
    // It may be gone.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

impl Drop for Place {
    fn drop(&mut self) {
        // A supervisor that is being started could be missed once.
        for _ in 0..3 {
            self.kill_supervisor();
            self.processes().iter().for_each(|found| kill(found.pid));
            if self.supervisor().is_none() && self.processes().is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
