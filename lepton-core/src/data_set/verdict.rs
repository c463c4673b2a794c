//! What proves that a side may own the writes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::side::Side;
use crate::{Error, ErrorKind, Result, RetryClass};

/// The outcome of a comparison. Only a pass lets a migration continue: no data is no pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Both sides were seen and hold the same.
    Pass,
    /// Both sides were seen and differ.
    Fail,
    /// There was nothing to compare although there should have been.
    NoData,
    /// The comparison could not be made.
    Error,
}

/// What the last delta of a data set found, in the epoch of one fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataVerdict {
    /// The name of the data set.
    pub data_set: String,
    /// The epoch of the fence.
    pub epoch: u64,
    /// The side that owned the writes.
    pub from: Side,
    /// The outcome.
    pub verdict: Verdict,
    /// Objects, rows or blocks that both sides hold.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Each difference that was found, by name; the first ones where there are many.
    pub differences: Vec<String>,
    /// Where the proof is, such as the path and the digest of a manifest.
    pub evidence: String,
}

impl DataVerdict {
    /// A verdict without counts.
    pub fn new(data_set: impl Into<String>, epoch: u64, from: Side, verdict: Verdict) -> Self {
        Self {
            data_set: data_set.into(),
            epoch,
            from,
            verdict,
            items: 0,
            bytes: 0,
            differences: Vec::new(),
            evidence: String::new(),
        }
    }
}

impl fmt::Display for DataVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data_set, epoch, verdict, items, bytes, .. } = self;
        write!(f, "{data_set}: {verdict:?} in epoch {epoch}, {items} items, {bytes} bytes")?;
        if let Some(first) = self.differences.first() {
            write!(f, "; {} differences, the first: {first}", self.differences.len())?;
        }
        Ok(())
    }
}

/// The right to give a side the writes: every data set has passed in this epoch. There is no
/// other way to make one, so that no traffic moves without the verdict.
#[derive(Debug, PartialEq, Eq)]
pub struct Clearance {
    to: Side,
    epoch: u64,
}

impl Clearance {
    /// Checks the verdicts of the fence of this epoch, which is to give `to` the writes.
    /// `data_sets` are the names of all that take part.
    ///
    /// # Errors
    /// `precondition_failed`, naming the data set, if one has no verdict, has not passed, or its
    /// verdict is of another epoch or of the other direction.
    pub fn new(to: Side, epoch: u64, data_sets: &[String], verdicts: &[DataVerdict]) -> Result<Self> {
        let refused = |why: String| {
            let message = format!("side {to} may not own the writes: {why}");
            Error::new(ErrorKind::PreconditionFailed, message).with_retry(RetryClass::Never)
        };
        if data_sets.is_empty() {
            return Err(refused("no data set takes part".to_owned()));
        }
        for name in data_sets {
            let of_set = |verdict: &&DataVerdict| {
                verdict.data_set == *name && verdict.epoch == epoch && verdict.from == to.other()
            };
            let mut found = verdicts.iter().filter(of_set).peekable();
            if found.peek().is_none() {
                return Err(refused(format!("the data set {name} has no verdict of epoch {epoch}")));
            }
            if let Some(verdict) = found.find(|verdict| verdict.verdict != Verdict::Pass) {
                return Err(refused(verdict.to_string()));
            }
        }
        Ok(Self { to, epoch })
    }

    /// The side that may own the writes.
    pub fn to(&self) -> Side {
        self.to
    }

    /// The epoch of the fence.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pass_of_every_data_set_in_this_epoch_and_direction_clears() {
        let names = ["objects".to_owned(), "queue".to_owned()];
        let verdict = |name: &str, epoch, from, verdict| DataVerdict::new(name, epoch, from, verdict);
        let pass = |name| verdict(name, 7, Side::A, Verdict::Pass);
        let clear = |verdicts: &[DataVerdict]| Clearance::new(Side::B, 7, &names, verdicts);
        let cleared = clear(&[pass("objects"), pass("queue")]).unwrap();
        assert_eq!((cleared.to(), cleared.epoch()), (Side::B, 7));
        for (second, why) in [
            (verdict("queue", 7, Side::A, Verdict::NoData), "NoData"),
            (verdict("queue", 7, Side::A, Verdict::Error), "Error"),
            (verdict("queue", 7, Side::A, Verdict::Fail), "Fail"),
            (verdict("queue", 6, Side::A, Verdict::Pass), "no verdict of epoch 7"),
            (verdict("queue", 7, Side::B, Verdict::Pass), "no verdict of epoch 7"),
            (verdict("other", 7, Side::A, Verdict::Pass), "no verdict of epoch 7"),
        ] {
            let error = clear(&[pass("objects"), second]).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("queue"), "{error}");
        }
        assert!(Clearance::new(Side::B, 7, &[], &[]).is_err());
        let both = [pass("objects"), pass("queue"), verdict("queue", 7, Side::A, Verdict::Fail)];
        assert!(clear(&both).is_err(), "a fail in addition to a pass is a fail");
    }
}
