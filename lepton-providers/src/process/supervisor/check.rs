//! One attempt of a probe.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use lepton_core::deployment::{Probe, ProbeAction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::environment::Environment;

/// The probe and what it needs of its replica.
pub(super) struct Target {
    pub(super) probe: Probe,
    /// The port of the probe, if it has one.
    pub(super) port: Option<u16>,
    pub(super) directory: std::path::PathBuf,
    /// The environment of a program.
    pub(super) environment: Option<Environment>,
}

/// The longest first line of an answer that is read.
const LONGEST_LINE: usize = 1024;

/// Runs the probe once, without a time limit; the error states why it failed. Dropping the
/// future ends the program that it runs.
pub(super) async fn check(target: &Target) -> Result<(), String> {
    match target.probe.action().map_err(|error| error.to_string())? {
        ProbeAction::TcpSocket(_) => connect(target).await.map(drop),
        ProbeAction::HttpGet(get) => get_status(target, &get.path).await,
        ProbeAction::Exec(exec) => run(target, &exec.command).await,
    }
}

async fn connect(target: &Target) -> Result<(TcpStream, SocketAddr), String> {
    let port = target.port.ok_or("its port is not known")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect(address).await {
        Ok(stream) => Ok((stream, address)),
        Err(error) => Err(format!("connecting to {address}: {error}")),
    }
}

async fn get_status(target: &Target, path: &str) -> Result<(), String> {
    let (mut stream, address) = connect(target).await?;
    let failed = |error: std::io::Error| format!("GET {path} from {address}: {error}");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: lepton-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        let read = stream.read_buf(&mut line).await.map_err(failed)?;
        if read == 0 {
            break;
        }
    }
    match status(&line) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path} from {address}: status {status}")),
        None => Err(format!("GET {path} from {address}: the answer is not HTTP")),
    }
}

/// The status in the first line of an answer.
fn status(line: &[u8]) -> Option<u16> {
    let text = line.strip_prefix(b"HTTP/1.")?;
    let digits = text.get(2..5).filter(|_| text.get(1) == Some(&b' '))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Ends the program of an unfinished attempt with all processes that it has started.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // The leader is not reaped yet, so its number still means this group.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

async fn run(target: &Target, line: &[String]) -> Result<(), String> {
    let [program, arguments @ ..] = line else { return Err("it has no program".into()) };
    let mut command = tokio::process::Command::new(program);
    if let Some(environment) = &target.environment {
        environment.apply(command.as_std_mut());
    }
    command.args(arguments).current_dir(&target.directory).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("running {program}: {error}"))?;
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
    // Dropped before the child, which is reaped afterwards.
    let mut group = Group(pid);
    let ended = child.wait().await;
    group.0 = None;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("waiting for {program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn only_http_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500"), Some(500));
        for other in [&b"SSH-2.0-x\r\n"[..], b"HTTP/1.1", b"HTTP/1.1 2", b"HTTP/1.1-200 ", b""] {
            assert_eq!(status(other), None);
        }
    }
}
