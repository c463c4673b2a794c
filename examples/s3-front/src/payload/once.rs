//! A stream that can be read once.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use lepton_core::{Body, BodySource, ByteStream, Error, ErrorKind, Hashing, LeafStream, Leaves};

/// The stream as the body of a write.
pub(crate) fn once(len: u64, stream: ByteStream) -> Body {
    Body::from_source(len, Arc::new(Once(Mutex::new(Some(stream)))))
}

/// Opening it again is an error.
struct Once(Mutex<Option<ByteStream>>);

impl BodySource for Once {
    fn open(&self) -> LeafStream {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.unwrap_or_else(|| {
            let message = "the body of a network request can be read only once";
            futures_util::stream::once(async move { Err(Error::new(ErrorKind::Unsupported, message)) }).boxed()
        });
        Leaves::new(stream, Hashing::Lazy).boxed()
    }
}
