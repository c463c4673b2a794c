//! placeholder
/// placeholder
#[derive(Debug)]
pub struct MemoryStorage;
