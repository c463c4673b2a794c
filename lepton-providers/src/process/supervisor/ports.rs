//! Ports that nobody uses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};

use lepton_core::deployment::WorkloadSpec;
use lepton_core::{Error, Result};

/// How many times a free port is requested, because the system may name one that was given out already.
const ATTEMPTS: usize = 100;

/// The ports of a replica: those of the spec, those that it had if they are free, or free ones.
/// `taken` are those of the other replicas.
pub(super) fn choose(
    spec: &WorkloadSpec,
    had: &BTreeMap<String, u16>,
    taken: &BTreeSet<u16>,
) -> Result<BTreeMap<String, u16>> {
    let mut chosen = BTreeMap::new();
    let mut used = taken.clone();
    for port in &spec.ports {
        let number = match (port.container_port, had.get(&port.name)) {
            (0, Some(had)) if !used.contains(had) && is_free(*had) => *had,
            (0, _) => free(&used)?,
            (fixed, _) => fixed,
        };
        used.insert(number);
        chosen.insert(port.name.clone(), number);
    }
    Ok(chosen)
}

/// Whether a program could listen there.
pub(in crate::process) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn free(used: &BTreeSet<u16>) -> Result<u16> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|listener| listener.local_addr()) {
            Ok(address) if !used.contains(&address.port()) => return Ok(address.port()),
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| std::io::Error::other("each port that the system named is given out"));
    Err(Error::io("there is no free port", error))
}
