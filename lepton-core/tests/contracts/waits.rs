//! The waiter, at providers that answer badly or not at all.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, future, stream};
use lepton_core::deployment::{
    Deployment, DeploymentCapabilities, DeploymentPlan, Finding, LogLine, LogRequest, LogStream, Observation,
    OperationKey, Reason, ReasonKind, Revision, RevisionId, Secrets, WaitOptions, WorkloadSpec, wait_until_absent,
    wait_until_ready,
};
use lepton_core::{Error, ErrorKind, Result, RetryClass, SystemRuntime};

/// The answer to one observation; the last one is repeated.
#[derive(Debug, Clone)]
enum Answer {
    Seen(Observation),
    Fails,
    Hangs,
}

#[derive(Debug, Clone, Copy)]
enum Log {
    Hangs,
    NeverEnds,
    Fails,
}

#[derive(Debug)]
struct Scripted {
    capabilities: DeploymentCapabilities,
    answers: Mutex<Vec<Answer>>,
    log: Log,
}

/// What the waiter does not call fails.
fn uncalled() -> Error {
    Error::unsupported("the scripted provider can only be observed")
}

#[async_trait]
impl Deployment for Scripted {
    fn capabilities(&self) -> &DeploymentCapabilities {
        &self.capabilities
    }

    fn url(&self) -> &'static str {
        "scripted:"
    }

    async fn preflight(&self, _: &WorkloadSpec) -> Result<Vec<Finding>> {
        Err(uncalled())
    }

    async fn plan(&self, _: &WorkloadSpec, _: &Secrets) -> Result<DeploymentPlan> {
        Err(uncalled())
    }

    async fn apply(&self, _: &WorkloadSpec, _: &Secrets, _: &OperationKey) -> Result<RevisionId> {
        Err(uncalled())
    }

    async fn observe(&self, _: &str) -> Result<Option<Observation>> {
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        };
        match answer {
            Answer::Seen(seen) => Ok(Some(seen)),
            Answer::Fails => {
                Err(Error::new(ErrorKind::Unavailable, "the control plane is away").with_retry(RetryClass::Now))
            }
            Answer::Hangs => future::pending().await,
        }
    }

    async fn revisions(&self, _: &str) -> Result<Vec<Revision>> {
        Err(uncalled())
    }

    async fn scale(&self, _: &str, _: u32) -> Result<()> {
        Err(uncalled())
    }

    fn logs(&self, _: &str, _: LogRequest) -> LogStream {
        let line = |number: u32| Ok(LogLine::new("1", None, format!("{number} {}", "ö".repeat(100_000))));
        match self.log {
            Log::Hangs => stream::iter([line(0)]).chain(stream::pending()).boxed(),
            Log::NeverEnds => stream::iter((0..).map(line)).boxed(),
            Log::Fails => stream::iter([Err(Error::new(ErrorKind::Io, "the log is damaged"))]).boxed(),
        }
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Err(uncalled())
    }

    async fn find(&self, _: &str) -> Result<Vec<String>> {
        Err(uncalled())
    }
}

/// One replica of revision 1, with so many restarts.
fn seen(ready: u32, restarts: u32) -> Answer {
    let mut seen = Observation::new(RevisionId::new("1"), 1);
    (seen.updated, seen.ready, seen.restarts) = (1, ready, restarts);
    seen.reasons.push(Reason::new(ReasonKind::ProbeFailed, "status 503"));
    Answer::Seen(seen)
}

fn scripted(answers: impl IntoIterator<Item = Answer>, log: Log) -> Scripted {
    Scripted { capabilities: DeploymentCapabilities::new(), answers: Mutex::new(answers.into_iter().collect()), log }
}

#[allow(clippy::disallowed_methods, reason = "the limit of a test")]
async fn ready(deployment: &Scripted) -> Result<Observation> {
    let options = WaitOptions::new().deadline(Duration::from_millis(50)).period(Duration::from_millis(5));
    let (env, revision) = (SystemRuntime::shared(), RevisionId::new("1"));
    let wait = wait_until_ready(deployment, "shop", &revision, &options, &*env, |_| {});
    // Tests that hang have a paused clock, which jumps to this time.
    tokio::time::timeout(Duration::from_secs(1 << 24), wait).await.expect("the wait has not ended")
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_although_the_provider_or_its_log_hangs() {
    let error = ready(&scripted([seen(0, 0), Answer::Hangs], Log::Hangs)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, RetryClass::Never));
    let text = error.to_string();
    assert!(text.contains("status 503") && text.contains("does not answer"), "{text}");
}

#[tokio::test]
async fn the_last_reasons_are_reported_although_the_last_observation_failed() {
    let error = ready(&scripted([seen(0, 0), Answer::Fails], Log::Fails)).await.unwrap_err().to_string();
    for part in ["status 503", "the control plane is away", "the log is damaged"] {
        assert!(error.contains(part), "{part} is missing: {error}");
    }
    let (options, env) = (WaitOptions::new().deadline(Duration::ZERO), SystemRuntime::shared());
    let left = scripted([seen(0, 0)], Log::Fails);
    let error = wait_until_absent(&left, "shop", &options, &*env).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("status 503"), "{error}");
}

#[tokio::test]
async fn the_quoted_log_is_short() {
    let error = ready(&scripted([seen(0, 0)], Log::NeverEnds)).await.unwrap_err().to_string();
    assert!(error.contains("[1] 0 ö") && error.len() < 20_000, "{} bytes", error.len());
}

#[tokio::test]
async fn restarts_before_the_wait_do_not_count() {
    let restarted = (0..9).map(|more| seen(0, 100 + more));
    ready(&scripted([seen(0, 100), seen(0, 103), seen(1, 104)], Log::Fails)).await.unwrap();
    let error = ready(&scripted(restarted, Log::Fails)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("restarted 6 times"), "{error}");
}
