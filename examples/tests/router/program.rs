//! The program with its state folder and its replicas.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton::core::SystemRuntime;
use lepton::core::data_set::{Clearance, DataVerdict, Side, Verdict};
use lepton::core::traffic::{Hold, InFlight, InFlightPolicy, Traffic as _};
use lepton::providers::router::RouterTraffic;

use crate::replica::Replica;

/// The address on which the running process serves.
#[derive(Clone)]
pub(crate) struct Address(Arc<Mutex<String>>);

impl Address {
    /// Sends a request, whose answer is still to come.
    pub(crate) fn send(&self, method: &str, path: &str) -> std::io::Result<TcpStream> {
        let address = self.0.lock().unwrap().clone();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }
}

pub(crate) struct Program {
    folder: tempfile::TempDir,
    pub(crate) a: Replica,
    pub(crate) b: Replica,
    process: Child,
    pub(crate) address: Address,
    pub(crate) traffic: RouterTraffic,
    /// The epoch that the replicas record with each request.
    pub(crate) epoch: Arc<AtomicU64>,
}

impl Program {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let epoch = Arc::default();
        let (a, b) = (Replica::start(Side::A, &epoch), Replica::start(Side::B, &epoch));
        let (process, address) = run(&folder, &a, &b);
        let traffic = RouterTraffic::new(state(&folder).join("control.sock"), SystemRuntime::shared());
        let address = Address(Arc::new(Mutex::new(address)));
        Self { folder, a, b, process, address, traffic, epoch }
    }

    /// Ends the process with SIGKILL, and starts another one on what it left.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill();
        let (process, address) = run(&self.folder, &self.a, &self.b);
        self.process = process;
        *self.address.0.lock().unwrap() = address;
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a write, whose answer is still to come.
    pub(crate) fn write(&self) -> TcpStream {
        self.address.send("POST", "/").unwrap()
    }

    /// Sends a write, and returns when the hold has it.
    pub(crate) async fn held_write(&self, hold: &Hold) -> TcpStream {
        let stream = self.write();
        while self.traffic.renew(&hold.id).await.unwrap().waiting == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream
    }

    pub(crate) async fn release_to_b(&self, hold: &Hold) {
        self.traffic.switch(cleared(Side::B, hold.epoch), &hold.id, hold.epoch).await.unwrap();
        let route = self.traffic.release(&hold.id, hold.epoch).await.unwrap();
        assert_eq!(route.owner, Side::B);
    }

    pub(crate) async fn in_flight(&self, side: Side) -> InFlight {
        self.traffic.drain(side, InFlightPolicy::Wait).await.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The proof that a side may take over in this epoch.
pub(crate) fn cleared(to: Side, epoch: u64) -> Clearance {
    let verdict = DataVerdict::new("objects", epoch, to.other(), Verdict::Pass);
    Clearance::new(to, epoch, &["objects".to_owned()], &[verdict]).unwrap()
}

fn state(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("state")
}

/// Starts the process, and returns the address on which it serves.
fn run(folder: &tempfile::TempDir, a: &Replica, b: &Replica) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_router"));
    command.args(["--listen", "127.0.0.1:0", "--a", &a.address, "--b", &b.address, "--state"]).arg(state(folder));
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("serving on ").and_then(|rest| rest.split(',').next());
    let address = address.unwrap_or_else(|| panic!("the program does not serve: {line:?}")).to_owned();
    (process, address)
}

/// The answer; empty if the connection has ended without one.
pub(crate) fn answer(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A process that is killed may reset its connections.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}
