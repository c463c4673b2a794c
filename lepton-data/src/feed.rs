//! What is to be done next: first what an earlier run failed at, then what the
//! listing brings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, HeadOptions, ObjectKey, ObjectMeta, Result};

use crate::list::{self, Pages};
use crate::object::Earlier;
use crate::options::Existing;
use crate::plan::{Entry, Names};
use crate::read::side;
use crate::resume::{Note, OpenUpload, Resumed};
use crate::retry::attempts;
use crate::run::Run;

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum Next {
    /// An object to move. `listed` says that it comes in listing order.
    Object { entry: Box<Entry>, earlier: Earlier, listed: bool },
    /// An object that cannot be moved.
    Refused { key: ObjectKey, error: Error, listed: bool },
}

/// The source's objects, each with what an earlier run left of it.
#[derive(Debug)]
pub(crate) struct Feed {
    run: Arc<Run>,
    again: VecDeque<ObjectKey>,
    pages: Pages,
    page: VecDeque<ObjectMeta>,
    /// Whether the journal says that the objects of `page` may be written.
    announced: bool,
    names: Names,
    beyond: BTreeSet<ObjectKey>,
    started: Option<ObjectKey>,
    uploads: BTreeMap<ObjectKey, OpenUpload>,
}

impl Feed {
    pub(crate) fn new(run: &Arc<Run>, resumed: Resumed) -> Self {
        let options = &run.options;
        Self {
            run: Arc::clone(run),
            again: resumed.failed.into_keys().collect(),
            pages: list::start(run, resumed.settled),
            page: VecDeque::new(),
            announced: true,
            names: Names::new(options.source.folder(), options.destination.folder(), run.target()),
            beyond: resumed.beyond,
            started: resumed.started,
            uploads: resumed.uploads,
        }
    }

    /// The next thing to do; `None` when the listing has ended.
    ///
    /// Cancellation safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// What ends the run: a listing that cannot be read, a journal that cannot be
    /// written.
    pub(crate) async fn next(&mut self) -> Result<Option<Next>> {
        if let Some(key) = self.again.front().cloned() {
            let head = attempts(&self.run, true, || self.run.source().head(&key, HeadOptions::new())).await;
            self.again.pop_front();
            return match head {
                Ok(info) => Ok(Some(self.object(info.meta, false))),
                Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
                Err(error) => Ok(Some(Next::Refused { key, error: side(error), listed: false })),
            };
        }
        loop {
            self.announce().await?;
            while let Some(object) = self.page.pop_front() {
                if !self.beyond.remove(&object.key) {
                    return Ok(Some(self.object(object, true)));
                }
            }
            match self.pages.recv().await.transpose()? {
                Some(page) => self.turn(page),
                None => {
                    self.run.counters.add(|c| &c.listing_done, 1);
                    return Ok(None);
                }
            }
        }
    }

    fn turn(&mut self, page: Vec<ObjectMeta>) {
        let new = || page.iter().filter(|object| !self.beyond.contains(&object.key));
        self.run.counters.add(|c| &c.listed_objects, new().count() as u64);
        self.run.counters.add(|c| &c.listed_bytes, new().map(|object| object.size).sum());
        self.page = page.into();
        self.announced = false;
    }

    /// Where what is at the destination matters, the journal must know what may
    /// be our own before it is written.
    async fn announce(&mut self) -> Result<()> {
        if self.announced || self.run.options.settings.existing == Existing::Overwrite {
            return Ok(());
        }
        if let Some(last) = self.page.back() {
            self.run.log.note_durably(&Note::Started { through: last.key.clone() }).await?;
        }
        self.announced = true;
        Ok(())
    }

    fn object(&mut self, source: ObjectMeta, listed: bool) -> Next {
        let key = source.key.clone();
        let (entry, verdict) = self.names.entry(source);
        if let Err(error) = verdict {
            return Next::Refused { key, error, listed };
        }
        let maybe_written = self.started.as_ref().is_some_and(|started| key <= *started);
        let earlier = Earlier { upload: self.uploads.remove(&key), maybe_written };
        Next::Object { entry: Box::new(entry), earlier, listed }
    }

    /// Uploads that an earlier run left of objects that are not at the source any
    /// more. Meaningful once the listing has ended.
    pub(crate) fn orphans(self) -> impl Iterator<Item = (ObjectKey, OpenUpload)> {
        self.uploads.into_iter()
    }
}
