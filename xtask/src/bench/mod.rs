//! `cargo xtask bench transfer` and `… sync`: Lepton compared with rclone, s5cmd and the AWS
//! CRT, in one run and against the same servers; `… growth`: Lepton alone. They write the
//! tables in `docs/benchmarks.md`.
//!
//! - `set`: the moved files; `place`: the ends of a transfer
//! - `programs`: the compared programs; `commands`: how each is configured to do the same work
//! - `clouds`: the emulators of Azure and Google
//! - `buckets`: creating and emptying them, and checking that everything arrived
//! - `crt.py`: the program that drives the AWS CRT
//! - `floor`: the limit of the machine
//! - `sink`: a server that stores nothing, and one over TLS
//! - `relay`: a connection with latency
//! - `measure`: the cost of one run of one program
//! - `table`: medians, as Markdown
//! - `sync`: synchronising two equal buckets
//! - `growth`: increasing numbers of objects
//! - `synthetic`: servers that generate their objects, or only hold them

mod buckets;
mod clouds;
mod commands;
mod floor;
mod growth;
mod measure;
mod place;
mod programs;
mod relay;
mod set;
mod sink;
mod sync;
mod synthetic;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::shown;
use crate::services::{self, Running};
use measure::Row;
use place::Place;
use programs::{Tool, Tools};
use set::{SETS, Set, Way};
use sink::Sink;

/// The delay of a distant server, in each direction.
const DELAY: Duration = Duration::from_millis(20);

/// The measurements to make.
struct Options {
    rounds: usize,
    sets: Vec<&'static Set>,
}

/// `cargo xtask bench transfer [--rounds N] [--set NAME]…`,
/// `cargo xtask bench sync [--rounds N] [--objects N[@MILLISECONDS]]…` and
/// `cargo xtask bench growth [--rounds N] [--objects N]…`
pub(crate) fn command(arguments: &[&str]) -> Result<()> {
    let options = match arguments.split_first() {
        Some((&"transfer", rest)) => Options::parse(rest)?,
        Some((&"sync", rest)) => return sync::command(rest),
        Some((&"growth", rest)) => return growth::command(rest),
        _ => bail!("the benchmarks are `transfer`, `sync` and `growth`; `cargo xtask help` has their options"),
    };
    let tools = Tools::prepare()?;
    let azure = options.sets.iter().any(|set| set.way == Way::Cloud("azurite"));
    let tools = if azure { tools.with_azcopy()? } else { tools };
    let servers = services::start()?;
    // Next to a server's data, in memory, and removed with it however this process ends.
    let work = servers.first().context("no server runs")?.server.data.join("bench");
    let mut bench = Bench { options, tools, servers, work, rows: Vec::new() };
    bench.run()
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self { rounds: 3, sets: Vec::new() };
        for pair in arguments.chunks(2) {
            match pair {
                ["--rounds", number] => options.rounds = number.parse().context("--rounds takes a number")?,
                ["--set", name] => {
                    let known: Vec<_> = SETS.iter().map(|set| set.name).collect();
                    let set = SETS.iter().find(|set| set.name == *name);
                    options.sets.push(set.with_context(|| format!("no set {name:?}; there are {}", known.join(", ")))?);
                }
                _ => bail!("bench transfer takes --rounds N and --set NAME, not {:?}", pair.join(" ")),
            }
        }
        if options.sets.is_empty() {
            options.sets = SETS.iter().collect();
        }
        Ok(options)
    }
}

struct Bench {
    options: Options,
    tools: Tools,
    servers: Vec<Running>,
    /// Where files are read and written.
    work: PathBuf,
    /// The rows of the current set.
    rows: Vec<Row>,
}

impl Bench {
    fn run(&mut self) -> Result<()> {
        let (first, second) = (self.bucket("minio")?, self.bucket("versitygw")?);
        for set in self.options.sets.clone() {
            let source = Place::Folder(self.work.join("source"));
            let copied = Place::Folder(self.work.join("copied"));
            set.create(&self.work.join("source"))?;
            if set.floor {
                self.floor(set)?;
            }
            match set.way {
                Way::Near => {
                    self.compare(set, "up", &source, &Sink::start()?.place)?;
                    self.compare(set, "up", &source, &first)?;
                    fs::remove_dir_all(self.work.join("source"))?;
                    self.compare(set, "down", &first, &copied)?;
                    // Three copies of the largest set do not fit into memory.
                    if !set.floor {
                        self.compare(set, "S3 to S3", &first, &second)?;
                    }
                }
                Way::Far => {
                    // The near case also uses the relay, so that both cases include its cost.
                    let (near, far) = (first.relayed(Duration::ZERO)?, first.relayed(DELAY)?);
                    for server in [&near, &far] {
                        self.compare(set, "up", &source, server)?;
                        self.compare(set, "down", server, &copied)?;
                    }
                    fs::remove_dir_all(self.work.join("source"))?;
                }
                Way::Cloud(server) => {
                    let cloud = self.bucket(server)?;
                    self.compare(set, "up", &source, &cloud)?;
                    // The emulators handle so few small objects per second that they would be
                    // the limit.
                    let quick = set.is_small().then(|| synthetic::like(&self.tools, server)).transpose()?;
                    if let Some((_, quick)) = &quick {
                        self.compare(set, "up", &source, quick)?;
                    }
                    fs::remove_dir_all(self.work.join("source"))?;
                    self.compare(set, "down", &cloud, &copied)?;
                    self.empty(&cloud)?;
                    if let Some((_, quick)) = &quick {
                        self.compare(set, "down", quick, &copied)?;
                    }
                }
                Way::Tls => {
                    self.compare(set, "up", &source, &Sink::over_tls("sink:", &self.work)?.place)?;
                    let folder = self.work.join("source");
                    let server = Sink::over_tls(&folder.display().to_string(), &self.work)?;
                    self.compare(set, "down", &server.place, &copied)?;
                    drop(server);
                    fs::remove_dir_all(folder)?;
                }
            }
            self.empty(&first)?;
            table::write(set, &std::mem::take(&mut self.rows), &self.tools, self.options.rounds)?;
        }
        Ok(())
    }

    /// Creates a bucket at a server.
    fn bucket(&self, name: &'static str) -> Result<Place> {
        let running = self.servers.iter().find(|running| running.server.name == name);
        let endpoint = running.with_context(|| format!("no server {name}"))?.server.endpoint.clone();
        let bucket = Place::bucket(name, endpoint);
        self.tools.make(&bucket)?;
        Ok(bucket)
    }

    /// Runs every tool in every round; each round begins with another tool. Only what the last
    /// run leaves at a bucket is kept, for the next direction.
    fn compare(&mut self, set: &'static Set, direction: &str, from: &Place, to: &Place) -> Result<()> {
        let able: Vec<Tool> =
            Tool::ALL.into_iter().filter(|tool| tool.command(&self.tools, set, from, to).is_some()).collect();
        let mut rows: Vec<Row> = able.iter().map(|tool| Row::new(set, direction, from, to, tool.name())).collect();
        for round in 0..self.options.rounds {
            for turn in 0..able.len() {
                let at = (round + turn) % able.len();
                self.empty(to)?;
                commands::forget_journal()?;
                let Some(mut command) = able[at].command(&self.tools, set, from, to) else { continue };
                rows[at].command = shown(&command);
                let sample = measure::run(&mut command)?;
                set.arrived(&self.tools, to).with_context(|| format!("after {}", able[at].name()))?;
                println!("{} round {}: {}", rows[at].title(), round + 1, sample);
                rows[at].samples.push(sample);
            }
        }
        self.rows.append(&mut rows);
        if direction != "up" { self.empty(to) } else { Ok(()) }
    }

    /// Removes everything at a place, including the data that MinIO keeps for minutes after a
    /// delete: the data of all servers has to fit into memory.
    fn empty(&self, place: &Place) -> Result<()> {
        self.tools.empty(place)?;
        for running in &self.servers {
            let trash = running.server.data.join(".minio.sys/tmp/.trash");
            for deleted in fs::read_dir(trash).into_iter().flatten() {
                let path = deleted?.path();
                // MinIO may have removed it first.
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
        Ok(())
    }

    fn floor(&mut self, set: &'static Set) -> Result<()> {
        let file = self.work.join("source").join(Set::file_name(0));
        let mut rows = floor::measure(set, &file, self.options.rounds)?;
        self.rows.append(&mut rows);
        Ok(())
    }
}
