//! A user whose uploads take three seconds each: a fence has to wait for them.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;

use super::send::{Sender, trickle};
use super::shared::{Items, lock};
use crate::ledger::{Content, Known};

const PARTS: usize = 30;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(sender: Sender, stop: PathBuf) {
    let mut items = Items::new("user-slow-item", 3);
    let mut value = 0;
    while !stop.exists() {
        value += 1;
        let (name, content) = (items.name(value), Content { number: value, len: 60_000 });
        let body = trickle(content.bytes(), PARTS, PAUSE);
        let answer = sender.send_slowly(Method::PUT, &name, body).await;
        let acknowledged = answer.is_ok_and(|(status, _)| status.is_success());
        lock(&sender.ledger).wrote(&name, Known::Value(content), acknowledged);
        if !acknowledged {
            items.leave(value);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
