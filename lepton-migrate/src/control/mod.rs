//! Commands to a driver in another process, over a socket in the folder of state.
//!
//! A request is one line of JSON: a command, such as `{"command":"pause"}`, or `{"lag":"A"}`, which
//! asks how far the followers of that owner are behind. The reply is one line with `state`, `lag` or
//! `error`. A client keeps its end of the connection open until the reply: the command of a client
//! that has gone is not executed later. The socket has mode 600, and a peer of another user is
//! refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::migration::Command;
use lepton_core::{Error, ErrorKind, Result, RetryClass, RuntimeExt as _, SharedRuntime, Task};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::driver::{Commander, DataSetLag};

/// The longest line of a request or reply, in bytes.
const LONGEST: u64 = 1 << 20;

/// How long a client waits for its reply: a driver records a command at once.
const REPLY: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Request {
    Command(Command),
    Lag {
        /// The owner that is followed.
        lag: Side,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// The state after the command, as text.
    State(String),
    /// How far the followers are behind.
    Lag(Vec<DataSetLag>),
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
    pub fn serve(socket: impl Into<PathBuf>, commander: Commander, env: &SharedRuntime) -> Result<Self> {
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

async fn accept(listener: UnixListener, commander: Commander, ours: u32, env: SharedRuntime) {
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
    let mut reader = BufReader::new(reader.take(LONGEST));
    reader.read_line(&mut line).await?;
    let reply = tokio::select! {
        reply = carry_out(&line, commander) => reply,
        () = end_of(reader) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
    };
    let mut text = serde_json::to_vec(&reply).unwrap_or_default();
    text.push(b'\n');
    writer.write_all(&text).await
}

async fn carry_out(line: &str, commander: &Commander) -> Reply {
    let outcome = match serde_json::from_str::<Request>(line) {
        Ok(Request::Command(command)) => commander.send(command).await.map(|state| Reply::State(state.to_string())),
        Ok(Request::Lag { lag }) => commander.lag(lag).await.map(Reply::Lag),
        Err(_) => Err(Error::invalid_input("the request is no command")),
    };
    let failed = |error: Error| Reply::Error { kind: error.kind().code().to_owned(), message: error.to_string() };
    outcome.unwrap_or_else(failed)
}

/// Returns once the client has closed the connection. What it still sends is ignored.
async fn end_of(mut reader: impl AsyncRead + Unpin) {
    let mut ignored = [0; 256];
    while reader.read(&mut ignored).await.is_ok_and(|len| len > 0) {}
}

/// Sends a command to the driver behind this socket; returns the state after it, as text. If this
/// future is dropped before the driver has read the command, the command is not executed.
///
/// # Errors
/// `not_found` if no driver listens there; otherwise the driver's own errors.
pub async fn send_command(socket: &Path, command: &Command, env: &SharedRuntime) -> Result<String> {
    match exchange(socket, &Request::Command(command.clone()), env).await? {
        Reply::State(state) => Ok(state),
        reply => Err(unexpected(reply)),
    }
}

/// Asks the driver behind this socket how far the follower of each data set is behind the owner
/// `from`.
///
/// # Errors
/// As [`send_command`].
pub async fn read_lag(socket: &Path, from: Side, env: &SharedRuntime) -> Result<Vec<DataSetLag>> {
    match exchange(socket, &Request::Lag { lag: from }, env).await? {
        Reply::Lag(lags) => Ok(lags),
        reply => Err(unexpected(reply)),
    }
}

/// The error that a reply has, or is.
fn unexpected(reply: Reply) -> Error {
    let (kind, message) = match reply {
        Reply::Error { kind, message } => (ErrorKind::ALL.iter().find(|known| known.code() == kind).copied(), message),
        _ => (None, "the driver has sent the reply to another request".to_owned()),
    };
    Error::new(kind.unwrap_or(ErrorKind::Unexpected), message).with_retry(RetryClass::Never)
}

async fn exchange(socket: &Path, request: &Request, env: &SharedRuntime) -> Result<Reply> {
    let none = |error: std::io::Error| {
        let message = format!("no driver runs at {}", socket.display());
        Error::new(ErrorKind::NotFound, message).with_source(error)
    };
    let mut stream = UnixStream::connect(socket).await.map_err(none)?;
    let lost = |error| Error::io("the driver has not answered", error);
    let mut text = serde_json::to_vec(request)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "the request cannot be written").with_source(error))?;
    text.push(b'\n');
    stream.write_all(&text).await.map_err(lost)?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(LONGEST));
    tokio::select! {
        read = reader.read_line(&mut line) => read.map(drop).map_err(lost)?,
        () = env.sleep(REPLY) => {
            let message = "the driver has not answered in time; the command is withdrawn, `status` shows the state";
            return Err(Error::new(ErrorKind::Timeout, message));
        }
    }
    serde_json::from_str(&line)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "the driver has given no answer").with_source(error))
}
