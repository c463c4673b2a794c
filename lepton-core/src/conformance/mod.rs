//! The conformance suite: whether a store does what its
//! [`Capabilities`](crate::Capabilities) say.
//!
//! Each case asks for one promise of the contract. What the store declares it
//! must do exactly; what it declares as unsupported it must refuse by name, or
//! the case does not apply. The suite writes under a prefix that nobody else has
//! and deletes what it made; the store need not be empty. It tries nothing again: a store
//! behind a network, where a connection may break at any time, goes into the retry layer of
//! the providers first.
//!
//! ```
//! # use std::sync::Arc;
//! # use lepton_core::{MemoryStorage, SharedStorage, conformance};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store: SharedStorage = Arc::new(MemoryStorage::new());
//! conformance::run(&store, conformance::Options::new()).await.check()
//! # }).unwrap();
//! ```
//!
//! One file for each area: `facets`, `objects`, `ranges`, `attributes`,
//! `conditions`, `deletes`, `lists`, `keys`, `limits`, `multipart` (what uploads do),
//! `uploads` (what can go wrong with them), `copies`, `versions`, `interruptions`, `others`
//! (stores that are set up wrongly on purpose).

mod attributes;
mod bodies;
mod conditions;
mod copies;
mod deletes;
mod expect;
mod facets;
mod fixture;
mod interruptions;
mod keys;
mod limits;
mod lists;
mod multipart;
mod objects;
mod others;
mod ranges;
mod report;
mod uploads;
mod versions;

use futures_core::future::BoxFuture;

use self::expect::{Check, Stop};
use self::fixture::Fixture;
use crate::env::{SharedEnv, SystemEnv};
use crate::storage::SharedStorage;

pub use report::{CaseReport, Outcome, Report};

/// How the suite runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What the keys of the suite begin with; a random name follows.
    pub prefix: String,
    /// How many objects the longest listing has. More than a page of the store
    /// (S3: 1,000) shows whether the listing goes on.
    pub many: usize,
    /// Only cases whose name contains this.
    pub only: Option<String>,
    /// A store over a bucket that is not there.
    pub missing_bucket: Option<SharedStorage>,
    /// The same store with credentials that it does not take.
    pub wrong_credentials: Option<SharedStorage>,
    /// The same store with credentials that do not permit to write.
    pub read_only: Option<SharedStorage>,
    /// Another store of the same kind, which can copy from this one by itself.
    pub copier: Option<SharedStorage>,
    /// Randomness and time.
    pub env: SharedEnv,
}

impl Options {
    /// 1,100 objects, names that begin with `lepton-conformance-`, all cases.
    pub fn new() -> Self {
        Self {
            prefix: "lepton-conformance-".to_owned(),
            many: 1100,
            only: None,
            missing_bucket: None,
            wrong_credentials: None,
            read_only: None,
            copier: None,
            env: SystemEnv::shared(),
        }
    }

    /// Keys begin with this and a random name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The longest listing has so many objects.
    #[must_use]
    pub fn many(mut self, objects: usize) -> Self {
        self.many = objects;
        self
    }

    /// Only cases whose name contains this.
    #[must_use]
    pub fn only(mut self, part_of_name: impl Into<String>) -> Self {
        self.only = Some(part_of_name.into());
        self
    }

    /// Asks also this store, whose bucket is not there.
    #[must_use]
    pub fn missing_bucket(mut self, store: SharedStorage) -> Self {
        self.missing_bucket = Some(store);
        self
    }

    /// Asks also this store: the same, with credentials that it does not take.
    #[must_use]
    pub fn wrong_credentials(mut self, store: SharedStorage) -> Self {
        self.wrong_credentials = Some(store);
        self
    }

    /// Asks also this store: the same, with credentials that do not permit to write.
    #[must_use]
    pub fn read_only(mut self, store: SharedStorage) -> Self {
        self.read_only = Some(store);
        self
    }

    /// Has this other store copy from the store, and compares what it fetched with
    /// what the store gives. A store in memory is always asked.
    #[must_use]
    pub fn copier(mut self, store: SharedStorage) -> Self {
        self.copier = Some(store);
        self
    }

    /// With this randomness and time.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = env;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks `storage` for every promise of the contract, one case after the other.
///
/// Dropping the future leaves what the running case has made.
pub async fn run(storage: &SharedStorage, options: Options) -> Report {
    let mut report = Report::new(storage.url());
    let root = format!("{}{:016x}/", options.prefix, options.env.random());
    for (number, case) in all().into_iter().enumerate() {
        if options.only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
            continue;
        }
        let fixture = Fixture::new(storage, &format!("{root}{number:02}/"), &options);
        let done = (case.run)(fixture.clone()).await;
        let cleaned = fixture.clean().await.map_err(|stop| stop.while_doing("cleaning up"));
        report.add(case.name, done.and(cleaned));
    }
    report
}

/// One promise, and how to ask for it.
struct Case {
    name: &'static str,
    run: fn(Fixture) -> BoxFuture<'static, Check>,
}

/// Makes `cases()` of an area from its functions.
macro_rules! cases {
    ($area:literal: $($case:ident),* $(,)?) => {
        pub(super) fn cases() -> Vec<super::Case> {
            vec![$(super::Case {
                name: concat!($area, "/", stringify!($case)),
                run: |fixture| Box::pin($case(fixture)),
            }),*]
        }
    };
}
use cases;

fn all() -> Vec<Case> {
    let areas = [
        facets::cases,
        objects::cases,
        ranges::cases,
        attributes::cases,
        conditions::cases,
        deletes::cases,
        lists::cases,
        keys::cases,
        limits::cases,
        multipart::cases,
        uploads::cases,
        copies::cases,
        versions::cases,
        interruptions::cases,
        others::cases,
    ];
    areas.iter().flat_map(|cases| cases()).collect()
}
