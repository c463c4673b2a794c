//! OpenTelemetry metrics, if the feature is enabled.

#[cfg(not(feature = "otel-metrics"))]
mod absent;
#[cfg(feature = "otel-metrics")]
mod instruments;

#[cfg(not(feature = "otel-metrics"))]
pub(crate) use absent::Instruments;
#[cfg(feature = "otel-metrics")]
pub(crate) use instruments::Instruments;
