//! Runs one mirror with deaths, and checks the requirements.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::journal::Journal;
use lepton_core::{
    DeleteRequest, Error, ErrorKind, KeyPrefix, Location, MemoryStorage, ObjectKey, Result, RuntimeExt as _,
    SharedRuntime, SharedStorage, Storage, StorageExt as _, Support,
};
use tempfile::TempDir;

use super::fate::{Death, Fate, records};
use super::life::Life;
use super::mortal::mortal;
use super::options::Options;
use crate::{Report, Status, Transfer, VerifyDepth, verify};

const MIB: u64 = 1 << 20;

/// The objects at the destination before the mirror.
const BEFORE: [&str; 2] = ["b", "extra"];
const OLD: Bytes = Bytes::from_static(b"before");

/// How often all objects are read again because one changed meanwhile.
const LANDINGS: usize = 1000;

/// The source and the destination of the mirrors.
pub(super) struct Suite {
    storage: SharedStorage,
    source: Location,
    /// The objects of the source.
    wanted: Vec<(ObjectKey, Bytes)>,
    server_copy: bool,
    env: SharedRuntime,
}

/// How a mirror ended.
pub(super) struct Mirror {
    /// The number of requests of the last life.
    pub(super) requests: usize,
    /// The number of records in the journal at the end.
    pub(super) records: usize,
    /// How often a process died.
    pub(super) deaths: usize,
    /// The requirement that is not met, if any.
    pub(super) failure: Option<String>,
    /// Uploads that are left open, if any.
    pub(super) left_open: Option<String>,
}

impl Suite {
    pub(super) async fn new(storage: &SharedStorage, root: &str, options: &Options) -> Result<Self> {
        let source = match (options.server_copy, storage.server_copy()) {
            (false, _) => Location::from(Arc::new(MemoryStorage::new()) as SharedStorage),
            (true, Some(copies)) if storage.copy_url().is_some_and(|url| copies.reaches(url)) => {
                Location::new(Arc::clone(storage), format!("{root}source/"))
            }
            (true, _) => return Err(Error::unsupported("the store makes no copies by itself: leave server_copy out")),
        };
        let wanted = objects(storage)?;
        for (name, bytes) in &wanted {
            source.storage().write(&name.prefixed(&source.folder()), bytes.clone()).await?;
        }
        let (storage, env) = (Arc::clone(storage), Arc::clone(&options.env));
        Ok(Self { storage, source, wanted, server_copy: options.server_copy, env })
    }

    /// Deletes the source.
    pub(super) async fn end(&self) -> Result<()> {
        clean(&**self.source.storage(), self.source.folder()).await
    }

    /// Makes a mirror in a separate folder, with these deaths: one life for each death, and
    /// then one more life.
    pub(super) async fn mirror(&self, folder: &str, deaths: &[Death]) -> Result<Mirror> {
        for name in BEFORE {
            self.storage.write(&ObjectKey::new(format!("{folder}{name}"))?, OLD).await?;
        }
        let mut mirror = Mirror { requests: 0, records: 0, deaths: 0, failure: None, left_open: None };
        let (mut journal, mut ended) = (new_folder()?, None);
        for death in deaths {
            let fate = Arc::new(Fate::new(Some(*death)));
            ended = self.live(folder, journal.path(), &fate).await?;
            if ended.is_some() {
                break;
            }
            mirror.deaths += 1;
            mirror.failure = mirror.failure.or(self.torn(folder).await?);
            if let Death::Records(kept) = death {
                journal = self.cut(folder, &journal, *kept).await?;
            }
        }
        if ended.is_none() {
            let fate = Arc::new(Fate::new(None));
            ended = self.live(folder, journal.path(), &fate).await?;
            mirror.requests = fate.requests();
        }
        let wrong = match ended.unwrap_or_else(|| Err(Error::new(ErrorKind::Unexpected, "nothing ended"))) {
            Ok(report) => self.wrong(folder, &report).await?,
            Err(error) => Some(error.full_message()),
        };
        mirror.failure = mirror.failure.or(wrong);
        mirror.left_open = self.left_open(folder).await?;
        let path = journal.path().to_owned();
        mirror.records = self.env.run_blocking(move || records(&path)).join().await??.len();
        clean(&*self.storage, KeyPrefix::new(folder.to_owned())).await?;
        Ok(mirror)
    }

    /// Runs one life; `None` if it died.
    async fn live(&self, folder: &str, journal: &Path, fate: &Arc<Fate>) -> Result<Option<Result<Report>>> {
        let mut tries = 0;
        loop {
            let mortal = mortal(Arc::clone(&self.storage), fate);
            let env = Arc::new(Life::new(&self.env, fate, journal.to_owned()));
            let life = self.transfer(mortal, folder, journal, env.clone())?.run();
            let ended = tokio::select! {
                biased;
                () = fate.died() => None,
                ended = life => Some(ended),
            };
            let ended = ended.filter(|_| !fate.is_dead());
            match ended {
                // A write that an earlier life started may still hold the lock for a moment.
                Some(Err(error)) if error.kind() == ErrorKind::Locked && tries < 1000 => tries += 1,
                ended => {
                    env.end();
                    return Ok(ended);
                }
            }
            self.env.sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    fn transfer(&self, storage: SharedStorage, folder: &str, journal: &Path, env: SharedRuntime) -> Result<Transfer> {
        let transfer = Transfer::builder().runtime(env).from(self.source.clone()).to(Location::new(storage, folder));
        let transfer = transfer.part_size(MIB).server_copy(self.server_copy).delete(true).max_delete_percent(100);
        transfer.journal(journal).build()
    }

    /// The journal as left by a process that dies with `kept` records on disk: later records
    /// of the same group are not written yet.
    async fn cut(&self, folder: &str, journal: &TempDir, kept: usize) -> Result<TempDir> {
        let fresh = new_folder()?;
        let (from, to) = (journal.path().to_owned(), fresh.path().to_owned());
        let env = Arc::clone(&self.env);
        let transfer = self.transfer(Arc::clone(&self.storage), folder, &to, Arc::clone(&env))?;
        let copied = self.env.run_blocking(move || {
            let journal = Journal::open(env, &to, &transfer.options.identity(None, None)?)?.journal;
            let mut kept = records(&from)?.into_iter().take(kept);
            kept.try_for_each(|record| journal.append(record.kind, &record.payload)).map(|()| journal)
        });
        copied.join().await??.commit().await?;
        Ok(fresh)
    }

    /// Describes an object that has neither its old nor its new bytes after a death, if any.
    async fn torn(&self, folder: &str) -> Result<Option<String>> {
        for (name, bytes) in self.contents(&KeyPrefix::new(folder.to_owned())).await? {
            let old = BEFORE.iter().any(|before| before.as_bytes() == name.as_bytes()) && bytes == OLD;
            if !old && !self.wanted.iter().any(|wanted| *wanted == (name.clone(), bytes.clone())) {
                let message = format!("{name} has {} bytes that are neither its old ones nor its new", bytes.len());
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// All objects below a folder. Requests of a dead process may still take effect, so if an
    /// object is replaced while it is read, all are read again.
    async fn contents(&self, folder: &KeyPrefix) -> Result<Vec<(ObjectKey, Bytes)>> {
        for _ in 0..LANDINGS {
            match contents(&*self.storage, folder).await {
                Err(error) if [ErrorKind::SourceChanged, ErrorKind::NotFound].contains(&error.kind()) => {
                    self.env.sleep(std::time::Duration::from_millis(2)).await;
                }
                read => return read,
            }
        }
        contents(&*self.storage, folder).await
    }

    /// Describes the requirement that is not met after the last life, if any.
    async fn wrong(&self, folder: &str, report: &Report) -> Result<Option<String>> {
        if report.status != Status::Complete {
            return Ok(Some(format!("the run is {:?}: {:?}", report.status, report.failures)));
        }
        let destination = Location::new(Arc::clone(&self.storage), folder);
        let found = self.contents(&destination.folder()).await?;
        if self.wanted != found {
            let names = |all: &[(ObjectKey, Bytes)]| -> Vec<String> {
                all.iter().map(|(key, bytes)| format!("{key} ({} bytes)", bytes.len())).collect()
            };
            return Ok(Some(format!("there is {:?}, and it should be {:?}", names(&found), names(&self.wanted))));
        }
        let Some(manifest) = &report.manifest else { return Ok(Some("there is no manifest".to_owned())) };
        let proof = verify(manifest, &destination, VerifyDepth::Full).await?;
        Ok((!proof.is_proven()).then(|| format!("the manifest does not verify: {:?}", proof.problems)))
    }

    /// Describes uploads that are left open, if the store lists uploads, and aborts them.
    async fn left_open(&self, folder: &str) -> Result<Option<String>> {
        let lists = self.storage.capabilities().list_uploads == Support::Native;
        let Some(uploads) = self.storage.multipart().filter(|_| lists) else { return Ok(None) };
        let mut found = None;
        for (key, _) in &self.wanted {
            let key = key.prefixed(&KeyPrefix::new(folder.to_owned()));
            let left: Vec<_> = uploads.list_uploads(&key).try_collect().await?;
            for open in &left {
                uploads.abort(&open.upload).await?;
            }
            if !left.is_empty() {
                found.get_or_insert(format!("uploads of {key} are left open: {left:?}"));
            }
        }
        Ok(found)
    }
}

fn new_folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|error| Error::io("cannot make a folder for the journal", error))
}

/// The objects of the source of a mirror to this store, in order.
fn objects(target: &SharedStorage) -> Result<Vec<(ObjectKey, Bytes)>> {
    let mut sizes = vec![("a", 0), ("b", 5), ("c", 70_000)];
    if let Some(limits) = target.capabilities().multipart {
        // Two whole parts and a byte.
        let part = limits.min_part.max(MIB).checked_next_power_of_two().unwrap_or(MIB);
        sizes.push(("large", usize::try_from(2 * part + 1).unwrap_or(usize::MAX)));
    }
    sizes.into_iter().map(|(name, len)| Ok((ObjectKey::try_from(name)?, pattern(len)))).collect()
}

/// Pseudorandom bytes, so that no two parts are equal.
fn pattern(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32).to_le_bytes()[..4].to_vec()
    });
    words.flatten().take(len).collect::<Vec<u8>>().into()
}

/// All objects below a folder, with their names relative to it, in order.
async fn contents(store: &dyn Storage, folder: &KeyPrefix) -> Result<Vec<(ObjectKey, Bytes)>> {
    let metas: Vec<_> = store.objects(folder.clone()).try_collect().await?;
    let mut all = Vec::with_capacity(metas.len());
    for meta in metas {
        let bytes = store.read(&meta.key, u64::MAX).await?;
        all.push((meta.key.stripped(folder).unwrap_or(meta.key), bytes));
    }
    all.sort();
    Ok(all)
}

/// Deletes everything below a folder.
async fn clean(store: &dyn Storage, folder: KeyPrefix) -> Result<()> {
    let found: Vec<_> = store.objects(folder).try_collect().await?;
    for batch in found.chunks(store.capabilities().delete_batch.max(1)) {
        let requests = batch.iter().map(|meta| DeleteRequest::new(meta.key.clone())).collect();
        store.delete(requests).await?.into_iter().collect::<Result<Vec<()>>>()?;
    }
    Ok(())
}
