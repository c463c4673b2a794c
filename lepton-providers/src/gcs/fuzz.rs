//! Entry points to the parsers for the fuzz targets in `fuzz/`; compiled only for
//! fuzzing.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use lepton_core::{Error, ObjectKey};

use super::error::Refusal;
use super::{list, multipart};
use crate::auth::google::file;
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// Parses any document that the service could return.
pub fn documents(document: &[u8]) {
    if let Ok(page) = serde_json::from_slice::<list::Page>(document) {
        for resource in &page.items {
            let _ = resource.meta();
            let _ = resource.attributes();
        }
    }
    if let (Ok(root), Ok(key)) = (Element::parse(document), ObjectKey::try_from("k")) {
        let _ = multipart::uploads(&root, &key);
        if let Ok((parts, _)) = multipart::parts(&root, 3) {
            assert!(parts.iter().all(|part| part.number > 3) && parts.is_sorted_by(|a, b| a.number < b.number));
        }
    }
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let refusal = Refusal::new(status, &HeaderMap::new(), document, SystemTime::UNIX_EPOCH);
        let report = refusal.into_error(true, true, &Secrets::default().text("s3cr3t/key")).full_message();
        assert!(!report.contains('\n'), "{report:?}");
    }
}

/// Parses credentials files.
pub fn text(text: &str) {
    let no_issuer = |_| Err(Error::unsupported("no issuer in this test"));
    let _ = file::read(&text.into(), "", &no_issuer);
}
