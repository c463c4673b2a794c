//! Saves the output of a suite in a file and searches it for secrets of the test servers.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::capture::set;
use crate::process::root;
use crate::services::SECRETS;

#[allow(unreachable_pub, reason = "the tests use it too")]
#[path = "../../tests/support/search.rs"]
mod search;

use search::Search;

/// Runs a suite, saves the output of its programs in `target/test-output`, and searches it. A
/// secret in it is a failure that names the file, the line and the secret.
pub(crate) fn kept(suite: &str, run: fn() -> Result<()>) -> Result<()> {
    let folder = root().join("target/test-output");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(format!("{suite}.log"));
    File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
    set(Some(file.clone()));
    let result = run();
    set(None);
    match (result, searched(&file, &Search::new(SECRETS))) {
        (Ok(()), searched) => searched,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(secrets)) => Err(error.context(secrets)),
    }
}

/// The saved output of a suite; empty if there is none.
pub(crate) fn of(suite: &str) -> String {
    let file = root().join("target/test-output").join(format!("{suite}.log"));
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

fn searched(file: &Path, search: &Search) -> Result<()> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = search.found(&text);
    if found.is_empty() {
        return Ok(());
    }
    let line = |at: usize| 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
    let found: Vec<_> = found.iter().map(|(name, at)| format!("line {} has {name}", line(*at))).collect();
    bail!("a secret was printed: {}: {}", file.display(), found.join(", "))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::capture::status;

    #[test]
    fn a_printed_secret_is_told_by_name_and_not_shown() {
        let folder = std::env::temp_dir().join(format!("lepton-test-transcript-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("suite.log");
        File::create(&file).unwrap();
        set(Some(file.clone()));
        let printed = |text: &str| status(Command::new("sh").args(["-c", "echo $0 >&2", text])).unwrap().success();
        // A secret that no other search looks for, because a suite prints this output.
        let (name, secret) = ("the secret of this test", "printed-on-purpose");
        let search = Search::new([(name, secret)]);
        assert!(printed("harmless") && searched(&file, &search).is_ok());
        assert!(printed(secret));
        set(None);
        let told = searched(&file, &search).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(told.contains("suite.log") && told.contains("line 2") && told.contains(name), "{told}");
        assert!(!told.contains(secret), "{told}");
    }
}
