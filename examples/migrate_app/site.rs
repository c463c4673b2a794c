//! Where everything is: one folder, in which the processes find each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lepton::core::SystemRuntime;
use lepton::core::data_set::Side;
use lepton::core::deployment::{Port, Probe, Secrets, WorkloadSpec};
use lepton::core::traffic::{Route, Traffic as _};
use lepton::providers::process::ProcessDeployment;
use lepton::providers::router::{RouterConfig, RouterTraffic};
use lepton::providers::s3::{Credentials, S3Config, S3Storage};
use lepton::{Error, Location, Result};

/// The credentials of the migration, which always may write.
pub(crate) const LEPTON: (&str, &str) = ("lepton", "secret-of-the-migration");
/// The credentials of the application, which a policy can deny to write.
pub(crate) const APP: (&str, &str) = ("application", "secret-of-the-application");
pub(crate) const BUCKET: &str = "shop";
pub(crate) const WORKLOAD: &str = "shop";

/// What can differ in the specification of the migration.
#[derive(Args, Debug, Clone)]
pub(crate) struct Terms {
    /// How long the driver may be silent in a fence, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) silence: u64,
    /// How many fences in a row may be given up.
    #[arg(long, default_value_t = 3)]
    pub(crate) fences: u32,
    /// The policy of side A is never changed: its job still writes in the fence.
    #[arg(long)]
    pub(crate) policy_of_b_only: bool,
    /// Each fence is started by a command.
    #[arg(long)]
    pub(crate) cut_over_by_command: bool,
}

/// The folder of a demonstration.
#[derive(Debug, Clone)]
pub(crate) struct Site(PathBuf);

impl Site {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file whose presence denies the application to write at a side.
    pub(crate) fn policy(&self, side: Side) -> PathBuf {
        self.at(&format!("cloud-{}.deny", letter(side)))
    }

    pub(crate) fn address_file(&self, name: &str) -> PathBuf {
        self.at(&format!("{name}.address"))
    }

    /// The address that a process has published, once it has.
    pub(crate) async fn address(&self, name: &str) -> Result<String> {
        let path = self.address_file(name);
        for _ in 0..1000 {
            if let Ok(address) = std::fs::read_to_string(&path) {
                return Ok(address);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Error::invalid_input(format!("{name} has not started; its output is in {}", self.0.display())))
    }

    /// Publishes an address as a whole, so that nobody reads half of it.
    pub(crate) fn publish(&self, name: &str, address: &str) -> Result<()> {
        let path = self.address_file(name);
        let failed = |error| Error::io("cannot publish the address", error);
        let part = path.with_extension("part");
        std::fs::write(&part, address).map_err(failed)?;
        std::fs::rename(&part, &path).map_err(failed)
    }

    /// How often the router was killed, and was started again since.
    pub(crate) fn router_restarts(&self) -> Restarts {
        let number = |name: &str| {
            let text = std::fs::read_to_string(self.at(name)).unwrap_or_default();
            text.parse().unwrap_or_default()
        };
        Restarts { killed: number("router.killed"), settled: number("router.settled") }
    }

    /// Publishes that the router is about to be killed.
    pub(crate) fn router_is_killed(&self) -> Result<()> {
        self.count("router.killed", self.router_restarts().killed + 1)
    }

    /// Publishes that the router serves everything again.
    pub(crate) fn router_is_settled(&self) -> Result<()> {
        self.count("router.settled", self.router_restarts().killed)
    }

    fn count(&self, name: &str, number: u64) -> Result<()> {
        let (path, part) = (self.at(name), self.at(&format!("{name}.part")));
        let counted = std::fs::write(&part, number.to_string()).and_then(|()| std::fs::rename(&part, &path));
        counted.map_err(|error| Error::io("cannot count the restarts of the router", error))
    }

    /// The URL of the application's data at a side.
    pub(crate) async fn url(&self, side: Side) -> Result<String> {
        let address = self.address(&cloud(side)).await?;
        Ok(format!("s3://{BUCKET}/items/?endpoint=http://{address}&region=us-east-1&preset=aws"))
    }

    /// Writes the credentials of the migration and of the application as profiles of the AWS tools,
    /// and returns the path of the file.
    pub(crate) fn profiles(&self) -> Result<PathBuf> {
        let path = self.at("credentials");
        let profile = |name: &str, (key, secret): (&str, &str)| {
            format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
        };
        let text = profile("lepton", LEPTON) + &profile("application", APP);
        let failed = |error| Error::io("cannot write the credentials", error);
        let mut file = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        let mut file = file.write(true).create(true).truncate(true).open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        Ok(path)
    }

    /// Writes the specification of the migration, and returns its path.
    pub(crate) async fn specification(&self, terms: &Terms) -> Result<PathBuf> {
        let program = std::env::current_exe().map_err(|error| Error::io("cannot find this program", error))?;
        let (a, b) = (self.url(Side::A).await?, self.url(Side::B).await?);
        let (workload, _) = self.workload(Side::B).await?;
        let folder = self.0.display();
        let mut policy = vec![program.display().to_string(), "policy".to_owned(), folder.to_string()];
        if terms.policy_of_b_only {
            policy.extend(["--only".to_owned(), "b".to_owned()]);
        }
        let spec = serde_json::json!({
            "name": WORKLOAD,
            "traffic": {
                "url": format!("router:{}", self.router().control_path().display()),
                "hold": { "time": "60s", "silence": format!("{}ms", terms.silence) },
            },
            "data_sets": [{
                "name": "items",
                "a": format!("{a}&profile=lepton"),
                "b": format!("{b}&profile=lepton"),
                "pause": "500ms",
                "settings": { "max_delete_percent": 100 },
                "writers": {
                    "command": policy,
                    "a": format!("{a}&profile=application"),
                    "b": format!("{b}&profile=application"),
                },
            }],
            "workloads": [{
                "deployment": format!("process:{folder}/machine-b"),
                "route": "http",
                "bindings": [{ "env": "STORE", "data_set": "items" }],
                "spec": workload,
            }],
            "tests": [{
                "name": "side B reads a photograph",
                "workload": WORKLOAD,
                "http": { "path": "/items/photo-0001" },
            }],
            "policy": {
                "cut_over": if terms.cut_over_by_command { "command" } else { "auto" },
                "fences": terms.fences,
            },
            "decommission": [{ "deployment": format!("process:{folder}/machine-a"), "workload": WORKLOAD }],
        });
        let path = self.at("migration.json");
        let text = serde_json::to_string_pretty(&spec)
            .map_err(|error| Error::invalid_input("the specification cannot be written").with_source(error))?;
        std::fs::write(&path, text).map_err(|error| Error::io("cannot write the specification", error))?;
        Ok(path)
    }

    /// Where the application of a side runs.
    pub(crate) async fn machine(&self, side: Side) -> Result<ProcessDeployment> {
        let folder = self.at(&format!("machine-{}", letter(side)));
        ProcessDeployment::builder(folder).settle(Duration::from_millis(100)).open().await
    }

    /// The settings of the router. One that was killed and is started again serves at the same
    /// address.
    pub(crate) fn router(&self) -> RouterConfig {
        let mut config = RouterConfig::new(self.at("router"));
        let before = std::fs::read_to_string(self.address_file("router"));
        config.listen = before.unwrap_or_else(|_| "127.0.0.1:0".to_owned());
        config
    }

    /// The register of the router.
    pub(crate) async fn route(&self) -> Result<Route> {
        RouterTraffic::new(self.router().control_path(), SystemRuntime::shared()).get().await
    }

    /// The data at a side, with these credentials.
    pub(crate) async fn data(&self, side: Side, (key, secret): (&str, &str)) -> Result<Location> {
        let address = self.address(&cloud(side)).await?;
        let config = serde_json::json!({
            "bucket": BUCKET, "endpoint": format!("http://{address}"), "region": "us-east-1", "preset": "aws",
        });
        let config: S3Config = serde_json::from_value(config)
            .map_err(|error| Error::invalid_input("the settings of the cloud are wrong").with_source(error))?;
        let credentials = Arc::new(Credentials::new(key, secret.to_owned()));
        let store = S3Storage::builder(config).credentials(credentials).build()?;
        Ok(Location::new(Arc::new(store), "items/"))
    }

    /// The application at a side.
    pub(crate) async fn workload(&self, side: Side) -> Result<(WorkloadSpec, Secrets)> {
        let program = std::env::current_exe().map_err(|error| Error::io("cannot find this program", error))?;
        let mut spec = WorkloadSpec::of_command(WORKLOAD, [program.display().to_string(), "app".to_owned()]);
        spec.ports = vec![Port { name: "http".to_owned(), container_port: 0 }];
        spec.env.insert("STORE".to_owned(), self.url(side).await?);
        spec.env.insert("AWS_ACCESS_KEY_ID".to_owned(), APP.0.to_owned());
        spec.secrets.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "env:APP_SECRET".parse()?);
        spec.readiness_probe = Some(Probe::http("/ready", "http").period_seconds(1));
        spec.termination_grace_period_seconds = 5;
        Ok((spec, Secrets::new().with("AWS_SECRET_ACCESS_KEY", APP.1)))
    }
}

/// How often the router was killed, and how many of these kills are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restarts {
    pub(crate) killed: u64,
    settled: u64,
}

impl Restarts {
    /// The last kill is over.
    pub(crate) fn is_calm(self) -> bool {
        self.killed == self.settled
    }
}

pub(crate) fn letter(side: Side) -> &'static str {
    if side == Side::A { "a" } else { "b" }
}

/// The name of a cloud's process.
pub(crate) fn cloud(side: Side) -> String {
    format!("cloud-{}", letter(side))
}
