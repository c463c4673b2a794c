//! Errors of a request that got no response, and whether anything was sent.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use hyper_util::client::legacy;
use lepton_core::{Effect, Error, ErrorKind, RetryClass};

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// The host name could not be resolved.
#[derive(Debug)]
pub(super) struct DnsError(pub(super) io::Error);

/// No connection was established within the timeout.
#[derive(Debug)]
pub(super) struct ConnectTimeout(pub(super) Duration);

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {:?}", self.0)
    }
}

impl StdError for DnsError {}
impl StdError for ConnectTimeout {}

/// The error of a request that was not answered. Its effect is `None` if nothing can have
/// reached the server, otherwise `Unknown`. `plain`: it was sent without TLS and without a proxy.
pub(super) fn unanswered(error: legacy::Error, host: &str, plain: bool) -> Error {
    if error.is_connect() {
        return not_connected(error, host);
    }
    let never_sent = find::<hyper::Error>(&error).is_some_and(hyper::Error::is_canceled);
    let effect = if never_sent { Effect::None } else { Effect::Unknown };
    let message = if plain {
        "the connection broke before the answer came; if the server speaks TLS, the endpoint begins with https://"
    } else {
        "the connection broke before the answer came"
    };
    broken(message, error).with_effect(effect).with_context("host", host)
}

fn not_connected(error: legacy::Error, host: &str) -> Error {
    let exhausted = find::<io::Error>(&error).is_some_and(|error| ErrorKind::from(error) == ErrorKind::Throttled);
    let (kind, retry, message) = if exhausted {
        let message =
            "too many files are open for another connection; raise the limit (ulimit -n) or lower concurrency";
        (ErrorKind::Throttled, RetryClass::Now, message)
    } else if find::<io::Error>(&error).is_some_and(|error| error.kind() == io::ErrorKind::Unsupported) {
        (ErrorKind::Unsupported, RetryClass::Never, "no connection can be made through this proxy")
    } else if let Some(dns) = find::<DnsError>(&error) {
        // Only the resolver's message distinguishes "no such name" from "try again
        // later".
        let later = dns.0.to_string().contains("Temporary failure");
        (
            ErrorKind::HostNotFound,
            if later { RetryClass::Now } else { RetryClass::Never },
            "the host name does not resolve",
        )
    } else if let Some(tls) = find::<rustls::Error>(&error) {
        (ErrorKind::Tls, RetryClass::Never, tls_message(tls))
    } else if find::<ConnectTimeout>(&error).is_some() {
        (ErrorKind::Timeout, RetryClass::Now, "no connection was made in time")
    } else {
        (ErrorKind::Network, RetryClass::Now, "no connection could be made")
    };
    Error::new(kind, message).with_retry(retry).with_context("host", host).with_source(error)
}

fn tls_message(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "the server's certificate is not trusted; check the endpoint's name, or set ca_file to its authority"
        }
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS; should the endpoint begin with http://?",
        _ => "the TLS handshake failed",
    }
}

/// A broken connection, which is worth a retry.
pub(super) fn broken(message: &'static str, source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Network, message).with_retry(RetryClass::Now).with_source(source)
}

/// Nothing was received for `limit`.
pub(super) fn idle(limit: Duration) -> Error {
    let message = format!("nothing was received from the server for {}", humantime::format_duration(limit));
    Error::new(ErrorKind::Timeout, message).with_retry(RetryClass::Now)
}

/// An answer came a few bytes at a time: so many bytes within `most`.
pub(super) fn dripping(received: u64, most: Duration) -> Error {
    let message =
        format!("the answer came too slowly: {received} bytes in more than {}", humantime::format_duration(most));
    Error::new(ErrorKind::Timeout, message).with_retry(RetryClass::Now)
}

/// The first error of this type in the chain of causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error that wraps another error leaves that one out of its chain.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}
