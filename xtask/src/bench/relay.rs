//! A connection with latency: forwards TCP and delays every byte by the same time, as a network
//! between two continents does. This kernel has no `netem`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The amount of data in flight in one direction of a connection: as much as a current receive
/// window.
const PIECES: usize = 64;
const PIECE: usize = 64 << 10;

/// Listens on its own port and forwards everything to `server`, delayed by `delay` in each
/// direction. Ends with the process.
pub(super) fn start(server: &str, delay: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr()?;
    let server = server.strip_prefix("http://").context("only plain http is relayed")?.to_owned();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            // If the server cannot be reached, the client sees its connection break.
            let Ok(far) = TcpStream::connect(&server) else { continue };
            if let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) {
                pass(near, far_too, delay);
                pass(far, near_too, delay);
            }
        }
    });
    Ok(format!("http://{address}"))
}

/// One direction: one thread reads, and another writes each piece once its delay has passed.
fn pass(mut from: TcpStream, to: TcpStream, delay: Duration) {
    let (send, receive) = sync_channel(PIECES);
    std::thread::spawn(move || deliver(&receive, to));
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(len @ 1..) = from.read(&mut piece) {
            if send.send((Instant::now() + delay, piece[..len].to_vec())).is_err() {
                return;
            }
        }
    });
}

fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    // Small answers are sent immediately; if this cannot be set they are only later.
    let _ = to.set_nodelay(true);
    for (when, piece) in pieces {
        std::thread::sleep(when.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
    }
    // The other end may already be closed.
    let _ = to.shutdown(Shutdown::Write);
}
