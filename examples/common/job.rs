//! A transfer between two places, as configured by the options.

use std::path::{Path, PathBuf};

use lepton::providers::local::LocalConfig;
use lepton::providers::{StoreConfig, open_with};
use lepton::{Error, ErrorKind, Location, Result, Transfer, TransferBuilder, TransferConfig, open};
use percent_encoding::percent_decode_str;
use tempfile::NamedTempFile;

use super::asked::Asked;
use super::running::Running;

/// A transfer, and where its journal is.
pub(crate) struct Job {
    pub(crate) builder: TransferBuilder,
    /// Empty when nothing is written.
    pub(crate) journal: PathBuf,
    /// The list from standard input, if there is no journal to save it in.
    _list: Option<NamedTempFile>,
}

impl Job {
    /// `running` is `None` when nothing is written: then there is no journal.
    pub(crate) async fn new(
        (from, to): (&str, &str),
        asked: &Asked,
        running: Option<&Running>,
        settings: TransferConfig,
    ) -> Result<Self> {
        let source = open(from).await.map_err(|error| error.with_context("place", "source"))?;
        let opened = if running.is_some() { open_destination(to).await } else { look_at(to).await };
        let destination = opened.map_err(|error| error.with_context("place", "destination"))?;
        let journal = running.map(|running| running.journal_folder(&source, &destination)).transpose()?;
        let mut builder = Transfer::builder().from(source).to(destination).config(settings);
        if let Some(folder) = &journal {
            builder = builder.journal(folder).begin_anew(running.is_some_and(|running| running.begin_anew));
        }
        builder = builder.verify(running.and_then(|running| running.verify.depth()));
        if let Some(file) = running.and_then(|running| running.manifest.as_ref()) {
            builder = builder.manifest(file);
        }
        let mut list = None;
        builder = match asked.choose.from_list.as_deref() {
            Some(file) if file == Path::new("-") => match &journal {
                Some(folder) => builder.from_list(keep_beside(folder)?),
                None => builder.from_list(list.insert(keep_aside()?).path()),
            },
            Some(file) => builder.from_list(file),
            None => builder,
        };
        Ok(Self { builder, journal: journal.unwrap_or_default(), _list: list })
    }
}

/// Saves standard input in the journal's folder, because the list is read more than once.
fn keep_beside(journal: &Path) -> Result<PathBuf> {
    let kept = journal.join("list");
    let keep = || {
        std::fs::create_dir_all(journal)?;
        std::io::copy(&mut std::io::stdin().lock(), &mut std::fs::File::create(&kept)?)
    };
    keep().map_err(not_kept)?;
    Ok(kept)
}

fn keep_aside() -> Result<NamedTempFile> {
    let mut kept = NamedTempFile::new().map_err(not_kept)?;
    std::io::copy(&mut std::io::stdin().lock(), kept.as_file_mut()).map_err(not_kept)?;
    Ok(kept)
}

fn not_kept(error: std::io::Error) -> Error {
    Error::io("cannot keep the list of standard input", error)
}

/// Opens a destination that is not written to. A folder that does not exist is an empty one: it is
/// looked at from the nearest folder that exists.
async fn look_at(url: &str) -> Result<Location> {
    let is_url = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    let (place, query) = match url.split_once('?') {
        // The folder is not made by a look at it.
        Some((place, query)) if is_url => {
            let options = query.split('&').filter(|option| !option.starts_with("create_root="));
            (place, format!("?{}", options.collect::<Vec<_>>().join("&")))
        }
        _ => (url, String::new()),
    };
    let mut opened = open(&format!("{place}{query}")).await;
    let (mut folder, mut below) = (place.trim_end_matches('/'), Vec::new());
    while let Err(error) = &opened
        && error.kind() == ErrorKind::BucketNotFound
        && error.context("root").is_some()
        && !(folder == "." || folder.is_empty() || folder.ends_with('/'))
    {
        let (parent, name) = folder.rsplit_once('/').unwrap_or((".", folder));
        below.push(name.to_owned());
        folder = parent;
        let root = if folder.is_empty() || folder.ends_with(':') || folder.ends_with('/') { "/" } else { "" };
        opened = open(&format!("{folder}{root}{query}")).await;
    }
    below.reverse();
    let opened = opened?;
    let path = below.join("/");
    let path = if is_url { percent_decode_str(&path).collect() } else { path.into_bytes() };
    Ok(if below.is_empty() { opened } else { Location::new(opened.storage().clone(), path) })
}

/// Creates the folder if it does not exist yet.
async fn open_destination(url: &str) -> Result<Location> {
    match open(url).await {
        Err(error) if error.kind() == ErrorKind::BucketNotFound => {
            let mut settings = LocalConfig::default();
            settings.create_root = true;
            open_with(url, StoreConfig::Local(settings)).await
        }
        opened => opened,
    }
}
