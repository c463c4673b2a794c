//! What the destination holds already, and what follows from it.

use lepton_core::{Error, ErrorKind, HeadOptions, Precondition, Result};

use crate::commit::{Found, read_back};
use crate::options::Existing;
use crate::plan::{Entry, Layout};
use crate::read::{self, Source};
use crate::retry::attempts;
use crate::run::Run;

/// What is to be done with an entry.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Copy it, under this condition on the destination.
    Copy(Precondition),
    /// Leave the destination as it is.
    Skip,
}

/// Decides about one entry. `maybe_ours` says that an earlier run may have
/// written it: then what is there is compared, byte for byte by digest, instead
/// of being taken for somebody else's.
pub(crate) async fn decide(run: &Run, entry: &Entry, layout: Layout, maybe_ours: bool) -> Result<Verdict> {
    let existing = run.options.settings.existing;
    if existing == Existing::Overwrite {
        return Ok(Verdict::Copy(Precondition::None));
    }
    let head = attempts(run, true, || run.destination().head(&entry.target, HeadOptions::new())).await;
    match head {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Verdict::Copy(if_absent(run, layout))),
        Err(error) => Err(error),
        Ok(_) if maybe_ours && is_ours(run, entry).await? => Ok(Verdict::Copy(Precondition::None)),
        Ok(_) if existing == Existing::Skip => Ok(Verdict::Skip),
        Ok(_) => Err(Error::new(ErrorKind::AlreadyExists, "the destination has an object of this key already")
            .with_context("key", &entry.target)),
    }
}

/// The condition that nobody writes the object in between, where it can be had.
fn if_absent(run: &Run, layout: Layout) -> Precondition {
    let target = run.target();
    let support = if layout.multipart { target.conditional_complete } else { target.put_if_absent };
    if support.is_available() { Precondition::IfAbsent } else { Precondition::None }
}

/// Whether the destination has exactly the source's bytes, so that writing them
/// again does no harm.
async fn is_ours(run: &Run, entry: &Entry) -> Result<bool> {
    let source = Source::new(run.source(), &entry.source);
    let digest = read::digest(run, &source).await?;
    Ok(matches!(read_back(run, &entry.target, &digest, None).await?, Found::Same(_)))
}
