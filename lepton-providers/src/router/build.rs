//! Starts a router, and stops it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime, SystemRuntime};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::client::RouterTraffic;
use super::config::RouterConfig;
use super::control::{self, Socket};
use super::fence::Fence;
use super::flight::Flights;
use super::flight_file::FlightFile;
use super::gate::Gate;
use super::probe;
use super::register::{Folder, Stored};
use super::server::Server;
use super::shadow::Shadows;
use super::shared::{Phase, Shared};
use super::sides::Sides;
use super::timing::within;
use super::tls::Certificate;

/// A router that is not started yet.
#[derive(Debug)]
pub struct Router;

impl Router {
    /// A router with the default settings, except the folder of its register.
    pub fn builder() -> RouterBuilder {
        RouterBuilder { config: RouterConfig::default(), env: None }
    }
}

/// Builds a router.
#[derive(Debug)]
pub struct RouterBuilder {
    config: RouterConfig,
    env: Option<SharedRuntime>,
}

impl RouterBuilder {
    /// The settings.
    #[must_use]
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = config;
        self
    }

    /// The clock and the tasks; by default those of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Starts it: reads the register, or writes the first one, and serves.
    ///
    /// # Errors
    /// `invalid_input` for a wrong setting; `locked` if another router uses the register;
    /// `corrupt` for a register that is damaged or gone; `unsupported` for one of another
    /// version; errors of the sockets.
    pub async fn start(self) -> Result<RunningRouter> {
        let config = self.config;
        config.check()?;
        let env = self.env.unwrap_or_else(SystemRuntime::shared);
        let listener = TcpListener::bind(&config.listen).await;
        let listener = listener.map_err(|error| {
            Error::io("cannot listen for users", error).with_context("address", config.listen.as_str())
        })?;
        let address = listener.local_addr().map_err(|error| Error::io("the address is not known", error))?;
        let at_start = config.clone();
        let loaded = env.run_blocking(move || Loaded::load(&at_start)).join().await??;
        let (control, socket) = control::bind(&config.control_path(), env.random())?;
        Ok(loaded.run(config, env, listener, address, control, socket))
    }
}

/// What was read from the disk.
struct Loaded {
    folder: Folder,
    stored: Stored,
    file: FlightFile,
    unknown: [u64; 2],
    certificate: Option<Arc<Certificate>>,
}

impl Loaded {
    fn load(config: &RouterConfig) -> Result<Self> {
        let certificate = config.tls.clone().map(Certificate::load).transpose()?.map(Arc::new);
        let folder = Folder::open(&config.state)?;
        let stored = match folder.read()? {
            Some(stored) => stored,
            None if FlightFile::exists(folder.path()) => {
                let message = "the register is gone, and with it the owner of the writes; \
                               restore it, or use another folder";
                return Err(Error::new(ErrorKind::Corrupt, message).with_context("path", folder.path().display()));
            }
            None => {
                let first = Stored::first(config.a.clone(), config.b.clone());
                folder.write(&first)?;
                first
            }
        };
        let (file, unknown) = FlightFile::open(folder.path())?;
        Ok(Self { folder, stored, file, unknown, certificate })
    }

    fn run(
        self,
        config: RouterConfig,
        env: SharedRuntime,
        listener: TcpListener,
        address: SocketAddr,
        control: tokio::net::UnixListener,
        socket: Socket,
    ) -> RunningRouter {
        let (phase, phases) = watch::channel(Phase::Running);
        let flights = Flights::new(self.file, self.unknown);
        // The requests that waited in a hold are gone; until it ends, the next owner is unknown.
        let gate = Gate::new(self.stored.owner, self.stored.hold.is_some(), Arc::clone(&flights));
        let sides = Sides::new(Arc::clone(&env), config.health.clone());
        for side in [Side::A, Side::B] {
            sides.set(side, self.stored.backends(side));
        }
        let most = config.limits.connections;
        let shadows = Shadows::new(config.shadow.as_ref());
        let shared = Arc::new(Shared { env: Arc::clone(&env), config, gate, flights, sides, shadows, phase: phases });
        let fence = Fence::new(Arc::clone(&shared), self.folder, self.stored);
        let connections = Arc::new(Semaphore::new(most));
        let server = Server {
            shared: Arc::clone(&shared),
            certificate: self.certificate.clone(),
            connections: Arc::clone(&connections),
        };
        shared.start(Arc::clone(&fence).watch());
        shared.start(probe::watch(Arc::clone(&shared)));
        shared.start(control::serve(Arc::clone(&shared), Arc::clone(&fence), control));
        shared.start(Arc::new(server).accept(listener));
        if let Some(certificate) = &self.certificate {
            shared.start(Arc::clone(certificate).watch(env));
        }
        let socket_path = shared.config.control_path();
        let certificate = self.certificate;
        RunningRouter {
            shared,
            fence,
            phase,
            address,
            connections,
            most,
            certificate,
            socket: Some(socket),
            socket_path,
        }
    }
}

/// A running router. Dropped without [`stop`](Self::stop), it ends as if its process had been
/// killed: at once, with whatever the register has.
#[derive(Debug)]
pub struct RunningRouter {
    shared: Arc<Shared>,
    fence: Arc<Fence>,
    phase: watch::Sender<Phase>,
    address: SocketAddr,
    connections: Arc<Semaphore>,
    most: usize,
    certificate: Option<Arc<Certificate>>,
    socket: Option<Socket>,
    socket_path: PathBuf,
}

impl RunningRouter {
    /// The address on which users are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The control socket.
    pub fn control(&self) -> &Path {
        &self.socket_path
    }

    /// The router as its driver sees it.
    pub fn traffic(&self) -> RouterTraffic {
        RouterTraffic::new(&self.socket_path, Arc::clone(&self.shared.env))
    }

    /// Loads the certificate again. The router also checks by itself whether the files have changed.
    ///
    /// # Errors
    /// `invalid_input` if the files cannot be used; the certificate stays as it was.
    pub async fn reload(&self) -> Result<()> {
        match &self.certificate {
            Some(certificate) => certificate.reload(&self.shared.env).await,
            None => Ok(()),
        }
    }

    /// Stops in order: accepts nothing more, closes WebSockets with code 1012, and lets open
    /// requests end within `limits.stop_time`. A hold stays in the register. Writes that have
    /// not ended count as unknown at the next start.
    ///
    /// # Errors
    /// Errors of the disk, when the number of open writes is noted.
    pub async fn stop(mut self) -> Result<()> {
        self.phase.send_replace(Phase::Stopping);
        // What waits in a hold is refused: its client may send it again to the next router.
        if self.fence.get().await.is_ok_and(|route| route.hold.is_some()) {
            self.shared.gate.close();
        }
        for side in [Side::A, Side::B] {
            self.shared.flights.close(side, self.shared.flights.so_far());
        }
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        let limit = self.shared.config.limits.stop_time;
        let _ = within(&self.shared.env, limit, self.ended(all)).await;
        self.socket = None;
        self.fence.freeze().await;
        let noted = self.shared.flights.stop();
        self.phase.send_replace(Phase::Killed);
        noted
    }

    /// Waits until no connection is open and nothing that may write is in flight.
    async fn ended(&self, connections: u32) {
        let _ = self.connections.acquire_many(connections).await;
        while [Side::A, Side::B].into_iter().any(|side| !self.shared.flights.open(side).no_writes()) {
            self.shared.env.sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for RunningRouter {
    fn drop(&mut self) {
        self.shared.flights.freeze();
        self.fence.try_freeze();
        self.phase.send_replace(Phase::Killed);
        if let Some(socket) = self.socket.take() {
            // As a process that is killed does.
            socket.leave();
        }
    }
}
