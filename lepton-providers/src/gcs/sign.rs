//! Presigned URLs: "V4 signing process" in the documentation.

use std::time::Duration;

use async_trait::async_trait;
use lepton_core::{Error, ErrorKind, Method, ObjectKey, Result, Sha256, SignedUrl, Signer, to_hex};

use super::client::Client;
use super::storage::GcsStorage;
use crate::wire::encode::Query;
use crate::wire::request::check_key;
use crate::wire::time::BasicDate;

/// The longest validity of a presigned URL: a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

#[async_trait]
impl Signer for GcsStorage {
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let signed = self.client.signed_url(method, key, valid_for);
        signed.map_err(|error| error.with_operation("sign").with_context("key", key))
    }
}

impl Client {
    fn signed_url(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let Some(account) = &self.auth.account else {
            let message = "only the key of a service account can sign a URL; these credentials have none";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        };
        check_key(&self.capabilities.keys, key, "sign")?;
        if valid_for.as_secs() == 0 || valid_for > LONGEST {
            return Err(Error::invalid_input("a signed URL is good for a second to a week"));
        }
        let verb = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            other => return Err(Error::unsupported(format!("the method {other:?} is not known here"))),
        };
        let date = BasicDate::new(self.env.now());
        let (time, scope) = (date.as_str(), format!("{}/auto/storage/goog4_request", date.day()));
        let path = self.readable(key);
        let mut query = Query::new()
            .with("X-Goog-Algorithm", "GOOG4-RSA-SHA256")
            .with("X-Goog-Credential", format!("{}/{scope}", account.email))
            .with("X-Goog-Date", time)
            .with("X-Goog-Expires", valid_for.as_secs().to_string())
            .with("X-Goog-SignedHeaders", "host");
        if let Some(project) = &self.options.user_project {
            query.push("userProject", project);
        }
        let query = query.canonical();
        let host = &self.address.authority;
        let request = format!("{verb}\n{}{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", self.address.path);
        let to_sign = format!("GOOG4-RSA-SHA256\n{time}\n{scope}\n{}", Sha256::of(request.as_bytes()));
        let signature = to_hex(&account.sign(to_sign.as_bytes())?);
        let address = self.address.canonical();
        Ok(SignedUrl::new(format!("{address}{path}?{query}&X-Goog-Signature={signature}")))
    }
}
