//! One running server: a free port, its data, readiness, and an end in any case.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Place, Service};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);
/// How often a server is started again when another process took its port.
const TRIES: usize = 3;

/// Ends the process group `$1` and removes its data `$2` when standard input
/// closes. The kernel closes it when the process at its other end is gone,
/// whatever ended it: a return, a panic, Ctrl-C or a kill.
const GUARD: &str = r#"
read -r _
kill -TERM -- "-$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 -- "-$1" 2>/dev/null || break; sleep 0.3; done
kill -KILL -- "-$1" 2>/dev/null
rm -rf "$2"
"#;

/// A server that answers.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) endpoint: String,
    /// Its process, which leads a process group of its own.
    pub(crate) process: Child,
    pub(crate) data: PathBuf,
}

impl Server {
    pub(crate) fn start(service: &Service) -> Result<Self> {
        let installed = (service.install)()?;
        let mut started = Self::try_start(service, &installed);
        for _ in 1..TRIES {
            if started.is_ok() {
                break;
            }
            started = Self::try_start(service, &installed);
        }
        started.with_context(|| format!("cannot start {}", service.name))
    }

    fn try_start(service: &Service, installed: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?.port();
        let address = format!("127.0.0.1:{port}");
        let data = data_folder(service.name, port)?;
        let log = File::create(data.join("log"))?;
        let mut command = (service.command)(Place { installed, data: &data, address: &address });
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let process = command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let endpoint = format!("http://{address}");
        let mut server = Self { name: service.name, variable: service.variable, endpoint, process, data };
        match server.wait_until_ready(&address, service.ready) {
            Ok(()) => Ok(server),
            Err(error) => {
                let log = fs::read_to_string(server.data.join("log")).unwrap_or_default();
                server.process.kill()?;
                server.process.wait()?;
                fs::remove_dir_all(&server.data)?;
                Err(error.context(log))
            }
        }
    }

    fn wait_until_ready(&mut self, address: &str, path: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        while !answers(address, path) {
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}");
            }
            if Instant::now() > deadline {
                bail!("no answer at {address} within {} seconds", START.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// A server that ends with this value, or with this process however it ends.
pub(crate) struct Running {
    pub(crate) server: Server,
    guard: Child,
    alive: Option<ChildStdin>,
}

impl Running {
    pub(super) fn start(service: &Service) -> Result<Self> {
        let server = Server::start(service)?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &server.process.id().to_string()]).arg(&server.data);
        let mut guard = guard.stdin(Stdio::piped()).process_group(0).spawn().context("cannot run sh")?;
        let alive = guard.stdin.take();
        Ok(Self { server, guard, alive })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The guard ends both; a failure to wait leaves nothing to be done.
        let _ = self.server.process.wait();
        let _ = self.guard.wait();
    }
}

/// Whether a GET of the path is answered with 200.
pub(crate) fn answers(address: &str, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// An empty folder for a server, in memory where the machine offers that.
fn data_folder(name: &str, port: u16) -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let data = parent.join(format!("lepton-test-{name}-{port}-{}", std::process::id()));
    for folder in ["objects", "versions"] {
        fs::create_dir_all(data.join(folder)).with_context(|| format!("cannot create {}", data.display()))?;
    }
    Ok(data)
}
