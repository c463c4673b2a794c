//! Counters, progress and metrics.

pub(crate) mod counters;
pub(crate) mod instrumented;
pub(crate) mod metrics;
pub(crate) mod observer;
pub(crate) mod operation;
pub(crate) mod otel;
pub(crate) mod progress;
pub(crate) mod recent_rate;
pub(crate) mod retry_count;
