//! How fast one core receives uploads, for each way to protect their bodies:
//!
//! ```text
//! cargo run --release -p lepton-s3-front --example upload_rate
//! ```
//!
//! The server runs on one thread with a sink; the client sends presigned requests, so that the
//! server is the limit. Rates are per second of CPU time of the server thread, as reported by
//! Linux.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a measurement")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use base64::Engine as _;
use common::{Chunks, Payload, Request, front};
use lepton_core::{ChecksumAlgorithm, StoredChecksum};
use lepton_s3_front::{Server, SinkStorage};

const BODY: usize = 64 << 20;
const ROUNDS: usize = 32;

fn main() {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let front = front().bucket("sink", Arc::new(SinkStorage::new("sink:"))).build().unwrap();
            let server = front.serve("127.0.0.1:0").await.unwrap();
            send.send((server, std::fs::read_link("/proc/thread-self").unwrap())).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (server, thread) = receive.recv().unwrap();
    let schedule = std::path::Path::new("/proc").join(thread).join("schedstat");
    let cpu = || -> f64 {
        let text = std::fs::read_to_string(&schedule).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
    };
    let body: Vec<u8> = (0..BODY).map(|i| (i * 31 + i / 251) as u8).collect();
    let chunks = Chunks { chunks: body.chunks(1 << 20).map(<[u8]>::to_vec).collect(), ..Default::default() };
    let crc = StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, &body).unwrap().value;
    let crc = base64::prelude::BASE64_STANDARD.encode(crc);
    let trailer = Some(("x-amz-checksum-crc64nvme", Some(crc)));
    for (name, payload) in [
        ("unsigned", Payload::Stated(body.clone(), "UNSIGNED-PAYLOAD")),
        ("unsigned, CRC-64/NVME in a trailer", Payload::Unsigned(Chunks { trailer, ..chunks.clone() })),
        ("signed as a whole", Payload::Plain(body)),
        ("signed in 1 MiB chunks", Payload::Signed(chunks)),
    ] {
        let (start, before) = (Instant::now(), cpu());
        upload(&server, &payload);
        let (wall, used) = (start.elapsed().as_secs_f64(), cpu() - before);
        let gib = (ROUNDS * BODY) as f64 / (1u64 << 30) as f64;
        println!("{name:36} {:5.2} GiB per CPU-second, {:5.2} GiB/s", gib / used, gib / wall);
    }
}

fn upload(server: &Server, payload: &Payload) {
    let request = Request::new("PUT", "/sink/key").payload(payload.clone()).bytes(server);
    for _ in 0..ROUNDS {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&request).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert!(reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply));
    }
}
