//! An S3 server over any Lepton storage.
