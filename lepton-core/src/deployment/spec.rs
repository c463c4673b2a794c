//! What is to run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::invalid::wrong;
use super::probe::Probe;
use super::secret::SecretReference;
use crate::Result;

/// A workload: replicas of one program. The names of the fields in a file are those of
/// Kubernetes; values of secrets are never part of it.
///
/// ```
/// use lepton_core::deployment::WorkloadSpec;
///
/// let spec: WorkloadSpec = serde_json::from_str(
///     r#"{
///         "name": "shop",
///         "command": ["/usr/bin/shop", "--serve"],
///         "replicas": 2,
///         "ports": [{ "name": "http", "containerPort": 0 }],
///         "env": { "BUCKET": "s3://shop" },
///         "secrets": { "AWS_SECRET_ACCESS_KEY": "env:SHOP_SECRET" },
///         "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" } }
///     }"#,
/// )?;
/// spec.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkloadSpec {
    /// The name: 1 to 63 lower-case letters, digits and hyphens, as Kubernetes demands.
    pub name: String,
    /// The container image, such as `registry.example.com/shop:1.4`. Without it, `command` is a
    /// program on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The digest that the image must resolve to: `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The program, then its first arguments; no shell reads them. In an image it replaces the
    /// image's own entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The arguments after `command`, or after the image's own entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The number of replicas.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The ports on which it listens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Variables of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables of the environment whose values are secret, by reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretReference>,
    /// The processor time and memory of a replica.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Until it succeeds the other probes do not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// While it fails the replica gets no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// When it fails the replica is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Seconds between the end of new traffic to a replica and its termination signal.
    #[serde(default)]
    pub pre_stop_seconds: u32,
    /// Seconds between the termination signal and the kill.
    #[serde(default = "thirty")]
    pub termination_grace_period_seconds: u32,
    /// How a new revision replaces the old one.
    #[serde(default)]
    pub strategy: UpdateStrategy,
    /// Folders that outlive a replica.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Labels. Those that begin with `lepton/` belong to Lepton.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What only one provider knows, by the provider's name, in the provider's own form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overlay: BTreeMap<String, serde_json::Value>,
}

/// A port on which a workload listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// The name, by which probes and routes refer to it.
    pub name: String,
    /// The number. 0 lets the provider choose one for each replica, which the replica finds in
    /// the variable `PORT_<NAME>`, and for the first port also in `PORT`.
    pub container_port: u16,
}

/// The processor time and memory of a replica, as Kubernetes writes quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Resources {
    /// Processors: `2`, `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Bytes of memory: `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

impl Resources {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a new revision replaces the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum UpdateStrategy {
    /// Replica by replica: the new one is ready before the old one ends.
    RollingUpdate {
        /// How many replicas may run beyond the wanted number.
        #[serde(default = "one")]
        max_surge: u32,
        /// How many replicas may be missing from the wanted number.
        #[serde(default)]
        max_unavailable: u32,
    },
    /// All old replicas end before the first new one starts.
    Recreate,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self::RollingUpdate { max_surge: 1, max_unavailable: 0 }
    }
}

/// A folder that outlives a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// The name, unique in the workload.
    pub name: String,
    /// Where the workload sees it.
    pub mount_path: String,
}

fn one() -> u32 {
    1
}

fn thirty() -> u32 {
    30
}

impl WorkloadSpec {
    /// A workload with one replica, no image and no command, and the defaults of a file.
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: None,
            digest: None,
            command: Vec::new(),
            args: Vec::new(),
            replicas: one(),
            ports: Vec::new(),
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            resources: Resources::default(),
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            pre_stop_seconds: 0,
            termination_grace_period_seconds: thirty(),
            strategy: UpdateStrategy::default(),
            volumes: Vec::new(),
            labels: BTreeMap::new(),
            overlay: BTreeMap::new(),
        }
    }

    /// A workload with one replica of this program with these arguments.
    pub fn of_command(name: impl Into<String>, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), ..Self::new(name) }
    }

    /// A workload with one replica of this image.
    pub fn of_image(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self { image: Some(image.into()), ..Self::new(name) }
    }

    /// Checks what every provider demands.
    ///
    /// # Errors
    /// `invalid_input`, naming the field, the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        self.check_artifact()?;
        let mut names = BTreeSet::new();
        for port in &self.ports {
            check_name("ports.name", &port.name)?;
            if !names.insert(&port.name) {
                return Err(wrong("ports.name", &port.name, "a name that no other port has"));
            }
        }
        for name in self.env.keys().chain(self.secrets.keys()) {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(wrong("env", name, "a name without `=`"));
            }
        }
        if let Some(name) = self.secrets.keys().find(|name| self.env.contains_key(*name)) {
            return Err(wrong("secrets", name, "a name that `env` does not have too"));
        }
        if let Some(name) = self.labels.keys().find(|name| name.starts_with("lepton/")) {
            return Err(wrong("labels", name, "a label that does not begin with `lepton/`"));
        }
        if let UpdateStrategy::RollingUpdate { max_surge: 0, max_unavailable: 0 } = self.strategy {
            return Err(wrong("strategy", "0 and 0", "`maxSurge` or `maxUnavailable` above 0"));
        }
        for probe in [&self.startup_probe, &self.readiness_probe, &self.liveness_probe].into_iter().flatten() {
            probe.check(|port| self.ports.iter().any(|known| known.name == port))?;
        }
        Ok(())
    }

    fn check_artifact(&self) -> Result<()> {
        match (&self.image, &self.digest) {
            (Some(image), _) if image.is_empty() => Err(wrong("image", "", "a reference to an image")),
            (Some(_), Some(digest)) if !is_digest(digest) => {
                Err(wrong("digest", digest, "`sha256:` and 64 hexadecimal digits"))
            }
            (None, Some(digest)) => Err(wrong("digest", digest, "absent where there is no `image`")),
            (None, None) if self.command.first().is_none_or(String::is_empty) => {
                Err(wrong("command", "", "a program and its arguments where there is no `image`"))
            }
            _ => Ok(()),
        }
    }
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn check_name(field: &str, name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = |name: &str| name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(allowed) || ends(name) {
        return Err(wrong(field, name, "1 to 63 lower-case letters, digits and inner hyphens"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut WorkloadSpec)) -> String {
        let mut spec = WorkloadSpec::of_command("shop", ["/bin/shop"]);
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused(|spec| spec.name = "Shop".into()).contains("name of the workload is \"Shop\""));
        assert!(refused(|spec| spec.command.clear()).contains("command"));
        let port = || Port { name: "http".into(), container_port: 0 };
        assert!(refused(|spec| spec.ports = vec![port(), port()]).contains("no other port"));
        assert!(refused(|spec| drop(spec.labels.insert("lepton/key".into(), "1".into()))).contains("lepton/"));
        assert!(
            refused(|spec| spec.strategy = UpdateStrategy::RollingUpdate { max_surge: 0, max_unavailable: 0 })
                .contains("maxSurge")
        );
        let digest = Some("sha256:12".to_owned());
        assert!(refused(|spec| (spec.image, spec.digest) = (Some("shop:1".into()), digest)).contains("64 hexadecimal"));
    }

    #[test]
    fn a_file_has_the_names_of_kubernetes_and_unknown_ones_are_refused() {
        let text = r#"{"name":"shop","image":"shop:1","terminationGracePeriodSeconds":5,
            "strategy":{"type":"Recreate"},"readinessProbe":{"tcpSocket":{"port":"http"},"periodSeconds":1},
            "ports":[{"name":"http","containerPort":80}]}"#;
        let spec: WorkloadSpec = serde_json::from_str(text).unwrap();
        spec.check().unwrap();
        assert_eq!((spec.replicas, spec.termination_grace_period_seconds), (1, 5));
        let written = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<WorkloadSpec>(&written).unwrap(), spec);
        let unknown = r#"{"name":"shop","command":["x"],"replica":2}"#;
        assert!(serde_json::from_str::<WorkloadSpec>(unknown).is_err());
    }
}
