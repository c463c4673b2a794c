//! A user who hangs up: in the middle of an upload, or before the answer.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;

use super::send::{Sender, at_once, trickle};
use super::shared::lock;
use crate::ledger::{Content, Known};

const PAUSE: Duration = Duration::from_millis(150);

pub(super) async fn run(sender: Sender, stop: PathBuf) {
    let mut value = 0;
    while !stop.exists() {
        value += 1;
        let content = Content::small(value);
        // How far the request gets: from its first bytes to its answer.
        let after = Duration::from_millis(2 * (value % 16) + 1);
        let bytes = content.bytes();
        if value % 2 == 0 {
            let name = format!("user-hasty-item-{value}");
            sender.hang_up(Method::PUT, &name, trickle(bytes, 20, Duration::from_millis(2)), after).await;
            lock(&sender.ledger).wrote(&name, Known::Value(content), false);
        } else {
            let name = format!("user-hasty-post-{value}");
            sender.hang_up(Method::POST, &name, at_once(bytes), after).await;
            lock(&sender.ledger).posted(name, content, false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
