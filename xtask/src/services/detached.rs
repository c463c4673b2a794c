//! Servers that outlive the command that started them: `target/services/NAME` holds the process
//! id, endpoint, data folder and program of each, one per line.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::every::{SERVICES, build};
use super::server::{Server, answers};
use super::service::Service;
use crate::process::root;

/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(5);

struct Record {
    pid: Pid,
    endpoint: String,
    data: PathBuf,
    program: String,
}

pub(super) fn start() -> Result<()> {
    build()?;
    for service in &SERVICES {
        if running(service).is_none() {
            let server = Server::start(service)?;
            let (data, program) = (server.data.display(), server.program.display());
            let record = format!("{}\n{}\n{data}\n{program}\n", server.process.id(), server.endpoint);
            let file = file(service);
            fs::create_dir_all(file.parent().context("the root has a folder")?)?;
            fs::write(&file, record).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    env()
}

pub(super) fn stop() -> Result<()> {
    for service in &SERVICES {
        if let Some(record) = running(service) {
            end(&record).with_context(|| format!("cannot stop {}", service.name))?;
            fs::remove_dir_all(&record.data).with_context(|| format!("cannot remove {}", record.data.display()))?;
            println!("{} stopped", service.name);
        }
        match fs::remove_file(file(service)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn status() -> Result<()> {
    for service in &SERVICES {
        match running(service) {
            Some(record) => println!("{:10} {} (process {})", service.name, record.endpoint, record.pid),
            None => println!("{:10} not running", service.name),
        }
    }
    Ok(())
}

pub(super) fn env() -> Result<()> {
    let found: Vec<_> = SERVICES.iter().filter_map(|service| Some((service.variable, running(service)?))).collect();
    if found.is_empty() {
        bail!("no service is running; `cargo xtask services start` starts them");
    }
    for (variable, record) in found {
        let Record { endpoint, program, data, .. } = record;
        println!("export {variable}={endpoint} {variable}_PROGRAM={program} {variable}_DATA={}", data.display());
    }
    Ok(())
}

/// The server that `start` left running, if it still answers: the process id alone may by now
/// belong to another program.
fn running(service: &Service) -> Option<Record> {
    let text = fs::read_to_string(file(service)).ok()?;
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.parse().ok()?)?;
    let endpoint = lines.next()?.to_owned();
    let (data, program) = (PathBuf::from(lines.next()?), lines.next()?.to_owned());
    let answers = answers(endpoint.strip_prefix("http://")?, service.ready);
    answers.then_some(Record { pid, endpoint, data, program })
}

fn end(record: &Record) -> Result<()> {
    kill_process_group(record.pid, Signal::TERM)?;
    let deadline = Instant::now() + STOP;
    while rustix::process::test_kill_process_group(record.pid).is_ok() {
        if Instant::now() > deadline {
            kill_process_group(record.pid, Signal::KILL)?;
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn file(service: &Service) -> PathBuf {
    root().join("target/services").join(service.name)
}
