//! What the cases share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::conformance::expect::{Check, Stop, ensure, same};
use crate::data_set::{Credentials, DataSet, DataVerdict, Quiesced, Side, Verdict};
use crate::{ErrorKind, Result, SharedRuntime};

/// Which cases run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    pub(super) only: Option<String>,
}

impl Options {
    /// All cases.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the cases whose name contains this.
    #[must_use]
    pub fn only(mut self, text: impl Into<String>) -> Self {
        self.only = Some(text.into());
        self
    }
}

/// Somebody who reads and writes items at both sides, past the data set.
#[async_trait]
pub trait User: fmt::Debug + Send + Sync {
    /// The names of all items of a side.
    ///
    /// # Errors
    /// Errors of the side.
    async fn list(&self, side: Side) -> Result<Vec<String>>;

    /// The content of an item, or `None` if there is no such item. A quiesced side still answers
    /// this with the application's credentials.
    ///
    /// # Errors
    /// Errors of the side.
    async fn read(&self, side: Side, name: &str) -> Result<Option<Bytes>>;

    /// Creates an item or replaces its content.
    ///
    /// # Errors
    /// `permission_denied` or `read_only` if the side refuses writes with these credentials; errors
    /// of the side.
    async fn write(&self, credentials: Credentials, side: Side, name: &str, content: Bytes) -> Result<()>;

    /// Deletes an item.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn delete(&self, credentials: Credentials, side: Side, name: &str) -> Result<()>;
}

type Open = Arc<dyn Fn() -> Result<Arc<dyn DataSet>> + Send + Sync>;

/// A data set without items, whose sides accept writes, and its user.
#[derive(Clone)]
#[non_exhaustive]
pub struct Subject {
    open: Open,
    /// Its user.
    pub user: Arc<dyn User>,
    /// The clock of the suite.
    pub env: SharedRuntime,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The items of a side.
pub(super) type Items = BTreeMap<String, Bytes>;

impl Subject {
    /// `open` opens the data set, again on the same state after a crash. No data is no pass for it.
    pub fn new(
        open: impl Fn() -> Result<Arc<dyn DataSet>> + Send + Sync + 'static,
        user: Arc<dyn User>,
        env: SharedRuntime,
    ) -> Self {
        Self { open: Arc::new(open), user, env }
    }

    /// Opens the data set, as the process after a crash does.
    ///
    /// # Errors
    /// Errors of the function that opens it.
    pub fn open(&self) -> Result<Arc<dyn DataSet>> {
        (self.open)()
    }

    /// The data set, with items at side A: `item-0` to `item-9`, whose content is ten bytes, and
    /// two that are unusual.
    pub(super) async fn filled(&self) -> Check<Arc<dyn DataSet>> {
        for number in 0..10 {
            self.write(Side::A, &format!("item-{number}"), &format!("content-{number} ")[..10]).await?;
        }
        self.write(Side::A, "empty", "").await?;
        self.write(Side::A, "odd/names of items/ä%41+&=~'", "odd").await?;
        Ok(self.open()?)
    }

    /// The data set after a switch to side B in epoch 1: side A denies writes, both sides are the
    /// same.
    pub(super) async fn switched(&self) -> Check<Arc<dyn DataSet>> {
        let set = self.filled().await?;
        set.copy(Side::A).await?;
        self.fence(&*set, Side::A, 1).await?;
        Ok(set)
    }

    /// Makes a side refuse writes and brings the other one to its last state.
    pub(super) async fn fence(&self, set: &dyn DataSet, from: Side, epoch: u64) -> Check<DataVerdict> {
        set.quiesce(from, true, epoch).await?;
        let verdict = set.delta(from, epoch).await?;
        ensure!(verdict.verdict == Verdict::Pass, "the delta from side {from} did not pass: {verdict}");
        self.same_sides().await?;
        Ok(verdict)
    }

    /// A write with the application's credentials.
    pub(super) async fn write(&self, side: Side, name: &str, content: &str) -> Check {
        let content = Bytes::copy_from_slice(content.as_bytes());
        Ok(self.user.write(Credentials::Application, side, name, content).await?)
    }

    /// A delete with the application's credentials.
    pub(super) async fn delete(&self, side: Side, name: &str) -> Check {
        Ok(self.user.delete(Credentials::Application, side, name).await?)
    }

    /// A write of somebody else, which no quiesce refuses.
    pub(super) async fn interfere(&self, side: Side, name: &str, content: &str) -> Check {
        let content = Bytes::copy_from_slice(content.as_bytes());
        Ok(self.user.write(Credentials::Administrator, side, name, content).await?)
    }

    /// All items of a side.
    pub(super) async fn items(&self, side: Side) -> Check<Items> {
        let mut items = Items::new();
        for name in self.user.list(side).await? {
            // An item that is deleted meanwhile is in no list.
            if let Some(content) = self.user.read(side, &name).await? {
                items.insert(name, content);
            }
        }
        Ok(items)
    }

    /// The items, which both sides must have.
    pub(super) async fn same_sides(&self) -> Check<Items> {
        let (a, b) = (self.items(Side::A).await?, self.items(Side::B).await?);
        let differ = |name: &&String| a.get(*name) != b.get(*name);
        let different: Vec<_> = a.keys().chain(b.keys()).filter(differ).collect();
        ensure!(different.is_empty(), "both sides should be the same, but differ in {different:?}");
        Ok(a)
    }

    /// Fails unless an item has this content at a side.
    pub(super) async fn has(&self, side: Side, name: &str, content: &str) -> Check {
        let found = self.user.read(side, name).await?;
        same(&format!("{name} at side {side}"), found.as_deref(), Some(content.as_bytes()))
    }

    /// Fails unless the application's writes and deletes are refused at this side.
    pub(super) async fn refuses_writes(&self, side: Side) -> Check {
        let written = self.user.write(Credentials::Application, side, "refused", Bytes::new()).await;
        let deleted = self.user.delete(Credentials::Application, side, "item-0").await;
        for (what, result) in [("write", written), ("delete", deleted)] {
            let refused = |kind| matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnly);
            match result {
                Err(error) if refused(error.kind()) => {}
                result => {
                    let message = format!("the application's {what} at side {side} was not refused: {result:?}");
                    return Err(Stop::Failed(message));
                }
            }
        }
        Ok(())
    }
}

/// Fails unless the writes of a side are proven to be refused. A data set for which that is an
/// assumption ends the case.
pub(super) fn proven(quiesced: &Quiesced) -> Check {
    match quiesced {
        Quiesced::Proven(how) => {
            ensure!(!how.is_empty(), "the proof does not state how the write was refused");
            Ok(())
        }
        Quiesced::Assumed => Err(Stop::NotApplicable("that writes are refused is only assumed".to_owned())),
        Quiesced::Lifted => Err(Stop::Failed("a side that was made to refuse writes accepts them".to_owned())),
    }
}

/// Fails unless the call has failed with `conflict`, naming each of the items.
pub(super) fn conflict<T: fmt::Debug>(result: Result<T>, names: &[&str]) -> Check {
    match result {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let text = error.to_string();
            let missing: Vec<_> = names.iter().filter(|name| !text.contains(**name)).collect();
            ensure!(missing.is_empty(), "the conflict does not name {missing:?}: {text}");
            Ok(())
        }
        other => Err(Stop::Failed(format!("expected a conflict about {names:?}, found {other:?}"))),
    }
}

/// Fails unless a delta has named the item, as a conflict or as a difference.
pub(super) fn named(delta: Result<DataVerdict>, name: &str) -> Check {
    match delta {
        Ok(verdict) if verdict.verdict == Verdict::Fail => {
            let found = verdict.differences.iter().any(|difference| difference.contains(name));
            ensure!(found, "the differences do not name {name}: {:?}", verdict.differences);
            Ok(())
        }
        other => conflict(other, &[name]),
    }
}

/// A name and the function that checks the promise.
pub(super) type Case = (&'static str, for<'a> fn(&'a Subject) -> BoxFuture<'a, Check>);

/// Defines `CASES` for an area, from its functions.
macro_rules! data_set_cases {
    ($($case:ident),* $(,)?) => {
        pub(super) const CASES: &[super::fixture::Case] =
            &[$((concat!("data_set/", stringify!($case)), |subject| Box::pin($case(subject)))),*];
    };
}
pub(super) use data_set_cases as cases;
