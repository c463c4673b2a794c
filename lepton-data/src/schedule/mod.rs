//! Decides when a request starts: retries, lanes, concurrency and rate limits, pause and
//! cancellation.

pub(crate) mod concurrency_limit;
pub(crate) mod control;
pub(crate) mod endpoint;
pub(crate) mod handle;
pub(crate) mod lanes;
pub(crate) mod rate_limit;
pub(crate) mod retry;
pub(crate) mod run_control;
pub(crate) mod scheduler;
