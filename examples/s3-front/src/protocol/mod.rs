//! The forms of S3's protocol, below signatures and operations.
//!
//! - `error`: the errors of S3, with their codes and statuses; `translate`: those of a storage
//!   as S3's
//! - `query`: the query of a request
//! - `document`: reads XML, `xml`: writes it
//! - `words`: metadata that is not ASCII
//! - `body`, `reply`: the bodies of messages, and replies with them

mod body;
mod document;
mod error;
mod query;
mod reply;
mod rfc2047;
mod translate;
mod xml;

pub(crate) use body::{Body, BoxError};
pub(crate) use document::Element;
pub(crate) use error::{Code, S3Error, S3Result, s3_error};
pub(crate) use query::{PATH, Query};
pub(crate) use reply::{empty, failed, with_document};
pub(crate) use rfc2047::{decode_words, encode_words};
pub(crate) use translate::{IntoS3, s3_error_of};
pub(crate) use xml::Xml;
