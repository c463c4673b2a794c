//! The public suite.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::conformance::traffic::{Options, Subject, User, run};
use lepton_core::data_set::Side;
use lepton_core::{Result, SystemRuntime};

use crate::site::Site;
use crate::user::ask;

#[derive(Debug)]
struct HttpUser(SocketAddr);

#[async_trait]
impl User for HttpUser {
    async fn request(&self, writes: bool) -> Result<Option<Side>> {
        let answer = ask(self.0, if writes { "POST" } else { "GET" }, "/").await;
        Ok(match (answer.status, answer.body.as_str()) {
            (200, "A") => Some(Side::A),
            (200, "B") => Some(Side::B),
            (503, _) if answer.has("retry-after: ") => None,
            _ => panic!("{answer:?}"),
        })
    }
}

#[tokio::test]
async fn the_router_passes_the_suite() {
    let mut sites = Vec::new();
    let report = run(Options::new(), async || {
        let site = Site::start().await;
        let subject =
            Subject::new(Arc::new(site.traffic.clone()), Arc::new(HttpUser(site.address)), SystemRuntime::shared());
        sites.push(site);
        Ok(subject)
    })
    .await;
    report.check().unwrap();
    assert!(report.passed() >= 14, "{report:?}");
}
