//! Entry points to the parsers for the fuzz targets in `fuzz/`; compiled only for
//! fuzzing.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use lepton_core::ObjectKey;

use super::error::Refusal;
use super::{list, multipart, versions};
use crate::wire::secrets::Secrets;

/// Parses any document that a server could return.
pub fn documents(document: &[u8]) {
    if let Ok((page, _)) = list::parse_page(document) {
        for object in page.objects {
            let text = object.key.to_string();
            assert!(ObjectKey::from_text(&text).is_ok_and(|key| key == object.key), "{text:?}");
        }
    }
    let _ = versions::page(document);
    if let Ok((parts, _)) = multipart::parts(document, 3) {
        assert!(parts.iter().all(|part| part.number > 3) && parts.is_sorted_by(|a, b| a.number < b.number));
    }
    if let Ok(key) = ObjectKey::try_from("k") {
        let _ = multipart::uploads(document, &key);
    }
    let _ = multipart::completed(&HeaderMap::new(), document, &Secrets::default().text("s3cr3t/key"));
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let refusal = Refusal::new(status, &HeaderMap::new(), document, SystemTime::UNIX_EPOCH);
        let report = refusal.into_error(true, &Secrets::default().text("s3cr3t/key")).full_message();
        assert!(!report.contains('\n'), "{report:?}");
    }
}

/// Shared config files and the output of a `credential_process`.
pub fn profiles(bytes: &[u8]) {
    crate::auth::aws::fuzz::profiles(bytes);
}
