//! A run exports what it measures through OpenTelemetry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use lepton_core::{ErrorKind, RetryClass, StorageExt as _};
use lepton_data::ExistingPolicy;
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use support::faulty::{Fault, Faulty};
use support::*;

fn attributes<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut all: Vec<String> = attributes.map(|one| format!("{}={}", one.key, one.value)).collect();
    all.sort();
    all.join(",")
}

/// Each series as `name unit attributes`: of a counter its value, of a histogram how many
/// values it has.
fn series(exported: &[ResourceMetrics]) -> BTreeMap<String, u64> {
    let metrics = exported.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(ScopeMetrics::metrics);
    let mut series = BTreeMap::new();
    for metric in metrics {
        let points: Vec<(String, u64)> = match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                sum.data_points().map(|point| (attributes(point.attributes()), point.value())).collect()
            }
            AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                histogram.data_points().map(|point| (attributes(point.attributes()), point.count())).collect()
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().map(|point| (attributes(point.attributes()), point.count())).collect()
            }
            other => panic!("{} is {other:?}", metric.name()),
        };
        series.extend(
            points
                .into_iter()
                .map(|(of, value)| (format!("{} {} {of}", metric.name(), metric.unit()).trim_end().to_owned(), value)),
        );
    }
    series
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_and_histograms_are_exported() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    global::set_meter_provider(provider.clone());
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("large", 3 * MIB), ("same", 30)]).await;
    to.write(&key("same"), bytes(3, 30)).await.unwrap();
    let mut left = 2;
    let throttled = move |call: &str, _: &lepton_core::ObjectKey| {
        let fails = call == "put" && left > 0;
        left -= i32::from(fails);
        fails.then_some(Fault::Fail(ErrorKind::Throttled, RetryClass::Now))
    };
    let transfer = transfer(shared(&from), Arc::new(Faulty::new(&to, throttled))).existing(ExistingPolicy::IfDifferent);
    let report = transfer.build().unwrap().run().await.unwrap();
    assert_eq!((report.objects, report.unchanged, report.retries), (2, 1, 2));
    provider.force_flush().unwrap();
    let series = series(&exporter.get_finished_metrics().unwrap());
    let bytes = 10 + 3 * MIB as u64;
    for (name, value) in [
        ("lepton.objects {object} lepton.outcome=copied", 2),
        ("lepton.objects {object} lepton.outcome=unchanged", 1),
        ("lepton.object.size By", 2),
        ("lepton.object.duration s", 2),
        ("lepton.io By lepton.io.direction=read", bytes),
        ("lepton.io By lepton.io.direction=sent", bytes),
        ("lepton.retries {request} error.type=throttled", 2),
        ("lepton.throttled {request} lepton.side=destination", 2),
        ("lepton.request.duration s lepton.operation=put,lepton.side=destination", 1),
        ("lepton.request.duration s error.type=throttled,lepton.operation=put,lepton.side=destination", 2),
        ("lepton.request.duration s lepton.operation=part,lepton.side=destination", 3),
        ("lepton.request.duration s lepton.operation=complete,lepton.side=destination", 1),
        ("lepton.request.duration s lepton.operation=list,lepton.side=source", 1),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in {series:#?}");
    }
    let page = include_str!("../../docs/observe.md");
    for name in series.keys() {
        let mut words = name.split([' ', ',']);
        let (metric, unit) = (words.next().unwrap(), words.next().unwrap());
        let row = format!("| `{metric}` | `{unit}` | ");
        let row =
            page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("docs/observe.md lacks {row}"));
        for attribute in words {
            let attribute = attribute.split('=').next().unwrap();
            assert!(row.contains(&format!("`{attribute}`")), "docs/observe.md: {metric} lacks {attribute}");
        }
    }
}
