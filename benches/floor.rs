//! The raw floor of an upload: what reading a file and sending it in parts over
//! loopback takes when nothing else is done, or nothing but SHA-256. It stands
//! beside the measurements of `cargo xtask bench transfer`, which runs it:
//!
//! ```text
//! floor sink                          prints its address, takes everything, until standard input ends
//! floor send ADDRESS FILE [--sha256]  sends the file in parts over several connections
//! ```

use std::fs::File;
use std::io::{Error, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

const PART: u64 = 8 << 20;
const BUFFER: usize = 1 << 20;
const CONNECTIONS: usize = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["sink"] => sink(),
        ["send", address, file] => send(address, &File::open(file)?, false),
        ["send", address, file, "--sha256"] => send(address, &File::open(file)?, true),
        _ => {
            println!("run by `cargo xtask bench transfer`");
            Ok(())
        }
    }
}

fn sink() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || swallow(connection));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Takes parts, each announced by its length, and answers each with one byte.
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

/// Each connection takes the next part that nobody has taken.
fn send(address: &str, file: &File, hash: bool) -> Result<()> {
    let size = file.metadata()?.len();
    let next = AtomicU64::new(0);
    let connection = || -> Result<()> {
        let mut connection = TcpStream::connect(address)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let start = next.fetch_add(PART, Ordering::Relaxed);
            if start >= size {
                return Ok(());
            }
            let part = start..size.min(start + PART);
            send_part(&mut connection, file, part, &mut buffer, hash)?;
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
    to.read_exact(&mut [0])
}
