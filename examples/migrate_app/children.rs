//! The processes of the demonstration, which end with it.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lepton::{Error, Result};

use crate::site::Site;

/// Processes in the order in which they were started.
#[derive(Debug, Default)]
pub(crate) struct Children(Vec<(&'static str, Child)>);

/// Starts this program in a role, with its output in a file.
pub(crate) fn start(site: &Site, name: &str, arguments: &[&str]) -> Result<Child> {
    start_with(site, name, arguments, &[])
}

/// The same, with further variables.
pub(crate) fn start_with(site: &Site, name: &str, arguments: &[&str], variables: &[(&str, String)]) -> Result<Child> {
    let program = std::env::current_exe().map_err(|error| Error::io("cannot find this program", error))?;
    let log = |name: &str| File::options().create(true).append(true).open(site.at(&format!("{name}.log")));
    let log = log(name).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = log.map_err(|error| Error::io("cannot make the log", error))?;
    let child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn();
    child.map_err(|error| Error::io(format!("cannot start {name}"), error))
}

impl Children {
    /// Waits until a process has ended by itself.
    pub(crate) async fn ended(&mut self, name: &str) -> Result<()> {
        let failed = |error| Error::io("cannot wait for a process", error);
        for (_, child) in self.0.iter_mut().filter(|(of, _)| *of == name) {
            while child.try_wait().map_err(failed)?.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, name: &'static str, child: Child) {
        self.0.push((name, child));
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in self.0.iter_mut().rev() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
