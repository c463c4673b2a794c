//! A user who reads and writes as fast as it is answered, or at a rate.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::MissedTickBehavior;

use super::send::Sender;
use super::shared::{Items, lock};
use crate::ledger::{Content, Known};

/// The items of each user.
const ITEMS: usize = 12;
/// The pause after a turn.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn run(number: u64, turn: Option<Duration>, large: u64, sender: Sender, stop: PathBuf) {
    let items = Items::new(format!("user-{number}-item"), ITEMS);
    let mut user = User { number, items, large, sender };
    let mut ticks = tokio::time::interval(turn.unwrap_or(PAUSE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut value = number * 1_000_000;
    while !stop.exists() {
        value += 1;
        user.turn(value).await;
        match turn {
            Some(_) => drop(ticks.tick().await),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

struct User {
    number: u64,
    items: Items,
    large: u64,
    sender: Sender,
}

impl User {
    /// A write, a delete or a post, and a read of another item.
    async fn turn(&mut self, value: u64) {
        let content = if value % self.large == 17 { Content::large(value) } else { Content::small(value) };
        match value % 10 {
            9 => self.write(Method::DELETE, value, Known::Deleted, Vec::new()).await,
            4 => self.post(value).await,
            _ => self.write(Method::PUT, value, Known::Value(content), content.bytes()).await,
        }
        self.read(value * 7).await;
    }

    async fn write(&mut self, method: Method, value: u64, next: Known, body: Vec<u8>) {
        let name = self.items.name(value);
        let answer = self.sender.send(method, &name, body).await;
        let acknowledged = answer.is_ok_and(|(status, _)| status.is_success());
        lock(&self.sender.ledger).wrote(&name, next, acknowledged);
        if !acknowledged {
            self.items.leave(value);
        }
    }

    async fn post(&self, value: u64) {
        let (name, content) = (format!("user-{}-post-{value}", self.number), Content::small(value));
        let answer = self.sender.send(Method::POST, &name, content.bytes()).await;
        let acknowledged = answer.is_ok_and(|(status, _)| status.is_success());
        lock(&self.sender.ledger).posted(name, content, acknowledged);
    }

    async fn read(&self, value: u64) {
        let name = self.items.name(value);
        let Some(known) = lock(&self.sender.ledger).items.get(&name).cloned() else { return };
        if let Ok((status, found)) = self.sender.send(Method::GET, &name, Vec::new()).await {
            let found = (status != StatusCode::NOT_FOUND).then_some(&found[..]);
            if !known.allows(found) {
                lock(&self.sender.ledger).stale += 1;
            }
        }
    }
}
