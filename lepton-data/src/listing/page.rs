//! Pages of a listing on their way to the run.

use lepton_core::{ObjectMeta, Result};
use tokio::sync::mpsc;

/// Pages that are fetched ahead.
pub(crate) const AHEAD: usize = 2;

/// Objects that are sent at once, where they do not come in pages.
pub(crate) const PAGE: usize = 1000;

/// Objects of one side, page by page.
pub(crate) type Pages = mpsc::Receiver<Result<Page>>;

/// What a listing gives.
#[derive(Debug)]
pub(crate) enum Page {
    Objects(Vec<ObjectMeta>),
    /// The listing has come to a clean end. One that ends without this broke off.
    End,
}
