//! Requests before they are authorised, and replies that are not refusals.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use lepton_core::{Effect, Error, ErrorKind, KeyRules, ObjectKey, Result};

use super::encode::Query;
use super::refusal::{Condition, for_condition};
use super::secrets::Secrets;
use crate::transport::ResponseBody;

/// The most of an unneeded body that is read, in bytes.
const LONGEST_REST: usize = 64 << 10;

/// What the errors of a request depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) key: Option<&'a ObjectKey>,
    /// Whether it can change something.
    pub(crate) writes: bool,
    pub(crate) condition: Condition,
}

impl Call<'_> {
    /// Adds the operation, the name of the bucket and the key to an error.
    pub(crate) fn named(&self, error: Error, (kind, bucket): (&'static str, &str)) -> Error {
        let error = error.with_operation(self.operation).with_context(kind, bucket);
        match self.key {
            Some(key) => error.with_context("key", key),
            None => error,
        }
    }

    /// The error of a request that failed. It has the effect `None` if the request only
    /// reads.
    pub(crate) fn failed(&self, error: Error, bucket: (&'static str, &str)) -> Error {
        let error = if self.writes { error } else { error.with_effect(Effect::None) };
        self.named(for_condition(error, self.condition), bucket)
    }

    /// The effect of a request whose reply cannot be read.
    pub(crate) fn unread(&self) -> Effect {
        if self.writes { Effect::Unknown } else { Effect::None }
    }
}

/// A request with a payload of the type `P`. `T` is where it goes, unless the store and the
/// key say it.
#[derive(Debug)]
pub(crate) struct Request<'a, P, T> {
    pub(crate) call: Call<'a>,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: P,
    pub(crate) target: T,
    /// How long the server may process it without sending anything.
    pub(crate) response_timeout: Duration,
}

impl<'a, P: Default, T: Default> Request<'a, P, T> {
    pub(crate) fn new(operation: &'static str, method: Method, key: Option<&'a ObjectKey>) -> Self {
        let writes = method != Method::GET && method != Method::HEAD;
        Self {
            call: Call { operation, key, writes, condition: Condition::None },
            method,
            query: Query::new(),
            headers: HeaderMap::new(),
            payload: P::default(),
            target: T::default(),
            response_timeout: Duration::ZERO,
        }
    }

    pub(crate) fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    pub(crate) fn payload(mut self, payload: P) -> Self {
        self.payload = payload;
        self
    }

    pub(crate) fn condition(mut self, condition: Condition) -> Self {
        self.call.condition = condition;
        self
    }

    pub(crate) fn target(mut self, target: T) -> Self {
        self.target = target;
        self
    }

    pub(crate) fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }
}

/// A reply that is not a refusal. `C` is what the server checked of the payload.
pub(crate) struct Reply<C = ()> {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
    pub(crate) check: C,
    /// The secrets that the request was sent with.
    pub(crate) secrets: Secrets,
}

impl<C> Reply<C> {
    /// Reads the document in the body. It may quote the secrets of the request, which are
    /// the third element.
    pub(crate) async fn document(self, longest: usize) -> Result<(HeaderMap, Bytes, Secrets)> {
        Ok((self.headers, self.body.read(longest).await?, self.secrets))
    }

    /// Reads the rest of the body, so that the connection can be reused.
    pub(crate) async fn drain(self) {
        // The request has succeeded; only the connection could suffer.
        let _ = self.body.read(LONGEST_REST).await;
    }
}

/// Refuses a key that these rules do not keep exactly.
pub(crate) fn check_key(rules: &KeyRules, key: &ObjectKey, operation: &'static str) -> Result<()> {
    rules.check(key).map_err(|error| error.with_operation(operation))
}

/// The error of a reply that is no valid answer to its request.
pub(crate) fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("the store's answer makes no sense: {why}"))
}

/// The error of a document that lacks something or contradicts itself.
pub(crate) fn unexpected(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unexpected, why)
}
