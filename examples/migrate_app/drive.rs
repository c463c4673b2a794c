//! The driver. It prints a line for each event, and can be killed at any moment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lepton::core::SystemEnv;
use lepton::core::data_set::Side;
use lepton::core::migration::{Command, State};
use lepton::core::traffic::{HoldLimits, Traffic as _};
use lepton::migrate::{AcceptanceTest, Migration, ObjectSet, StoreQuiesce, Workload};
use lepton::providers::process::ProcessDeployment;
use lepton::providers::router::RouterTraffic;
use lepton::{Error, Result, TransferSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cloud::set_policy;
use crate::route;
use crate::site::{APP, LEPTON, Site, TOKEN, WORKLOAD, letter};

/// The folder of the journal.
pub(crate) const JOURNAL: &str = "migration";

/// Drives until side B owns the writes and side A follows.
pub(crate) async fn run(site: &Site) -> Result<()> {
    let mut migration = open(site).await?;
    println!("the driver begins in the state {}", migration.state());
    if *migration.state() == State::Draft {
        migration.command(Command::Plan { hash: "demonstration".to_owned() }).await?;
        migration.command(Command::Approve { hash: "demonstration".to_owned() }).await?;
    }
    while *migration.state() != State::Holding {
        if *migration.state() == State::Tested {
            migration.command(Command::CutOver).await?;
        }
        let rests = |state: &State| matches!(state, State::Tested | State::Holding);
        let from = migration.state().clone();
        migration
            .run(rests, |observed| {
                println!("{} → {}", observed.event.name(), observed.state);
            })
            .await?;
        if *migration.state() == from {
            return Err(Error::invalid_input(format!("the migration does not go on: {from}")));
        }
    }
    Ok(())
}

async fn open(site: &Site) -> Result<Migration> {
    let env = SystemEnv::shared();
    let traffic = Arc::new(RouterTraffic::new(route::config(site).control_path(), env));
    let (a, b) = (site.data(Side::A, LEPTON).await?, site.data(Side::B, LEPTON).await?);
    let policy = site.clone();
    let switch = move |side, deny, _| {
        let done = set_policy(&policy, side, deny);
        async { done }
    };
    let quiesce = StoreQuiesce::new(switch, site.data(Side::A, APP).await?, site.data(Side::B, APP).await?);
    let mut settings = TransferSettings::default();
    settings.max_delete_percent = 100;
    let objects = ObjectSet::builder("items", a, b, site.at("items"), quiesce)
        .settings(settings)
        .pause(Duration::from_millis(500))
        .build()?;
    let (spec, secrets) = site.workload(Side::B).await?;
    let workload = Workload::new(Arc::new(place(site, Side::B).await?), spec).secrets(secrets).route("http");
    let mut limits = HoldLimits::default();
    (limits.time, limits.silence) = (Duration::from_secs(60), Duration::from_secs(20));
    Migration::builder(WORKLOAD, site.at(JOURNAL), traffic)
        .data_set(objects)
        .workload(workload)
        .test(Reads(site.address("router").await?))
        .hold(limits)
        .open()
        .await
}

/// Where the application of a side runs.
pub(crate) async fn place(site: &Site, side: Side) -> Result<ProcessDeployment> {
    let folder = site.at(&format!("machine-{}", letter(side)));
    ProcessDeployment::builder(folder).settle(Duration::from_millis(100)).open().await
}

/// Side B answers with an item that side A has, through the test route.
#[derive(Debug)]
struct Reads(String);

#[async_trait]
impl AcceptanceTest for Reads {
    fn name(&self) -> &'static str {
        "side B reads an item"
    }

    async fn run(&self) -> Result<()> {
        let failed = |error| Error::io("the test route does not answer", error);
        let mut stream = tokio::net::TcpStream::connect(&self.0).await.map_err(failed)?;
        let header = lepton::providers::router::TestRoute::new(TOKEN.to_owned()).header;
        let request =
            format!("GET /items/photo-0001 HTTP/1.1\r\nhost: shop\r\n{header}: {TOKEN}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed)?;
        let status = String::from_utf8_lossy(&answer[..answer.len().min(15)]).into_owned();
        if status.starts_with("HTTP/1.1 200") && answer.len() > 1_000 {
            return Ok(());
        }
        Err(Error::invalid_input(format!("the answer begins with {status:?}")))
    }
}

/// The register of the router, for whoever shows it.
pub(crate) async fn route_now(site: &Site) -> Result<lepton::core::traffic::Route> {
    RouterTraffic::new(route::config(site).control_path(), SystemEnv::shared()).get().await
}
