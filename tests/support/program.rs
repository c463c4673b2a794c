//! A real server that belongs to one test, which may kill and restart it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lepton::providers::s3::Preset;

use super::places::given;
use super::{ACCESS_KEY, SECRET_KEY};

/// The servers that do not lose confirmed writes when they are killed.
pub const KINDS: [(&str, Preset); 2] = [("minio", Preset::Minio), ("versitygw", Preset::Versitygw)];

/// A running server. It is killed when this value is dropped.
pub struct Program {
    kind: &'static str,
    program: String,
    address: String,
    data: tempfile::TempDir,
    process: Child,
}

impl Program {
    /// Prints a message and returns `None` if the test driver does not provide the program's
    /// path.
    pub async fn start(kind: &'static str) -> Option<Self> {
        let program = given(&format!("LEPTON_TEST_{}_PROGRAM", kind.to_uppercase()))?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (address, data) = (format!("127.0.0.1:{port}"), tempfile::tempdir().unwrap());
        let process = run(kind, &program, &address, &data);
        let mut server = Self { kind, program, address, data, process };
        server.wait_until_ready().await;
        Some(server)
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the server again on the same data, at the same address.
    pub async fn restart(&mut self) {
        self.process = run(self.kind, &self.program, &self.address, &self.data);
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "{} ended by itself", self.kind);
            assert!(Instant::now() < deadline, "{} does not listen", self.kind);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // MinIO listens before it serves requests.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn run(kind: &str, program: &str, address: &str, data: &tempfile::TempDir) -> Child {
    let mut command = Command::new(program);
    match kind {
        "minio" => {
            command.args(["server", "--quiet", "--address", address]).arg(data.path());
            command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
            command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
        }
        _ => {
            command.args(["--port", address, "--quiet", "posix"]).arg(data.path());
            command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Program {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
