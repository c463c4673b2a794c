//! Lepton moves objects between clouds and disks and proves the result with a manifest. This
//! crate is the only dependency you need: it re-exports the contracts ([`lepton_core`]), the
//! backends ([`lepton_providers`]) and the transfer engine ([`lepton_data`]).
//!
//! ```toml
//! [dependencies]
//! lepton = { package = "lepton-cloud", git = "https://github.com/lepton-rs/lepton" }
//! ```
//!
//! ```no_run
//! use lepton::{VerifyDepth, Status, Transfer, open, verify};
//!
//! # async fn move_photos() -> lepton::Result<()> {
//! let source = open("s3://photos?region=eu-west-1&profile=old-cloud").await?;
//! let destination = open("s3://photos?endpoint=https://s3.new-cloud.example&profile=new-cloud").await?;
//!
//! // If this is killed at any moment, running it again resumes where it stopped.
//! let transfer = Transfer::builder().from(source).to(destination.clone()).journal("photos.journal").build()?;
//! let report = transfer.run().await?;
//! for failure in &report.failures {
//!     eprintln!("{}: {}", failure.key, failure.error);
//! }
//!
//! // The manifest proves the move to anyone who has it, now or later.
//! if report.status == Status::Complete && let Some(manifest) = &report.manifest {
//!     let found = verify(manifest, &destination, VerifyDepth::Full).await?;
//!     assert!(found.is_proven(), "{:?}", found.problems);
//! }
//! # Ok(()) }
//! ```
//!
//! - To move data: [`Transfer`]; to prove it: [`verify`].
//! - To reach a store: [`open`], or the builders in [`providers`].
//! - To write a backend: [`Storage`] in [`core`], and its conformance suite
//!   (feature `conformance`).
//! - Errors: [`Error`] with its [`ErrorKind`], [`RetryClass`] and [`Effect`].
//!
//! Features: `local` and `s3` (default), `azure`, `gcs`, `http`, `process`, `router` and `migrate`
//! (where workloads run, the route to them, and the driver of a whole migration; unstable), `conformance`, `object-store`
//! (adapters to and from the stores of that crate: `interop`), `otel-metrics` (exports a run's
//! metrics through the `opentelemetry` crate).

#[cfg(feature = "object-store")]
pub mod interop;

pub use lepton_core as core;
pub use lepton_core::{
    Attributes, Capabilities, Effect, Error, ErrorKind, KeyPrefix, Location, MemoryStorage, ObjectKey, ObjectMeta,
    Result, RetryClass, SharedStorage, Storage, StorageExt,
};
pub use lepton_data as data;
pub use lepton_data::{
    Compare, ExistingPolicy, Filters, MetadataPolicy, PrefixMap, Progress, Report, Status, Transfer, TransferBuilder,
    TransferConfig, TransferHandle, Verification, VerificationHandle, Verifier, VerifyDepth, verify,
};
#[cfg(feature = "migrate")]
pub use lepton_migrate as migrate;
pub use lepton_providers as providers;
pub use lepton_providers::open;

/// The README's sample, compiled as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The samples of the guides, compiled as documentation tests.
#[cfg(doctest)]
mod guides {
    #[cfg(feature = "conformance")]
    #[doc = include_str!("../docs/backends.md")]
    struct Backends;
    #[doc = include_str!("../docs/deleting.md")]
    struct Deleting;
    #[doc = include_str!("../docs/resuming.md")]
    struct Resuming;
    #[doc = include_str!("../docs/verifying.md")]
    struct Verifying;
}
