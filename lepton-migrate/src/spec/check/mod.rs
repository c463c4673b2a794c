//! What is wrong with a specification.
//!
//! `names` checks names and what refers to them, `places` the data sets, `acceptance` the
//! acceptance tests, `steps` the programs, `owners` workloads in two roles that exclude each other,
//! `left_over` what of side A is left in the workloads of side B.

mod acceptance;
mod findings;
mod left_over;
mod names;
mod owners;
mod places;
mod steps;

use lepton_core::deployment::Finding;

use self::findings::Findings;
use super::migration::MigrationSpec;

impl MigrationSpec {
    /// Looks for what is wrong with the specification as a whole: names that refer to nothing,
    /// cycles, data sets that overlap, and host names and buckets of side A in what is to run at
    /// side B. It opens nothing.
    ///
    /// A migration with a finding of severity `Error` cannot work.
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        names::check(self, &mut found);
        places::check(self, &mut found);
        acceptance::check(self, &mut found);
        left_over::check(self, &mut found);
        owners::check(self, &mut found);
        steps::check(self, &mut found);
        let MigrationSpec { traffic, policy, .. } = self;
        let limits = [
            ("traffic.hold.time", traffic.hold.time.is_zero()),
            ("traffic.hold.silence", traffic.hold.silence.is_zero()),
            ("traffic.hold.requests", traffic.hold.requests == 0),
            ("traffic.hold.bytes", traffic.hold.bytes == 0),
            ("policy.lag", policy.lag.is_zero()),
            ("policy.ready_within", policy.ready_within.is_zero()),
            ("policy.fences", policy.fences == 0),
        ];
        for (field, _) in limits.iter().filter(|(_, zero)| *zero) {
            found.error(field, "it is 0, with which the migration cannot work", "use a larger value");
        }
        found.0
    }
}
