//! Determines which step really failed, and what to do about it.

use lepton::{Error, ErrorKind, Result};

use crate::place::About;

/// The advice if `http://` leads to a TLS port.
pub(crate) const SPEAKS_TLS: &str = "The server speaks TLS at this port: begin the endpoint with https://.";

/// The error codes of stores that report an invalid session token with a status that means a
/// missing permission.
const ABOUT_TOKENS: [&str; 3] = ["InvalidTokenId", "InvalidToken", "ExpiredToken"];

/// The step that really failed, if the error shows it.
pub(crate) fn culprit<'a>(step: &'a str, error: &Error, about: &About) -> &'a str {
    // Once requests have arrived and were authorised, the failing step is the step itself.
    if about.reached {
        return step;
    }
    let unanswered = error.status().is_none();
    match error.kind() {
        ErrorKind::HostNotFound | ErrorKind::Network | ErrorKind::Timeout if about.proxy.is_some() && unanswered => {
            "proxy"
        }
        _ if error.status() == Some(407) => "proxy",
        ErrorKind::HostNotFound => "resolve",
        ErrorKind::Network | ErrorKind::Timeout => "connect",
        ErrorKind::Tls => "tls",
        ErrorKind::ClockSkew => "clock",
        ErrorKind::Unauthenticated => "credentials",
        ErrorKind::PermissionDenied if about.anonymous || is_about_token(error) => "credentials",
        ErrorKind::BucketNotFound if is_of_a_disk(error) => "folder",
        ErrorKind::BucketNotFound if is_of_a_web_server(error) => step,
        ErrorKind::BucketNotFound => "bucket",
        _ => step,
    }
}

fn is_of_a_disk(error: &Error) -> bool {
    error.context("root").is_some()
}

fn is_of_a_web_server(error: &Error) -> bool {
    error.context("folder").is_some()
}

fn is_about_token(error: &Error) -> bool {
    error.code().is_some_and(|code| ABOUT_TOKENS.contains(&code))
}

/// What to do about the failure.
pub(crate) fn advice(step: &str, error: &Error, about: &About) -> String {
    let words = match (step, error.kind()) {
        ("proxy", _) => {
            "Check the proxy's address, and its user and password; NO_PROXY names hosts to reach without it."
        }
        ("credentials", ErrorKind::PermissionDenied) if about.anonymous => {
            "No credentials are sent, and the store does not let everybody in: leave anonymous out."
        }
        ("credentials", _) if is_about_token(error) => {
            "Get a new session token: this one has expired, or does not belong to the key."
        }
        (_, ErrorKind::NotFound) => not_found(step),
        (_, ErrorKind::Tls) => tls(error),
        (_, kind) => general(kind, error),
    };
    let words = if step == "delete" { format!("{words} Delete the probe by hand.") } else { words.to_owned() };
    match &about.proxy {
        Some(proxy) if step == "proxy" || error.code().is_none() && error.kind() != ErrorKind::Tls => {
            format!("{words} Requests go through the proxy that {proxy} names.")
        }
        _ => words,
    }
}

fn not_found(step: &str) -> &'static str {
    match step {
        "list" => "Nothing is at this address: check endpoint, path and bucket.",
        "write" => "The place could be listed, and cannot be written to: check the folder and the endpoint.",
        "delete" => "Something else deletes here at the same time.",
        _ => "What was just written is not there: is something else deleting, or the store delayed?",
    }
}

fn tls(error: &Error) -> &'static str {
    let report = error.full_message();
    let has = |words: &str| report.contains(words);
    if has("does not speak TLS") {
        return "Begin the endpoint with http:// if it is to be without encryption, or check its port.";
    }
    if has("not valid for name") || has("NotValidForName") {
        return "The certificate is that of another name: write the endpoint with a name that the certificate has.";
    }
    if has("expired") || has("Expired") || has("not valid yet") || has("NotValidYet") {
        return "The certificate is not valid at this time: check this machine's clock, or have it renewed.";
    }
    if has("UnknownIssuer") || has("CaUsedAsEndEntity") || has("BadSignature") {
        return "Nobody whom this machine trusts vouches for the certificate: set ca_file to that of its authority.";
    }
    "Check that the endpoint's name is that of its certificate, or set ca_file."
}

fn general(kind: ErrorKind, error: &Error) -> &'static str {
    match kind {
        ErrorKind::HostNotFound => "Check the spelling of the endpoint, and that this machine resolves names.",
        ErrorKind::Network => "Check host and port of the endpoint, that the server runs, and firewalls and proxies.",
        ErrorKind::Timeout => "The server did not answer in time; check the endpoint, or raise idle_timeout.",
        ErrorKind::ClockSkew => "Set this machine's clock.",
        ErrorKind::Unauthenticated if is_about_region(error) => "Set region to that of the bucket.",
        ErrorKind::Unauthenticated => "Check key, secret and token, and that they belong to this store.",
        ErrorKind::PermissionDenied => "The credentials are good; give them the permission for this operation.",
        ErrorKind::BucketNotFound if is_of_a_disk(error) => "Check the spelling, or make the folder.",
        ErrorKind::BucketNotFound if is_of_a_web_server(error) => not_found("list"),
        ErrorKind::BucketNotFound => "Check the spelling, the account and the region, or make it.",
        ErrorKind::InvalidInput if error.status().is_some() => {
            "The server refuses what other stores understand: check that the endpoint is that of such a store."
        }
        ErrorKind::InvalidInput => "Correct the setting that the message names.",
        ErrorKind::Unsupported => "The store cannot do this; the message names what.",
        ErrorKind::ReadOnly => "The place can only be read from; --read-only checks no more than that.",
        ErrorKind::OutOfSpace => "Free space or quota.",
        ErrorKind::ChecksumMismatch => "Something on the way changes bytes: check proxies, and the store itself.",
        ErrorKind::Throttled | ErrorKind::Unavailable => "The store is busy or down; try again later.",
        ErrorKind::Conflict => "Delete it by hand, and look who else writes here.",
        _ => "See the page on errors in the book.",
    }
}

fn is_about_region(error: &Error) -> bool {
    error.code() == Some("AuthorizationHeaderMalformed") || error.message().contains("region")
}

/// Whether a plain request may have reached a TLS port: the connection broke, or something that
/// is not a store refused the request.
pub(crate) fn may_speak_tls(step: &str, error: &Error) -> bool {
    step == "connect" || (error.status() == Some(400) && error.code().is_none())
}

/// Whether this is the result of a request to a TLS port.
pub(crate) fn speaks_tls(over_tls: Result<()>) -> bool {
    match over_tls {
        Ok(()) => true,
        Err(error) => match error.kind() {
            ErrorKind::Network | ErrorKind::Timeout | ErrorKind::HostNotFound => false,
            ErrorKind::Tls => !error.message().contains("does not speak TLS"),
            _ => true,
        },
    }
}
