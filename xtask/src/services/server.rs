//! One running server: a free port, its data, readiness, and guaranteed shutdown.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::service::{Place, Service};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to end; its guard kills it earlier.
const STOP: Duration = Duration::from_secs(10);
/// How often a server is started again if another process took its port.
const TRIES: usize = 3;

/// Ends the process group `$1` and removes its data `$2` when standard input closes. The kernel
/// closes it when the process at the other end is gone, whatever ended it: a return, a panic,
/// Ctrl-C or a kill.
const GUARD: &str = r#"
read -r _
kill -s TERM -- "-$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -s 0 -- "-$1" 2>/dev/null || break; sleep 0.5; done
kill -s KILL -- "-$1" 2>/dev/null
rm -rf "$2"
"#;

/// A server that answers requests.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) endpoint: String,
    /// The program that runs: a test may start another instance of it.
    pub(crate) program: PathBuf,
    /// The server's process, which leads its own process group.
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
        let (endpoint, program) = (format!("http://{address}"), PathBuf::from(command.get_program()));
        let mut server = Self { name: service.name, variable: service.variable, endpoint, program, process, data };
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

    fn wait_until_ready(&mut self, address: &str, ready: (&str, u16)) -> Result<()> {
        let deadline = Instant::now() + START;
        while !answers(address, ready) {
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

/// A server that ends when this value is dropped, or when this process ends for any reason.
pub(crate) struct Running {
    pub(crate) server: Server,
    guard: Child,
    alive: Option<ChildStdin>,
}

impl Running {
    pub(super) fn start(service: &Service) -> Result<Self> {
        Self::guard(Server::start(service)?)
    }

    fn guard(server: Server) -> Result<Self> {
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
        // If the guard failed, at least the server itself is killed; if waiting fails, there is
        // nothing left to wait for.
        if !ended(&mut self.server.process) {
            let _ = self.server.process.kill();
            let _ = self.server.process.wait();
        }
        let _ = self.guard.wait();
    }
}

/// Waits until the process has ended, up to a timeout.
fn ended(process: &mut Child) -> bool {
    let deadline = Instant::now() + STOP;
    while Instant::now() < deadline {
        if matches!(process.try_wait(), Ok(Some(_))) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Whether a GET of the path is answered with this status.
pub(crate) fn answers(address: &str, (path, expected): (&str, u16)) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(format!(" {expected}").as_bytes()))
    };
    ask().unwrap_or(false)
}

/// An empty folder for a server, in memory where the machine supports that.
fn data_folder(name: &str, port: u16) -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let data = parent.join(format!("lepton-test-{name}-{port}-{}", std::process::id()));
    for folder in ["objects", "versions"] {
        fs::create_dir_all(data.join(folder)).with_context(|| format!("cannot create {}", data.display()))?;
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Running {
        let data = std::env::temp_dir().join(format!("lepton-test-guard-{}-{:?}", std::process::id(), Instant::now()));
        fs::create_dir(&data).unwrap();
        let process = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let (endpoint, program) = (String::new(), PathBuf::new());
        Running::guard(Server { name: "sleep", variable: "", endpoint, program, process, data }).unwrap()
    }

    #[test]
    fn a_server_ends_with_its_value() {
        let running = sleeper();
        let (pid, data) = (running.server.process.id(), running.server.data.clone());
        drop(running);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(!data.exists());
    }

    #[test]
    fn a_server_ends_when_nothing_is_left_to_end_it() {
        let mut running = sleeper();
        // The kernel does this when the parent process is killed.
        drop(running.alive.take());
        assert!(ended(&mut running.server.process));
        running.guard.wait().unwrap();
        assert!(!running.server.data.exists());
        std::mem::forget(running);
    }
}
