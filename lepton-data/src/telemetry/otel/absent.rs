//! Empty instruments, used if OpenTelemetry is not built in.

use std::time::Duration;

use lepton_core::{Error, ErrorKind};

use crate::telemetry::operation::Operation;
use crate::types::side::Side;

#[derive(Debug, Default)]
pub(crate) struct Instruments;

impl Instruments {
    pub(crate) fn request(&self, _: Side, _: Operation, _: Duration, _: Option<&Error>) {}
    pub(crate) fn throttled(&self, _: Side) {}
    pub(crate) fn moved(&self, _: &'static str, _: u64) {}
    pub(crate) fn retried(&self, _: ErrorKind) {}
    pub(crate) fn copied(&self, _: u64, _: Duration) {}
    pub(crate) fn ended(&self, _: &'static str) {}
}
