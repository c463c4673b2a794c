//! What the replicas run: `serve` answers HTTP on `PORT`, `crash` ends at once with code 3,
//! `sleep` waits, `talk` writes 20,000 lines, `child` leaves a process behind in its session.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    println!("replica {} runs", variable("LEPTON_REPLICA"));
    match arguments[0].as_str() {
        "serve" => serve(&variable("PORT"), &variable("WELL")),
        "crash" => {
            eprintln!("there is no more milk");
            return ExitCode::from(3);
        }
        "talk" => (0..20_000).for_each(|number| println!("line {number} of a replica that talks a lot")),
        "child" => drop(std::process::Command::new("sleep").arg("1000").spawn().unwrap()),
        _ => {}
    }
    std::thread::sleep(Duration::from_secs(1000));
    ExitCode::SUCCESS
}

/// Answers 200, or 503 while the file `well` does not exist, if one is named.
fn serve(port: &str, well: &str) {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut lines = BufReader::new(&stream).lines();
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let status = if well.is_empty() || Path::new(well).exists() { "200 OK" } else { "503 Not Yet" };
        // Who asks may be gone.
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    }
}
