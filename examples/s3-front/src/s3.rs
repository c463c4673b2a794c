//! The S3 protocol: authenticates a request, has it carried out, and answers it.

use std::time::SystemTime;

use http::{Method, Request, Response};

use crate::auth::Authenticator;
use crate::backend::Backend;
use crate::call::Call;
use crate::payload::Payload;
use crate::protocol::{self, Body, S3Result};
use crate::request::RequestInfo;

pub(crate) struct S3 {
    pub(crate) auth: Authenticator,
    pub(crate) backend: Backend,
    /// The domain below which hosts are named after buckets.
    pub(crate) domain: Option<String>,
}

impl S3 {
    pub(crate) async fn answer(&self, info: &RequestInfo, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match self.carry_out(info, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(operation = info.operation, code = %error.code, "{}", error.message);
                let about = (info.method != Method::HEAD).then_some((path.as_str(), info.id.as_str()));
                protocol::failed(error, about)
            }
        }
    }

    async fn carry_out(&self, info: &RequestInfo, request: Request<Body>) -> S3Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let call = Call::new(info, &parts)?;
        let signer = self.auth.check(&parts, SystemTime::now())?;
        self.backend.carry_out(info.operation, call, Payload { body, signer }).await
    }
}
