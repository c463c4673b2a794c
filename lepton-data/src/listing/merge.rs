//! Merges the listings of both sides in key order. Memory use does not depend on the number of
//! keys.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, KeyPrefix, ObjectKey, ObjectMeta, Result};

use crate::listing::found::Listed;
use crate::listing::lister::Lister;
use crate::listing::page::{Page, Pages};
use crate::listing::{by_destination, list};
use crate::names::mapping::Mapping;
use crate::types::entry::DestinationState;
use crate::types::side::Side;

/// The listing of the source, merged with that of the destination if the two are compared.
#[derive(Debug)]
pub(crate) struct Merge {
    source: Cursor,
    destination: Option<Cursor>,
}

impl Merge {
    /// Merges the listings after the sort key `after`; lists only the source unless both sides
    /// are compared.
    pub(crate) fn start(lister: &Arc<Lister>, compares: bool, after: Option<ObjectKey>) -> Self {
        let (from, to) = (lister.source.folder(), lister.destination.folder());
        let destination = compares.then(|| {
            let start = after.as_ref().and_then(|key| Some(key.stripped(&from)?.prefixed(&to)));
            Cursor::new(list::start(lister, Side::Destination, start), to)
        });
        let renaming = !lister.mapping.is_empty();
        let pages =
            if renaming { by_destination::start(lister, after) } else { list::start(lister, Side::Source, after) };
        let mapping = renaming.then(|| Arc::clone(&lister.mapping));
        Self { source: Cursor { mapping, ..Cursor::new(pages, from) }, destination }
    }

    /// The next item; `None` when both listings have ended cleanly.
    ///
    /// Cancellation safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Listed>> {
        let ours = self.source.name().await?;
        let turn = match &mut self.destination {
            // If the source names a single object instead of a folder, its key is outside the
            // folder; the destination is asked for that object later.
            Some(destination) if ours != Some(None) => {
                turn(ours.flatten().as_deref(), destination.name().await?.flatten().as_deref())
            }
            _ => NextSide::Unmatched,
        };
        let mut theirs = || self.destination.as_mut().and_then(Cursor::take);
        Ok(match turn {
            NextSide::Unmatched => self.source.take().map(|object| Listed::Source(object, DestinationState::Unknown)),
            NextSide::Ours => self.source.take().map(|object| Listed::Source(object, DestinationState::Absent)),
            NextSide::Theirs => theirs().map(Listed::Extra),
            NextSide::Both => {
                let there =
                    theirs().map_or(DestinationState::Absent, |object| DestinationState::Present(Box::new(object)));
                self.source.take().map(|object| Listed::Source(object, there))
            }
        })
    }
}

impl Merge {
    /// The last key of the source in the current page.
    pub(crate) fn ahead(&self) -> Option<&ObjectKey> {
        Some(&self.source.page.back()?.key)
    }
}

/// Which side has the next name.
enum NextSide {
    Unmatched,
    Ours,
    Theirs,
    Both,
}

fn turn(ours: Option<&[u8]>, theirs: Option<&[u8]>) -> NextSide {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => match ours.cmp(theirs) {
            Ordering::Less => NextSide::Ours,
            Ordering::Equal => NextSide::Both,
            Ordering::Greater => NextSide::Theirs,
        },
        (None, Some(_)) => NextSide::Theirs,
        (_, None) => NextSide::Ours,
    }
}

/// A listing, read object by object.
#[derive(Debug)]
struct Cursor {
    pages: Pages,
    page: VecDeque<ObjectMeta>,
    folder: KeyPrefix,
    /// The mapping, for a source whose names change.
    mapping: Option<Arc<Mapping>>,
    ended: bool,
}

impl Cursor {
    fn new(pages: Pages, folder: KeyPrefix) -> Self {
        Self { pages, page: VecDeque::new(), folder, mapping: None, ended: false }
    }

    /// The name of the next object relative to the folder, if there is a next object and if
    /// it is inside the folder.
    #[allow(clippy::option_option, reason = "no object, or an object without a name in the folder")]
    async fn name(&mut self) -> Result<Option<Option<Cow<'_, [u8]>>>> {
        while self.page.is_empty() && !self.ended {
            match self.pages.recv().await.transpose()? {
                Some(Page::Objects(page)) => self.page = page.into(),
                Some(Page::End) => self.ended = true,
                None => return Err(Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list")),
            }
        }
        let (folder, mapping) = (self.folder.as_bytes(), &self.mapping);
        Ok(self.page.front().map(|object| match mapping {
            None => object.key.as_bytes().strip_prefix(folder).map(Cow::Borrowed),
            Some(mapping) => {
                mapping.sort_key(&object.key).as_bytes().strip_prefix(folder).map(|name| name.to_vec().into())
            }
        }))
    }

    fn take(&mut self) -> Option<ObjectMeta> {
        self.page.pop_front()
    }
}
