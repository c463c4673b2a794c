//! The control socket. Only the user who runs the router, and root, may use it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lepton_core::traffic::HoldRequest;
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fence::Fence;
use super::shared::Shared;
use super::timing::within;
use super::wire::{Answer, Command, ErrorText, LONGEST, Request, VERSION, line, policy};

/// Drivers that may be connected at a time.
const CONNECTIONS: usize = 64;

/// The time for one line.
const LINE_TIME: Duration = Duration::from_secs(30);

/// The socket, which is removed with it.
#[derive(Debug)]
pub(super) struct Socket(Option<PathBuf>);

impl Socket {
    /// Leaves the socket where it is.
    pub(super) fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A socket without a router is replaced by the next one.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes the socket. It has mode 0600 from the first moment in which others can see it.
pub(super) fn bind(path: &Path, random: u64) -> Result<(UnixListener, Socket)> {
    let wrong = |what: &str, error: io::Error| Error::io(what.to_owned(), error).with_context("path", path.display());
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let error = Error::invalid_input("the path of the control socket is that of something else");
            return Err(error.with_context("path", path.display()));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            let error = Error::new(ErrorKind::Locked, "another router answers at the control socket");
            return Err(error.with_context("path", path.display()));
        }
        _ => {}
    }
    // A private folder next to it, on the same file system.
    let private = path.with_file_name(format!(".{random:016x}"));
    let failed = |error| wrong("cannot make the control socket", error);
    DirBuilder::new().mode(0o700).create(&private).map_err(failed)?;
    let new = private.join("s");
    let listener = UnixListener::bind(&new).map_err(failed)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| fs::remove_dir(&private))
        .map_err(failed)?;
    Ok((listener, Socket(Some(path.to_owned()))))
}

/// Serves drivers.
pub(super) async fn serve(shared: Arc<Shared>, fence: Arc<Fence>, listener: UnixListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) if allowed(&stream) => {
                shared.start(converse(Arc::clone(&shared), Arc::clone(&fence), stream, permit));
            }
            Ok(_) => tracing::warn!("another user was refused at the control socket"),
            Err(error) => {
                tracing::warn!("a driver was not accepted: {error}");
                shared.env.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Whether the other end belongs to the user of this process, or to root.
fn allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn converse(shared: Arc<Shared>, fence: Arc<Fence>, stream: UnixStream, permit: OwnedSemaphorePermit) {
    let _permit = permit;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(text) = next(&shared.env, &mut read).await {
        let answer = match serde_json::from_slice(&text) {
            Ok(Request { version: VERSION, command }) => obey(&shared, &fence, command).await,
            Ok(Request { version, .. }) => {
                let message = format!("version {version} of the protocol is not served, only {VERSION}");
                Err(Error::unsupported(message))
            }
            Err(error) => Err(Error::invalid_input("this is no command of a router").with_source(error)),
        };
        let Ok(line) = line(&answer.unwrap_or_else(|error| Answer::Error(ErrorText::of(&error)))) else { return };
        if within(&shared.env, LINE_TIME, write.write_all(&line)).await.is_none_or(|written| written.is_err()) {
            return;
        }
    }
}

/// The next line; `None` at the end, and for what is no line of a driver.
async fn next(env: &SharedRuntime, read: &mut BufReader<tokio::net::unix::OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = read.take(LONGEST);
    within(env, LINE_TIME, limited.read_until(b'\n', &mut line)).await?.ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}

async fn obey(shared: &Shared, fence: &Fence, command: Command) -> Result<Answer> {
    Ok(match command {
        Command::Get => Answer::Route(fence.get().await?.into()),
        Command::Set { side, backends, if_version } => {
            Answer::Route(fence.set(side, backends, if_version).await?.into())
        }
        Command::Verify => Answer::Counters(shared.flights.counters().into()),
        Command::Hold { epoch, limits, all } => {
            let mut request = HoldRequest::new(epoch).limits(limits);
            request.all = all;
            Answer::Hold(fence.hold(request).await?.into())
        }
        Command::Renew { hold } => Answer::Hold(fence.renew(&hold).await?.into()),
        Command::Switch { to, cleared, hold, epoch } => {
            Answer::Route(fence.switch(to, cleared, &hold, epoch).await?.into())
        }
        Command::Release { hold, epoch } => Answer::Route(fence.release(&hold, epoch).await?.into()),
        Command::Drain { side, cut } => Answer::InFlight(fence.drain(side, policy(cut)).into()),
    })
}
