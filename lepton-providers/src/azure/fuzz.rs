//! Entry points to the parsers for the fuzz targets in `fuzz/`; compiled only for
//! fuzzing.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use lepton_core::UploadId;

use super::blocks::{Begun, Block};
use super::connection::Connection;
use super::error::Refusal;
use super::{list, multipart, versions};
use crate::wire::secrets::Secrets;

/// Parses any document that the service could return.
pub fn documents(document: &[u8]) {
    let _ = list::parse_described(document);
    let _ = versions::parse(document);
    if let Ok(parts) = multipart::parts(document, [7; 12]) {
        assert!(parts.is_sorted_by(|a, b| a.number < b.number));
    }
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let refusal = Refusal::new(status, &HeaderMap::new(), document, SystemTime::UNIX_EPOCH);
        let report = refusal.into_error(true, true, &Secrets::default().text("s3cr3t/key")).full_message();
        assert!(!report.contains('\n'), "{report:?}");
    }
}

/// Parses names of blocks and uploads, and connection strings.
pub fn text(text: &str) {
    if let Some(block) = Block::of(text) {
        assert_eq!(Block::of(&block.name()), Some(block));
    }
    let _ = Begun::of(&UploadId::new(text));
    let _ = Connection::parse(&text.into());
}
