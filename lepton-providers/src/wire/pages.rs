//! Listings that come in pages.

use std::future::Future;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{Error, ErrorKind, ListPage, Result};

use super::xml::Element;

/// The most pages in a row without an entry. Stores may send some, for example where versions were
/// deleted; a server that never sends another entry would be asked for ever.
const EMPTY_PAGES: u32 = 10_000;

/// What a page holds.
pub(crate) trait Entries {
    /// Whether it holds nothing.
    fn is_empty(&self) -> bool;
}

impl Entries for ListPage {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.prefixes.is_empty()
    }
}

impl<T> Entries for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Whether a page in XML says that another follows. `next` is where that begins. The end of a
/// listing decides what a mirror deletes, so that only an unambiguous end is one.
pub(crate) fn is_truncated(root: &Element<'_>, next: Option<&[u8]>) -> Result<bool> {
    let refuse = |why: &str| Err(unexpected(format!("a page contradicts itself: {why}")));
    match (root.text("IsTruncated"), next.is_some_and(|next| !next.is_empty())) {
        (Some("true"), true) => Ok(true),
        (Some("true"), false) => refuse("it says that there are more but not where"),
        (Some("false") | None, false) => Ok(false),
        (Some("false") | None, true) => refuse("it names a next page and does not say that there is one"),
        (Some(other), _) => refuse(&format!("IsTruncated is {other:?}")),
    }
}

/// The same of a page that says where the next one begins even if there is none.
pub(crate) fn says_more(root: &Element<'_>) -> Result<bool> {
    match root.text("IsTruncated") {
        Some("true") => Ok(true),
        Some("false") | None => Ok(false),
        Some(other) => Err(unexpected(format!("IsTruncated of a page is {other:?}"))),
    }
}

/// Refuses a page that has another number of entries than it says.
pub(crate) fn check_count(root: &Element<'_>, entries: usize) -> Result<()> {
    match root.text("KeyCount") {
        Some(count) if count.trim().parse() != Ok(entries) => {
            Err(unexpected(format!("a page has {entries} entries and says that it has {count:?}")))
        }
        _ => Ok(()),
    }
}

fn unexpected(why: String) -> Error {
    Error::new(ErrorKind::Unexpected, why)
}

/// The pages of a listing. `page` requests the page at a position, and returns the position
/// of the next one.
pub(crate) fn pages<C, P, T, F>(
    context: C,
    first: P,
    page: impl Fn(C, P) -> F + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    C: Clone + Send + 'static,
    P: Send + 'static,
    T: Entries + Send + 'static,
    F: Future<Output = Result<(T, Option<P>)>> + Send + 'static,
{
    stream::try_unfold((Some(first), context, page, 0), |(position, context, page, mut empty)| async move {
        let Some(position) = position else { return Ok(None) };
        let (entries, next) = page(context.clone(), position).await?;
        empty = if entries.is_empty() { empty + 1 } else { 0 };
        if empty > EMPTY_PAGES {
            let message = format!("the store has sent {EMPTY_PAGES} pages without an entry, one after the other");
            return Err(unexpected(message).with_operation("list"));
        }
        Ok(Some((entries, (next, context, page, empty))))
    })
    .boxed()
}

/// The entries on these pages.
pub(crate) fn entries<T: Send + 'static>(pages: BoxStream<'static, Result<Vec<T>>>) -> BoxStream<'static, Result<T>> {
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}
