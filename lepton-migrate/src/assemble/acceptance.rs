//! The acceptance tests of the specification.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::deployment::{Deployment, Endpoint};
use lepton_core::resolver::{HttpAnswer, HttpRequest, ProgramRun, Resolver};
use lepton_core::{Error, ErrorKind, Result};

use super::places::Places;
use crate::driver::AcceptanceTest;
use crate::spec::{HttpTest, MigrationSpec, TestAction, TestSpec, TestTarget};

/// A test of the specification.
pub(super) struct SpecTest {
    spec: TestSpec,
    /// The workload that a request is sent to: where it runs, its name and its port.
    target: Option<(Arc<dyn Deployment>, String, String)>,
    resolver: Arc<dyn Resolver>,
}

impl fmt::Debug for SpecTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecTest").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl SpecTest {
    pub(super) fn new(
        test: &TestSpec,
        spec: &MigrationSpec,
        places: &Places,
        resolver: &Arc<dyn Resolver>,
    ) -> Result<Self> {
        let target = match &test.action {
            TestAction::Http { target: TestTarget::Workload(name), .. } => {
                let missing =
                    || Error::invalid_input(format!("the test {} names no routed workload: {name}", test.name));
                let entry = spec.workloads.iter().find(|entry| entry.name() == name).ok_or_else(missing)?;
                let place = places.get(&entry.deployment).ok_or_else(missing)?;
                Some((Arc::clone(place), name.clone(), entry.route.clone().ok_or_else(missing)?))
            }
            _ => None,
        };
        Ok(Self { spec: test.clone(), target, resolver: Arc::clone(resolver) })
    }

    /// The scheme and authority of the requests.
    async fn authority(&self, target: &TestTarget) -> Result<String> {
        let (place, name, port) = match (target, &self.target) {
            (TestTarget::Url(url), _) => return Ok(url.trim_end_matches('/').to_owned()),
            (TestTarget::Workload(_), Some(target)) => target,
            (TestTarget::Workload(name), None) => {
                return Err(Error::invalid_input(format!("there is no workload {name}")));
            }
        };
        let seen = place.observe(name).await?;
        let serves = |endpoint: &&Endpoint| endpoint.port == *port && endpoint.ready && !endpoint.terminating;
        let endpoint = seen.iter().flat_map(|seen| &seen.endpoints).find(serves);
        let none = || Error::new(ErrorKind::Unavailable, format!("the workload {name} has no ready endpoint {port}"));
        Ok(format!("http://{}", endpoint.ok_or_else(none)?.address))
    }
}

#[async_trait]
impl AcceptanceTest for SpecTest {
    fn name(&self) -> &str {
        &self.spec.name
    }

    async fn run(&self) -> Result<()> {
        match &self.spec.action {
            TestAction::Command(command) => {
                self.resolver.run(ProgramRun::new(command.clone(), self.spec.timeout)).await
            }
            TestAction::Http { target, http } => {
                let url = format!("{}{}", self.authority(target).await?, http.path);
                let request = HttpRequest::new(&http.method, url).headers(http.headers.clone());
                let request = request.body(http.body.clone()).timeout(self.spec.timeout);
                let answer = self.resolver.send(request).await?;
                compare(http, &answer)
            }
        }
    }
}

/// Compares the answer with what the test expects. The error goes into the journal: it shows
/// nothing of the body and of the values of headers, which could hold users' data or secrets.
fn compare(expected: &HttpTest, answer: &HttpAnswer) -> Result<()> {
    let (status, len) = (answer.status, answer.body.len());
    let wrong = |what: String| {
        let message = format!("{what}; the answer has status {status} and a body of {len} bytes");
        Err(Error::new(ErrorKind::PreconditionFailed, message))
    };
    if status != expected.status {
        return wrong(format!("the status is not {}", expected.status));
    }
    for (name, value) in &expected.expect_headers {
        match answer.headers.get(&name.to_ascii_lowercase()) {
            Some(found) if found == value => {}
            Some(_) => return wrong(format!("the header {name} has another value than the expected one")),
            None => return wrong(format!("there is no header {name}")),
        }
    }
    match &expected.contains {
        Some(text) if !String::from_utf8_lossy(&answer.body).contains(text.as_str()) => {
            wrong("the body does not contain the expected text".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_answer_is_compared_by_status_headers_and_body() {
        let headers = BTreeMap::from([("x-item".to_owned(), "1".to_owned())]);
        let answer = HttpAnswer::new(200, headers, "hello world".into());
        let expect = |change: fn(&mut HttpTest)| {
            let mut test = HttpTest::default();
            change(&mut test);
            compare(&test, &answer).map_err(|error| error.to_string())
        };
        assert_eq!(expect(|_| {}), Ok(()));
        assert_eq!(expect(|test| test.contains = Some("lo wo".into())), Ok(()));
        assert_eq!(expect(|test| drop(test.expect_headers.insert("X-Item".into(), "1".into()))), Ok(()));
        for (change, what) in [
            ((|test| test.status = 201) as fn(&mut HttpTest), "the status is not 201; the answer has status 200"),
            (|test| test.contains = Some("bye".into()), "does not contain"),
            (|test| drop(test.expect_headers.insert("x-item".into(), "2".into())), "x-item has another value"),
            (|test| drop(test.expect_headers.insert("x-other".into(), "2".into())), "no header x-other"),
        ] {
            let error = expect(change).unwrap_err();
            assert!(error.contains(what) && error.contains("11 bytes") && !error.contains("hello"), "{error}");
        }
    }
}
