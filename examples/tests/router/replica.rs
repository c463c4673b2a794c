//! A replica of a side, which records what it gets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton::core::data_set::Side;

/// A request as a replica got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) writes: bool,
    pub(crate) path: String,
    /// The epoch that the test had reached.
    pub(crate) epoch: u64,
}

/// A replica that answers each request with its side. It reads one request after the other, so
/// that an answer proves that every request that was sent to it before has been recorded.
pub(crate) struct Replica {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicBool>,
}

impl Replica {
    pub(crate) fn start(side: Side, epoch: &Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let replica = Self { address, seen: Arc::default(), open: Arc::default() };
        let (seen, open, epoch) = (Arc::clone(&replica.seen), Arc::clone(&replica.open), Arc::clone(epoch));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                // A router that is killed leaves connections without a request.
                let Some((method, path)) = head(&mut stream) else { continue };
                if path != "/probe" {
                    let epoch = epoch.load(Ordering::SeqCst);
                    seen.lock().unwrap().push(Seen { writes: method == "POST", path: path.clone(), epoch });
                }
                if path == "/slow" {
                    let open = Arc::clone(&open);
                    std::thread::spawn(move || {
                        while !open.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        answer(stream.get_mut(), side);
                    });
                } else {
                    answer(stream.get_mut(), side);
                }
            }
        });
        replica
    }

    /// Everything it got.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests it got.
    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Lets it answer requests for `/slow`.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

/// Returns when every request that was sent to the replica at this address before has been
/// recorded.
pub(crate) fn settle(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /probe HTTP/1.1\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200 "), "{line:?}");
}

/// The method and the path of a request; `None` if the head does not come whole.
fn head(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut first = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).ok()? > 2 {
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    let mut words = first.split(' ').map(str::to_owned);
    (line == "\r\n").then_some((words.next()?, words.next()?))
}

fn answer(stream: &mut TcpStream, side: Side) {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{side}");
    // A router that was killed takes no answer.
    let _ = stream.write_all(answer.as_bytes());
}
