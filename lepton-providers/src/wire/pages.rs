//! Listings that come in pages.

use std::future::Future;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::Result;

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
    T: Send + 'static,
    F: Future<Output = Result<(T, Option<P>)>> + Send + 'static,
{
    stream::try_unfold((Some(first), context, page), |(position, context, page)| async move {
        let Some(position) = position else { return Ok(None) };
        let (entries, next) = page(context.clone(), position).await?;
        Ok(Some((entries, (next, context, page))))
    })
    .boxed()
}

/// The entries on these pages.
pub(crate) fn entries<T: Send + 'static>(pages: BoxStream<'static, Result<Vec<T>>>) -> BoxStream<'static, Result<T>> {
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}
