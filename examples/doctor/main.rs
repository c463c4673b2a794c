//! Checks a store step by step, and explains what is wrong: `doctor PLACE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod advice;
mod args;
mod examine;
mod find;
mod forms;
mod place;
mod probe;
#[path = "../common/say.rs"]
mod say;
#[path = "../common/signals.rs"]
mod signals;
mod stop;
mod tell;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use args::Args;
use clap::Parser as _;
use place::Place;
use say::complain;
use signals::Signals;
use stop::{CANCELLED, Stop, stop_on_signals};
use tell::Doctor;

/// Exit codes; `--help` lists them too.
const WRONG: u8 = 1;
#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let stop = Arc::new(Stop::default());
    match Signals::listen() {
        Ok(signals) => drop(tokio::spawn(stop_on_signals(signals, Arc::clone(&stop)))),
        Err(error) => complain!("signals end this program at once, without deleting the probe: {error}"),
    }
    let mut doctor = Doctor::new(args.json, Arc::clone(&stop));
    match Place::new(&args.place, args.settings.as_deref()) {
        Ok(place) => doctor.examine(&place, &args).await,
        Err(error) => drop(doctor.step("settings", Err::<(), _>(error))),
    }
    if stop.wanted.load(Ordering::SeqCst) {
        return ExitCode::from(CANCELLED);
    }
    ExitCode::from(if doctor.wrong { WRONG } else { 0 })
}
