//! The raw floor of a transfer: the time to read a file and send it in parts over loopback, or
//! to receive and write it, with no other work, or with only SHA-256. It is reported next to
//! the measurements of `cargo xtask bench transfer`, which runs it:
//!
//! ```text
//! floor sink                              prints its address, accepts everything until standard input ends
//! floor send ADDRESS FILE [--sha256]      sends the file in parts over several connections
//! floor serve FILE                        prints its address, sends parts of the file until standard input ends
//! floor fetch ADDRESS FILE [--sha256]     receives the file in parts over several connections
//! ```

use std::fs::File;
use std::io::{Error, Read, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

const PART: u64 = 8 << 20;
const BUFFER: usize = 1 << 20;
/// Sent instead of an offset: requests the total length.
const SIZE: u64 = u64::MAX;
/// Size of one read from a socket: small enough that the data is still in the processor's cache
/// when it is hashed and written.
const RECEIVED: usize = 128 << 10;
const CONNECTIONS: usize = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["sink"] => listen(swallow),
        ["send", address, file] => send(address, &File::open(file)?, false),
        ["send", address, file, "--sha256"] => send(address, &File::open(file)?, true),
        ["serve", file] => {
            let file = File::open(file)?;
            listen(move |connection| give(connection, &file))
        }
        ["fetch", address, file] => fetch(address, &File::create(file)?, false),
        ["fetch", address, file, "--sha256"] => fetch(address, &File::create(file)?, true),
        _ => {
            println!("run by `cargo xtask bench transfer`");
            Ok(())
        }
    }
}

/// Serves each connection in its own thread.
fn listen(serve: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(connection));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Receives parts, each announced by its length, and answers each with one byte.
fn swallow(mut connection: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut length = [0; 8];
    loop {
        connection.read_exact(&mut length)?;
        let mut left = u64::from_be_bytes(length);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match connection.read(&mut buffer[..most])? {
                0 => return Ok(()),
                read => left -= read as u64,
            }
        }
        connection.write_all(&[1])?;
    }
}

/// Sends parts, each requested by its offset and preceded by its length, and the total length.
fn give(mut connection: TcpStream, file: &File) -> Result<()> {
    let size = file.metadata()?.len();
    let mut buffer = vec![0; BUFFER];
    let mut offset = [0; 8];
    loop {
        connection.read_exact(&mut offset)?;
        let start = u64::from_be_bytes(offset);
        if start == SIZE {
            connection.write_all(&size.to_be_bytes())?;
            continue;
        }
        send_part(&mut connection, file, start..size.min(start + PART), &mut buffer, false)?;
    }
}

fn ask(connection: &mut TcpStream, offset: u64) -> Result<u64> {
    let mut length = [0; 8];
    connection.write_all(&offset.to_be_bytes())?;
    connection.read_exact(&mut length)?;
    Ok(u64::from_be_bytes(length))
}

fn send(address: &str, file: &File, hash: bool) -> Result<()> {
    in_parts(address, file.metadata()?.len(), |connection, part, buffer| {
        send_part(connection, file, part, buffer, hash)?;
        connection.read_exact(&mut [0])
    })
}

fn fetch(address: &str, file: &File, hash: bool) -> Result<()> {
    // Threads that wait for each other in the kernel to write to the file would spin.
    let turn = Mutex::new(());
    in_parts(address, ask(&mut TcpStream::connect(address)?, SIZE)?, |connection, part, buffer| {
        ask(connection, part.start)?;
        let mut hasher = Sha256::new();
        let mut offset = part.start;
        while offset < part.end {
            let most = RECEIVED.min(usize::try_from(part.end - offset).unwrap_or(RECEIVED));
            let read = connection.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(Error::other("the server is gone"));
            }
            if hash {
                hasher.update(&buffer[..read]);
            }
            let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all_at(&buffer[..read], offset)?;
            drop(turn);
            offset += read as u64;
        }
        std::hint::black_box(hasher.finalize());
        Ok(())
    })
}

/// Each connection takes the next free part.
fn in_parts(
    address: &str,
    size: u64,
    each: impl Fn(&mut TcpStream, Range<u64>, &mut [u8]) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicU64::new(0);
    let connection = || -> Result<()> {
        let mut connection = TcpStream::connect(address)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let start = next.fetch_add(PART, Ordering::Relaxed);
            if start >= size {
                return Ok(());
            }
            each(&mut connection, start..size.min(start + PART), &mut buffer)?;
        }
    };
    std::thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(connection)).collect();
        connections.into_iter().try_for_each(|thread| thread.join().map_err(|_| Error::other("a thread panicked"))?)
    })
}

fn send_part(to: &mut TcpStream, file: &File, part: Range<u64>, buffer: &mut [u8], hash: bool) -> Result<()> {
    let mut hasher = Sha256::new();
    to.write_all(&(part.end - part.start).to_be_bytes())?;
    for offset in part.clone().step_by(BUFFER) {
        let piece = &mut buffer[..BUFFER.min(usize::try_from(part.end - offset).unwrap_or(BUFFER))];
        file.read_exact_at(piece, offset)?;
        if hash {
            hasher.update(&*piece);
        }
        to.write_all(piece)?;
    }
    std::hint::black_box(hasher.finalize());
    Ok(())
}
