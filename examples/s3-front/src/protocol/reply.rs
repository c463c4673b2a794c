//! Replies: without a body, with a document, or with an error.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::Body;
use super::error::S3Error;
use super::xml::Xml;

/// A reply without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(""));
    *response.status_mut() = status;
    response
}

/// A successful reply with this document.
pub(crate) fn with_document(document: Xml) -> Response<Body> {
    let mut response = Response::new(Body::from(document.into_text()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// The reply to a request that failed. `about` names the resource and the request; without
/// them, as for a HEAD, the reply has no body.
pub(crate) fn failed(error: S3Error, about: Option<(&str, &str)>) -> Response<Body> {
    let mut response = match about.filter(|_| error.status != StatusCode::NOT_MODIFIED) {
        Some((resource, request)) => with_document(Xml::plain("Error", |xml| {
            xml.text("Code", &error.code);
            xml.text("Message", &error.message);
            xml.text("Resource", resource);
            xml.text("RequestId", request);
        })),
        None => empty(error.status),
    };
    *response.status_mut() = error.status;
    response.headers_mut().extend(error.headers);
    response
}
