//! Metrics of OpenTelemetry, where the feature is on.

#[cfg(not(feature = "otel-metrics"))]
mod absent;
#[cfg(feature = "otel-metrics")]
mod instruments;

#[cfg(not(feature = "otel-metrics"))]
pub(crate) use absent::Instruments;
#[cfg(feature = "otel-metrics")]
pub(crate) use instruments::Instruments;
