//! Asks each replica whether it works.

use std::sync::Arc;

use futures_util::future::join_all;
use http::header::{self, HeaderValue};
use http::{Request, Uri};
use lepton_core::data_set::Side;

use super::bodies::Upload;
use super::pool::{connect, send};
use super::shared::{Phase, Shared};
use super::sides::Replica;
use super::timing::{unless, within};

/// Asks the replicas of both sides again and again, as long as the router lives.
pub(super) async fn watch(shared: Arc<Shared>) {
    let Some(path) = shared.config.health.path.clone() else { return };
    let Ok(path) = path.parse::<Uri>() else { return };
    let asking = async {
        loop {
            let replicas = [Side::A, Side::B].into_iter().flat_map(|side| shared.sides.all(side));
            join_all(replicas.map(|replica| ask(&shared, replica, &path))).await;
            shared.env.sleep(shared.config.health.period).await;
        }
    };
    let _: Option<()> = unless(shared.reached(Phase::Killed), asking).await;
}

async fn ask(shared: &Shared, replica: Arc<Replica>, path: &Uri) {
    let works = within(&shared.env, shared.config.health.timeout, answers(shared, &replica, path)).await;
    shared.sides.record_check(&replica, works == Some(true));
}

async fn answers(shared: &Shared, replica: &Replica, path: &Uri) -> bool {
    let limit = shared.config.health.timeout;
    let Ok(mut connection) = connect(&shared.env, &replica.address, limit).await else { return false };
    let mut request = Request::new(Upload::empty());
    request.uri_mut().clone_from(path);
    let Ok(host) = HeaderValue::from_str(&replica.address) else { return false };
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("lepton-router"));
    send(&mut connection, request).await.is_ok_and(|answer| (200..400).contains(&answer.status().as_u16()))
}
