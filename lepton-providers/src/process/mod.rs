//! Child processes of this machine as a place for workloads (Linux 5.3 or later).
//!
//! ```no_run
//! # async fn example() -> lepton_core::Result<()> {
//! use lepton_core::deployment::{Deployment as _, OperationKey, Secrets, WorkloadSpec};
//! use lepton_providers::process::ProcessDeployment;
//!
//! let place = ProcessDeployment::builder("/var/lib/lepton/shop").open().await?;
//! let spec = WorkloadSpec::of_command("shop", ["/usr/bin/shop", "--serve"]);
//! place.apply(&spec, &Secrets::new(), &OperationKey::new("migration-7", "deploy", "1")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **State.** All state is in one folder of mode 700. A driver writes what is wanted there and
//! returns; a small supervisor process carries it out and publishes what it sees. A workload
//! exists from the moment its file has its name until its folder is removed, which is the last
//! step. Delete workloads, not the folder: removing it by hand leaves the processes
//! unsupervised. `apply` puts revision, owner and key into that file in one step, so a lost reply is
//! answered by the file.
//!
//! **Supervisor.** The driver starts one when it needs one and none is alive: its own program
//! again, with a hidden argument, in a session of its own. Such a program must therefore call
//! [`supervise_if_asked`] first of all. There is one supervisor for each folder; a second one is
//! refused by a lock. It lives on when the driver ends, and ends when it has had no workload for
//! a while. When it is killed, the replicas live on, and the next one adopts them; any call that
//! observes or changes a workload starts the next one.
//!
//! A supervisor that is stopped or hangs falls silent: it notes the time of a monotonic clock each
//! time it goes through its loop. When it has been silent for longer than 10 s (see
//! [`ProcessBuilder::silence`]), any call that observes or changes a workload ends it with SIGKILL
//! and starts the next one, which waits for its lock, so there are never two at work; an
//! observation reports it as a reason. A driver that runs in the process of the supervisor only
//! reports it.
//!
//! Workloads are changed under the lock `state.lock`, which each process needs only for a moment.
//! A supervisor never waits for it: it postpones the work that needs the lock until the lock is
//! free. A driver opens the folder without it, unless a setting changes. Where another process
//! keeps the lock, for example because it was stopped, opening or a change fails with `locked`
//! after the longest silence of a supervisor and 5 s; the error names the file.
//!
//! **The supervisor as a service.** A service manager that ends all processes of a service, as
//! systemd does by default, ends the supervisor and the replicas with the driver, if the driver has
//! started the supervisor. Where workloads are to outlive the service of the driver, or to come back
//! after a restart of the machine, let the supervisor be a service of its own; a driver starts none
//! while one is alive. For systemd:
//!
//! ```ini
//! [Unit]
//! Description=Supervisor of the workloads in /var/lib/lepton/shop
//! StartLimitIntervalSec=0
//!
//! [Service]
//! Type=exec
//! User=shop
//! ExecStart=/usr/bin/shop-driver lepton-supervise /var/lib/lepton/shop
//! KillMode=process
//! Restart=always
//! RestartSec=1
//!
//! [Install]
//! WantedBy=multi-user.target
//! ```
//!
//! - The program is one that calls [`supervise_if_asked`], or [`supervise`] with the folder. The
//!   user is the one who owns the state folder, and the one as whom the driver runs.
//! - `KillMode=process` ends only the supervisor when the service is stopped or restarted. The
//!   replicas keep running, and the next supervisor adopts them. To end the replicas, delete the
//!   workload.
//! - `Restart=always` and no start limit: a supervisor ends with code 0 after some time without a
//!   workload (see [`ProcessBuilder::idle`]), with an error while the state folder does not exist
//!   yet or another supervisor runs, and with SIGKILL when a driver replaces one that is silent. While the
//!   supervisor of a driver runs, the service tries again until that one has ended.
//! - Replicas inherit `PATH`, `HOME` and a few other variables of the service (`Environment=`).
//! - The folder for the values of secrets must be the same for all drivers and must outlive the
//!   session of a user, which `$XDG_RUNTIME_DIR` does not: name one with
//!   [`ProcessBuilder::secrets_folder`]. The supervisor finds the values by the paths in its state.
//! - Without systemd, use any service manager that restarts a command when it ends.
//!
//! **Replicas.** A replica is a process in a session of its own, with its output in a file. It
//! gets an environment made anew: a few variables of the user, those of the spec, `PORT` and
//! `PORT_<NAME>` with its ports, and markers by which its processes are found. Before a start
//! the supervisor writes down its intent; the new process claims it, with its number and start
//! time, before it executes the program. So a supervisor that comes back either finds the
//! process or withdraws the intent, and nothing is started twice. Signals go by pidfd to
//! processes whose start time and boot are those of the record, so a number that was given to
//! another process is never signalled. Processes that a replica has started are found by its
//! session and by the markers in their environment; one that leaves the session and clears its
//! environment is not found.
//!
//! **Secrets.** Values are passed in the environment. As the supervisor restarts replicas while
//! no driver lives, it needs the values: they are in files of mode 600 in a folder in memory
//! (see [`ProcessBuilder::secrets_folder`]) and are wiped when no replica needs them any more.
//! The state folder holds only a digest under a random key. After a restart of the machine the
//! values are gone, and a workload with secrets waits to be applied again.
//!
//! **Limits.** There are no images, volumes, or limits of processor time and memory; a spec that
//! requires them is refused. The overlay `process` has one field, `workingDirectory`, an absolute
//! path (`/` by default). Replicas listen on this machine: an endpoint is `127.0.0.1:<port>`. A replica
//! without startup and readiness probe is ready once it has run for a second.
//!
//! - `options`, `build`: from options to a deployment; `entry`: how a program becomes a supervisor
//! - `driver`: the deployment; `supervisor`: the other process
//! - `overlay`: what can be run; `state`: the files; `system`: processes and signals

mod build;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod entry;
mod options;
#[cfg(target_os = "linux")]
mod overlay;
#[cfg(target_os = "linux")]
mod state;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod system;

pub use build::ProcessBuilder;
#[cfg(target_os = "linux")]
pub use driver::ProcessDeployment;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{ProcessDeployment, supervise, supervise_if_asked};
#[cfg(target_os = "linux")]
pub use entry::{supervise, supervise_if_asked};
