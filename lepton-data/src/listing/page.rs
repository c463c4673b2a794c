//! The pages that a listing sends to the run.

use lepton_core::{ObjectMeta, Result};
use tokio::sync::mpsc;

/// The number of pages that are fetched ahead.
pub(crate) const AHEAD: usize = 2;

/// The number of objects in a page, if the objects do not come in pages.
pub(crate) const PAGE: usize = 1000;

/// Objects of one side, page by page.
pub(crate) type Pages = mpsc::Receiver<Result<Page>>;

/// An item of a listing.
#[derive(Debug)]
pub(crate) enum Page {
    Objects(Vec<ObjectMeta>),
    /// The listing ended cleanly. A listing that ends without this is incomplete.
    End,
}
