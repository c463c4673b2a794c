//! The description of a whole migration in a file.
//!
//! - `read`: TOML, YAML and JSON, with the position of each error
//! - `migration`, `data_set`, `step`, `workload`, `acceptance`: what the file says, as types
//! - `settings`: the transfer settings that a followed data set can have
//! - `units`: durations and sizes; `place`: what a URL says of a place; `redact`: what is not shown
//! - `check`: what is wrong with a specification; `order`: which workload comes first; `digest`

mod acceptance;
mod check;
mod data_set;
mod digest;
mod migration;
mod order;
mod place;
mod read;
mod redact;
mod settings;
mod step;
mod units;
mod workload;

pub use acceptance::{HttpTest, TestAction, TestSpec, TestTarget};
pub use data_set::{DataSetSpec, ScaleSpec, WritersSpec};
pub use migration::{CutOver, MigrationSpec, OwnedWorkload, PolicySpec, TrafficSpec};
pub use read::Format;
pub(crate) use redact::command_line;
pub(crate) use settings::not_followed;
pub use step::StepSpec;
pub use workload::{Binding, Start, Variable, WorkloadEntry};
