//! What a request states about its signature.

use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use lepton_core::from_hex;

use crate::protocol::{Query, S3Error, S3Result, s3_error};

pub(super) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A presigned request is valid for at most a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureLocation {
    Headers,
    Query { expires: Duration },
}

#[derive(Debug)]
pub(super) struct Claim {
    pub(super) location: SignatureLocation,
    pub(super) access_key: String,
    /// Day, region and service, in the form that is signed.
    pub(super) scope: String,
    /// In the form that is signed: `20130524T000000Z`.
    pub(super) date: String,
    pub(super) time: SystemTime,
    /// The names of the signed headers, in the form that is signed.
    pub(super) signed_headers: String,
    /// What the canonical form has in place of the body.
    pub(super) payload: String,
    pub(super) signature: Vec<u8>,
}

impl Claim {
    /// The claim of a request, unless it has no signature.
    pub(super) fn of(parts: &Parts) -> S3Result<Option<Self>> {
        let query = Query(parts.uri.query().unwrap_or_default());
        match header(parts, &AUTHORIZATION)? {
            Some(authorization) => Self::of_headers(parts, authorization).map(Some),
            None if query.has("X-Amz-Signature") => Self::of_query(parts, query).map(Some),
            None => Ok(None),
        }
    }

    fn of_headers(parts: &Parts, authorization: &str) -> S3Result<Self> {
        let Some(fields) = authorization.strip_prefix(ALGORITHM) else {
            return Err(s3_error!(InvalidRequest, "the only authorization of this server is {ALGORITHM}"));
        };
        let wrong = |what: &str| s3_error!(AuthorizationHeaderMalformed, "the authorization has no valid {what}");
        let field = |name: &str| {
            let mut pairs = fields.split(',').filter_map(|field| field.trim().split_once('='));
            pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).ok_or_else(|| wrong(name))
        };
        let required = |name: &'static str| match header(parts, &HeaderName::from_static(name))? {
            Some(value) => Ok(value.to_owned()),
            None => Err(s3_error!(InvalidRequest, "a signed request needs the header {name}")),
        };
        let payload = required(CONTENT_SHA256)?;
        let fields = ["Credential", "SignedHeaders", "Signature"].map(field);
        Self::new(SignatureLocation::Headers, fields, required("x-amz-date")?, payload, wrong)
    }

    fn of_query(parts: &Parts, query: Query<'_>) -> S3Result<Self> {
        let wrong = |what: &str| s3_error!(AuthorizationQueryParametersError, "the query has no valid {what}");
        let field = |name: &str| query.text(name)?.ok_or_else(|| wrong(name));
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return Err(wrong("X-Amz-Algorithm"));
        }
        let expires = field("X-Amz-Expires")?.parse().map(Duration::from_secs);
        let expires = expires.ok().filter(|time| *time <= LONGEST).ok_or_else(|| wrong("X-Amz-Expires"))?;
        let payload = query.text("X-Amz-Content-Sha256")?.unwrap_or_else(|| UNSIGNED.to_owned());
        // The body is compared with the header.
        if payload != UNSIGNED && header(parts, &HeaderName::from_static(CONTENT_SHA256))? != Some(payload.as_str()) {
            let message = "a presigned request whose signature covers the body needs the same";
            return Err(s3_error!(InvalidRequest, "{message} {CONTENT_SHA256} as a header"));
        }
        let fields = ["X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature"].map(field);
        Self::new(SignatureLocation::Query { expires }, fields, field("X-Amz-Date")?, payload, wrong)
    }

    /// `fields` are the credential, the names of the signed headers, and the signature.
    fn new(
        location: SignatureLocation,
        fields: [S3Result<String>; 3],
        date: String,
        payload: String,
        wrong: impl Fn(&str) -> S3Error,
    ) -> S3Result<Self> {
        let [credential, signed_headers, signature] = fields;
        let (credential, signature) = (credential?, signature?);
        let time = parse_date(&date).ok_or_else(|| wrong("date"))?;
        // The access key comes first and may contain slashes.
        let mut pieces = credential.rsplitn(5, '/');
        let (Some("aws4_request"), Some("s3"), Some(_region), Some(day), Some(access_key)) =
            (pieces.next(), pieces.next(), pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(wrong("credential"));
        };
        if date.get(..8) != Some(day) {
            return Err(s3_error!(SignatureDoesNotMatch, "the credential is of another day than the request"));
        }
        Ok(Self {
            location,
            scope: credential.get(access_key.len() + 1..).unwrap_or_default().to_owned(),
            access_key: access_key.to_owned(),
            date,
            time,
            signed_headers: signed_headers?,
            payload,
            signature: from_hex(&signature).filter(|bytes| bytes.len() == 32).ok_or_else(|| wrong("signature"))?,
        })
    }
}

fn header<'a>(parts: &'a Parts, name: &HeaderName) -> S3Result<Option<&'a str>> {
    let value = parts.headers.get(name).map(|value| value.to_str());
    value.transpose().map_err(|_| s3_error!(InvalidArgument, "the header {name} is not ASCII"))
}

/// Parses `20130524T000000Z`.
fn parse_date(text: &str) -> Option<SystemTime> {
    let piece = |range| text.get(range);
    let (year, month, day) = (piece(0..4)?, piece(4..6)?, piece(6..8)?);
    let (hour, minute, rest) = (piece(9..11)?, piece(11..13)?, text.get(13..)?);
    let written = format!("{year}-{month}-{day}{}{hour}:{minute}:{rest}", piece(8..9)?);
    humantime::parse_rfc3339(&written).ok().filter(|_| text.len() == 16)
}
