//! The crash suite: whether the engine, killed at any moment while it writes to a store, can
//! go on and end right.
//!
//! A small mirror is made again and again: new objects, one that is there with other bytes,
//! one in several parts where the store has those, one to be deleted. Each time the process
//! dies somewhere else: before a request is sent, while it is on its way, after it took effect
//! and before the answer came; or when the journal has another record on disk, and nothing
//! that waits for it was done. What the process had not written by then is lost, and no task
//! of it does anything more. Right then each object has to have its old bytes or its new ones.
//! Then the same transfer is run again; once to its end, and once it dies again on the way
//! and a third one goes on. What has to hold: it completes, the store has exactly the source's
//! keys and bytes, no upload is left open, and the manifest verifies.
//!
//! ```
//! # use std::sync::Arc;
//! # use lepton_core::{MemoryStorage, SharedStorage};
//! use lepton_data::conformance;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! let report = conformance::crashes(&store, conformance::Options::new()).await?;
//! report.check()
//! # }).unwrap();
//! ```

use std::fmt;
use std::ops::Range;

use fate::Death;
use lepton_core::{Error, ErrorKind, Result, SharedEnv, SharedStorage, SystemEnv};
use mirror::{Mirror, Suite};

mod fate;
mod life;
mod mirror;
mod mortal;

/// How often an upload is left open until it is a failure.
const BELIEVED: usize = 3;

/// How the suite runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What the keys of the suite begin with; a random name follows.
    pub prefix: String,
    /// At which requests the process dies, the first being 0. All of them by default.
    pub requests: Range<usize>,
    /// With how many records in the journal the process dies. Every number by default.
    pub records: Range<usize>,
    /// Whether the run that goes on dies too, at one request after the other. Default yes.
    pub again: bool,
    /// Whether the source lies in the same store, which copies by itself. Default no.
    pub server_copy: bool,
    /// Randomness and time.
    pub env: SharedEnv,
}

impl Options {
    /// Names that begin with `lepton-crashes-`; a death at every request and every record.
    pub fn new() -> Self {
        Self {
            prefix: "lepton-crashes-".to_owned(),
            requests: 0..usize::MAX,
            records: 0..usize::MAX,
            again: true,
            server_copy: false,
            env: SystemEnv::shared(),
        }
    }

    /// Keys begin with this and a random name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Deaths at these requests only, to look at one again.
    #[must_use]
    pub fn requests(mut self, requests: Range<usize>) -> Self {
        self.requests = requests;
        self
    }

    /// Deaths with so many records in the journal only, to look at one again.
    #[must_use]
    pub fn records(mut self, records: Range<usize>) -> Self {
        self.records = records;
        self
    }

    /// Whether the run that goes on dies too.
    #[must_use]
    pub fn again(mut self, yes: bool) -> Self {
        self.again = yes;
        self
    }

    /// With a source in the same store, which copies by itself.
    #[must_use]
    pub fn server_copy(mut self, yes: bool) -> Self {
        self.server_copy = yes;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What the suite found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CrashReport {
    /// The URL of the store.
    pub store: String,
    /// How often a process died.
    pub deaths: usize,
    /// Deaths that did not come: the run made fewer requests, or records, than that.
    pub missed: Vec<String>,
    /// After which deaths something did not hold, and what.
    pub failures: Vec<String>,
}

impl CrashReport {
    /// Whether everything held.
    ///
    /// # Errors
    /// `unexpected`, naming every death after which something did not hold.
    pub fn check(&self) -> Result<()> {
        match &self.failures[..] {
            [] if self.deaths > 0 => Ok(()),
            [] => Err(Error::new(ErrorKind::Unexpected, format!("{}: nothing died", self.store))),
            failures => {
                let message =
                    format!("{}: wrong after {} deaths:\n  {}", self.store, failures.len(), failures.join("\n  "));
                Err(Error::new(ErrorKind::Unexpected, message))
            }
        }
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deaths, missed, wrong) = (self.deaths, self.missed.len(), self.failures.len());
        write!(f, "{}: {deaths} deaths, {missed} that did not come, wrong after {wrong}", self.store)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

/// Kills the engine at every request to `storage`, and at every record of its journal.
///
/// The store need not be empty; what the suite writes it deletes again.
///
/// # Errors
/// Of the store, where a mirror without any death fails, or what was made cannot be deleted;
/// `unsupported` if it is to copy by itself and does not.
pub async fn crashes(storage: &SharedStorage, options: Options) -> Result<CrashReport> {
    let root = format!("{}{:016x}/", options.prefix, options.env.random());
    let suite = Suite::new(storage, &root, &options).await?;
    let mut report =
        CrashReport { store: storage.url().to_owned(), deaths: 0, missed: Vec::new(), failures: Vec::new() };
    let whole = suite.mirror(&format!("{root}whole/"), &[]).await?;
    whole
        .failure
        .or(whole.left_open)
        .map_or(Ok(()), |why| Err(Error::new(ErrorKind::Unexpected, format!("without a death: {why}"))))?;
    let requests = options.requests.start..whole.requests.min(options.requests.end);
    let records = options.records.start..(whole.records + 1).min(options.records.end);
    let mut deaths: Vec<Death> =
        requests.flat_map(|at| [Death::Before(at), Death::During(at), Death::After(at)]).collect();
    deaths.extend(records.map(Death::Records));
    for (number, death) in deaths.into_iter().enumerate() {
        let at = number % whole.requests.max(1);
        let second = [Death::After(at), Death::Before(at), Death::During(at)][number / whole.requests.max(1) % 3];
        let both = [death, second];
        for deaths in if options.again { vec![&both[..1], &both[..]] } else { vec![&both[..1]] } {
            let mirror = believed(&suite, &format!("{root}{number}-{}/", deaths.len()), deaths).await?;
            let said: Vec<String> = deaths.iter().map(Death::to_string).collect();
            let said = said.join(", then ");
            report.deaths += mirror.deaths;
            report.missed.extend((mirror.deaths < deaths.len()).then(|| said.clone()));
            report.failures.extend(mirror.failure.or(mirror.left_open).map(|why| format!("{said}: {why}")));
        }
    }
    suite.end().await?;
    Ok(report)
}

/// A mirror with these deaths. The request that begins an upload may reach the store long
/// after its sender died, when nobody looks for it any more: an upload that is left open is
/// believed where it is left every time.
async fn believed(suite: &Suite, folder: &str, deaths: &[Death]) -> Result<Mirror> {
    let mut mirror = suite.mirror(folder, deaths).await?;
    for again in 1..BELIEVED {
        if mirror.left_open.is_none() || mirror.failure.is_some() {
            break;
        }
        mirror = suite.mirror(&format!("{folder}{again}/"), deaths).await?;
    }
    Ok(mirror)
}
