//! Commands to a driver in another process, over a socket in the folder of state.
//!
//! A request is one line of JSON, such as `{"command":"pause"}`; the reply is one line with `state`
//! or `error`. The socket has mode 600, and a peer of another user is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lepton_core::migration::Command;
use lepton_core::{EnvExt as _, Error, ErrorKind, Result, Retry, SharedEnv, Task};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::driver::Commander;

/// The longest line of a request or reply, in bytes.
const LONGEST: u64 = 1 << 20;

/// How long a client waits for its reply: a driver records a command at once.
const REPLY: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// The state after the command, as text.
    State(String),
    Error {
        kind: String,
        message: String,
    },
}

/// The socket of a driver that runs. When it is dropped, no command is accepted any more.
#[derive(Debug)]
pub struct Control {
    socket: PathBuf,
    _stop: oneshot::Sender<()>,
    _task: Task<()>,
}

/// The control socket of a migration with this folder of state.
pub fn control_socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

impl Control {
    /// Accepts commands on this socket. Only the driver that has the journal open may call it: a
    /// socket that an earlier driver left is replaced.
    ///
    /// # Errors
    /// `invalid_input` if the path is too long for a socket; errors of the file system.
    pub fn serve(socket: impl Into<PathBuf>, commander: Commander, env: &SharedEnv) -> Result<Self> {
        let socket = socket.into();
        let failed = |error| match error {
            error if socket.as_os_str().len() > 107 => {
                let message = format!("the path of the control socket is too long: {}", socket.display());
                Error::invalid_input(message).with_source(error)
            }
            error => Error::io(format!("cannot open the control socket {}", socket.display()), error),
        };
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let ours = std::fs::metadata(&socket).map_err(failed).map(|metadata| owner(&metadata))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let accepting = accept(listener, commander, ours, env.clone());
        let task = env.spawn_task(async move {
            tokio::select! {
                () = accepting => {}
                _ = stopped => {}
            }
        });
        Ok(Self { socket, _stop: stop, _task: task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A driver that comes later replaces the file if it is left.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn owner(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

async fn accept(listener: UnixListener, commander: Commander, ours: u32, env: SharedEnv) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            env.sleep(Duration::from_millis(100)).await;
            continue;
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0) {
            tracing::warn!("a command of another user was refused");
            continue;
        }
        let commander = commander.clone();
        env.spawn(Box::pin(async move {
            if let Err(error) = answer(stream, &commander).await {
                tracing::debug!("a command was not answered: {error}");
            }
        }));
    }
}

async fn answer(mut stream: UnixStream, commander: &Commander) -> std::io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(LONGEST)).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Command>(&line) {
        Ok(command) => match commander.send(command).await {
            Ok(state) => Reply::State(state.to_string()),
            Err(error) => Reply::Error { kind: error.kind().code().to_owned(), message: error.to_string() },
        },
        Err(error) => {
            Reply::Error { kind: ErrorKind::InvalidInput.code().to_owned(), message: format!("no command: {error}") }
        }
    };
    let mut text = serde_json::to_vec(&reply).unwrap_or_default();
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Sends a command to the driver behind this socket; returns the state after it, as text.
///
/// # Errors
/// `not_found` if no driver listens there; otherwise the driver's own errors.
pub async fn send_command(socket: &Path, command: &Command, env: &SharedEnv) -> Result<String> {
    let none = |error: std::io::Error| {
        let message = format!("no driver runs at {}", socket.display());
        Error::new(ErrorKind::NotFound, message).with_source(error)
    };
    let mut stream = UnixStream::connect(socket).await.map_err(none)?;
    let lost = |error| Error::io("the driver has not answered", error);
    let mut text = serde_json::to_vec(command)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "the command cannot be written").with_source(error))?;
    text.push(b'\n');
    stream.write_all(&text).await.map_err(lost)?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(LONGEST));
    tokio::select! {
        read = reader.read_line(&mut line) => read.map(drop).map_err(lost)?,
        () = env.sleep(REPLY) => return Err(Error::new(ErrorKind::Timeout, "the driver has not answered in time")),
    }
    match serde_json::from_str(&line) {
        Ok(Reply::State(state)) => Ok(state),
        Ok(Reply::Error { kind, message }) => {
            let kind = ErrorKind::ALL.iter().find(|known| known.code() == kind).copied();
            Err(Error::new(kind.unwrap_or(ErrorKind::Unexpected), message).with_retry(Retry::Never))
        }
        Err(error) => Err(Error::new(ErrorKind::Unexpected, "the driver has given no answer").with_source(error)),
    }
}
