//! The measurements of a run as instruments of OpenTelemetry, from the global meter
//! provider. If none is set, the calls do nothing.

use std::time::Duration;

use lepton_core::{Error, ErrorKind};
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::telemetry::operation::Operation;
use crate::types::side::Side;

/// The upper bounds of the time buckets, in seconds.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The upper bounds of the size buckets: from 1 KiB to 4 TiB by factors of 16.
const BYTES: [f64; 9] = [
    1024.0,
    16_384.0,
    262_144.0,
    4_194_304.0,
    67_108_864.0,
    1_073_741_824.0,
    17_179_869_184.0,
    274_877_906_944.0,
    4_398_046_511_104.0,
];

#[derive(Debug)]
pub(crate) struct Instruments {
    requests: Histogram<f64>,
    objects: Counter<u64>,
    object_time: Histogram<f64>,
    object_size: Histogram<u64>,
    moved: Counter<u64>,
    retries: Counter<u64>,
    throttled: Counter<u64>,
}

impl Default for Instruments {
    fn default() -> Self {
        let meter = global::meter("lepton");
        let counter = |name, unit, what| meter.u64_counter(name).with_unit(unit).with_description(what).build();
        let time = |name, what| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let size = meter.u64_histogram("lepton.object.size").with_unit("By").with_boundaries(BYTES.to_vec());
        Self {
            requests: time("lepton.request.duration", "Time of requests; of a get, until its first byte."),
            objects: counter("lepton.objects", "{object}", "Objects that have come to an end."),
            object_time: time("lepton.object.duration", "Time of objects that were copied, waits included."),
            object_size: size.with_description("Size of objects that were copied.").build(),
            moved: counter("lepton.io", "By", "Bytes that were read and sent."),
            retries: counter("lepton.retries", "{request}", "Requests that were tried again."),
            throttled: counter("lepton.throttled", "{request}", "Requests that a store refused as too many."),
        }
    }
}

impl Instruments {
    pub(crate) fn request(&self, side: Side, operation: Operation, took: Duration, error: Option<&Error>) {
        let (side, operation) = (of(side), KeyValue::new("lepton.operation", operation.name()));
        match error {
            None => self.requests.record(took.as_secs_f64(), &[side, operation]),
            Some(error) => self.requests.record(took.as_secs_f64(), &[side, operation, error_type(error.kind())]),
        }
    }

    pub(crate) fn throttled(&self, side: Side) {
        self.throttled.add(1, &[of(side)]);
    }

    pub(crate) fn moved(&self, direction: &'static str, bytes: u64) {
        self.moved.add(bytes, &[KeyValue::new("lepton.io.direction", direction)]);
    }

    pub(crate) fn retried(&self, kind: ErrorKind) {
        self.retries.add(1, &[error_type(kind)]);
    }

    pub(crate) fn copied(&self, size: u64, took: Duration) {
        self.object_time.record(took.as_secs_f64(), &[]);
        self.object_size.record(size, &[]);
    }

    pub(crate) fn ended(&self, outcome: &'static str) {
        self.objects.add(1, &[KeyValue::new("lepton.outcome", outcome)]);
    }
}

fn of(side: Side) -> KeyValue {
    KeyValue::new("lepton.side", side.name())
}

fn error_type(kind: ErrorKind) -> KeyValue {
    KeyValue::new("error.type", kind.code())
}
