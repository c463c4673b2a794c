//! The options common to all programs that move data.

use clap::error::ErrorKind as CommandLine;
use clap::{ArgMatches, Args, Command};
use lepton::{ExistingPolicy, TransferConfig};

use super::choose::Choose;
use super::options::{Output, Tuning};
use super::policy::Policy;
use super::running::Running;

/// The options about two places, whether the program writes or only inspects.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    pub(super) choose: Choose,
    #[command(flatten)]
    tuning: Tuning,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Asked {
    /// The settings that the options make; `running` is `None` when nothing is written.
    /// `default` is the program's treatment of existing objects. Ends the program if an option
    /// has no effect in combination with the others.
    pub(crate) fn settings(
        &self,
        running: Option<&Running>,
        default: ExistingPolicy,
        matches: &ArgMatches,
        command: &mut Command,
    ) -> TransferConfig {
        let mut settings = TransferConfig::default();
        self.policy.enter(&mut settings, default);
        self.choose.enter(&mut settings, matches);
        self.tuning.enter(&mut settings);
        if let Some(running) = running {
            running.enter(&mut settings);
        }
        if let Some(message) = self.policy.refused(&settings) {
            refuse(command, message);
        }
        settings
    }
}

/// Ends the program as clap does for conflicting arguments.
pub(crate) fn refuse(command: &mut Command, message: String) -> ! {
    command.error(CommandLine::ArgumentConflict, message).exit()
}
