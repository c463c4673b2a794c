//! Runs all cases, one after the other.

use super::case::Case;
use super::fixture::Fixture;
use super::options::Options;
use super::report::Report;
use super::{
    attributes, conditions, copies, deletes, facets, interruptions, keys, limits, lists, multipart, objects, others,
    ranges, uploads, versions,
};
use crate::storage::SharedStorage;

/// Checks every promise of the contract against `storage`, one case after the other.
///
/// If the future is dropped, the objects of the running case stay in the store.
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
