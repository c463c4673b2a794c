//! What a server-side copy gave, and what becomes of an object that was not copied.

use lepton_core::{CopySource, Effect, Error, ErrorKind, PutReceipt, Result, Sha256};

use crate::apply::context::Context;
use crate::digest::checksum::{PieceDigest, SourceCheck};
use crate::types::entry::Entry;
use crate::types::reason::Basis;

/// A copy that the store made, and by what it is known to be right.
#[derive(Debug)]
pub(crate) struct ServerCopied {
    pub(crate) receipt: PutReceipt,
    pub(crate) basis: Basis,
    /// Where the object was read beside, what that gave.
    pub(crate) read: Option<SourceDigest>,
}

/// What becomes of an object that the store did not copy: it is read and sent,
/// unless that could do no better.
pub(crate) fn refused(cx: &Context, entry: &Entry, error: Error) -> Result<Option<ServerCopied>> {
    let for_good = match error.kind() {
        // It may not, cannot, or does not see the source: nor will it the next one.
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::BucketNotFound => true,
        // Which side the condition was about, sending will tell.
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidInput
        | ErrorKind::TooLarge
        | ErrorKind::ChecksumMismatch
        | ErrorKind::Unexpected => false,
        // Nobody knows what became of it; whoever sends the object will find out.
        _ if error.effect() == Effect::Unknown => false,
        _ => return Err(error),
    };
    tracing::info!(key = %entry.source.key, error = %error.report(), "the store does not copy the object by itself");
    cx.refuse_server_copies(&error, for_good);
    Ok(None)
}

pub(crate) fn source_of(cx: &Context, entry: &Entry) -> Result<CopySource> {
    let source =
        CopySource::new(cx.source.storage().as_ref(), entry.source.key.clone()).ok_or_else(not_to_be_copied)?;
    Ok(source.version(entry.source.version.clone()).if_match(entry.source.etag.clone()))
}

/// No copier is asked about such a store ([`Context::copier_from`]).
pub(crate) fn not_to_be_copied() -> Error {
    Error::unsupported("no other store may fetch the bytes of this store by itself")
}

/// What reading an object beside its copy gave.
#[derive(Debug)]
pub(crate) struct SourceDigest {
    pub(crate) digest: PieceDigest,
    /// The digests of the parts; none of a single one.
    pub(crate) roots: Vec<Sha256>,
    pub(crate) part_size: u64,
    pub(crate) source_check: SourceCheck,
}
