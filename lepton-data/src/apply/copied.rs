//! The result of a server-side copy, and the handling of an object that was not copied.

use lepton_core::{Attribute, CopySource, Effect, Error, ErrorKind, PutReceipt, Result, Sha256};

use crate::apply::context::Context;
use crate::digest::checksum::{PieceDigest, SourceCheck};
use crate::types::entry::Entry;
use crate::types::reason::ComparedBy;

/// A copy that the store made, and the basis on which it is known to be right.
#[derive(Debug)]
pub(crate) struct ServerCopied {
    pub(crate) receipt: PutReceipt,
    pub(crate) basis: ComparedBy,
    /// The digest of the source, if it was read in addition to the copy.
    pub(crate) read: Option<SourceDigest>,
    /// What the copy lost.
    pub(crate) lost: Vec<Attribute>,
}

/// Decides what to do with an object that the store did not copy: `Ok(None)` if it is to
/// be read and sent, else the error, because that would fail too.
pub(crate) fn refused(cx: &Context, entry: &Entry, error: Error) -> Result<Option<ServerCopied>> {
    let for_good = match error.kind() {
        // The store may not or cannot copy, or does not see the source. The next object
        // would be refused too.
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::BucketNotFound => true,
        // Sending will show which side the condition was about.
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidInput
        | ErrorKind::TooLarge
        | ErrorKind::ChecksumMismatch
        | ErrorKind::Unexpected => false,
        // Whether the copy was made is unknown; sending the object will show.
        _ if error.effect() == Effect::Unknown => false,
        _ => return Err(error),
    };
    tracing::info!(key = %entry.source.key, error = %error.full_message(), "the store does not copy the object by itself");
    cx.refuse_server_copies(&error, for_good);
    Ok(None)
}

pub(crate) fn source_of(cx: &Context, entry: &Entry) -> Result<CopySource> {
    let source =
        CopySource::new(cx.source.storage().as_ref(), entry.source.key.clone()).ok_or_else(not_to_be_copied)?;
    Ok(source.version(entry.source.version.clone()).if_match(entry.source.etag.clone()))
}

/// The error for a store without a copy URL; [`Context::copier_from`] gives no copier for it.
pub(crate) fn not_to_be_copied() -> Error {
    Error::unsupported("no other store may fetch the bytes of this store by itself")
}

/// The result of reading the source in addition to copying it.
#[derive(Debug)]
pub(crate) struct SourceDigest {
    pub(crate) digest: PieceDigest,
    /// The digests of the parts; empty for a single part.
    pub(crate) roots: Vec<Sha256>,
    pub(crate) part_size: u64,
    pub(crate) source_check: SourceCheck,
}
