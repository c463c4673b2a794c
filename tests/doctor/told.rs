//! Runs the program and parses its output.

use std::process::Command;

use crate::support::{ACCESS_KEY, SECRET_KEY, example};

/// A secret that must never be printed.
pub(crate) const HUSH: &str = "s3cr3t-0f-n0b0dy";

/// The program's output for each step, and its exit code.
pub(crate) struct Told {
    pub(crate) steps: Vec<serde_json::Value>,
    pub(crate) code: Option<i32>,
}

impl Told {
    pub(crate) fn read(stdout: Vec<u8>, code: Option<i32>) -> Self {
        let lines = String::from_utf8(stdout).unwrap();
        let steps = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { steps, code }
    }

    /// The failing step, if there is one, and its message.
    pub(crate) fn wrong(&self) -> Option<(&str, &str)> {
        let wrong = self.steps.iter().find(|step| step["state"] == "wrong")?;
        Some((wrong["step"].as_str().unwrap(), wrong["words"].as_str().unwrap()))
    }

    /// Asserts that every step succeeded.
    pub(crate) fn assert_well(&self) {
        assert_eq!((self.wrong(), self.code), (None, Some(0)));
    }

    /// Asserts that exactly this step failed, and checks its message.
    pub(crate) fn assert_wrong(&self, step: &str, words: &[&str]) {
        let (found, said) = self.wrong().expect("nothing is wrong");
        assert_eq!((found, self.code), (step, Some(1)), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert_eq!(self.steps.iter().filter(|step| step["state"] == "wrong").count(), 1);
        assert!(!said.contains(HUSH), "{said}");
    }

    /// The steps that succeeded.
    pub(crate) fn done(&self) -> Vec<&str> {
        let done = self.steps.iter().filter(|step| step["state"] == "ok");
        done.map(|step| step["step"].as_str().unwrap()).collect()
    }

    /// The message of a step, whatever its state.
    pub(crate) fn words(&self, step: &str) -> String {
        let told = self.steps.iter().filter(|told| told["step"] == step);
        told.map(|told| told["words"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// The reported handling of a form of keys.
    pub(crate) fn found(&self, form: &str) -> &str {
        let row = self.steps.iter().find(|step| step["form"] == form);
        row.unwrap_or_else(|| panic!("nothing is said of {form}: {:?}", self.wrong()))["found"].as_str().unwrap()
    }

    /// The capabilities to set.
    pub(crate) fn capabilities(&self) -> &serde_json::Value {
        let last = self.steps.last().unwrap();
        assert_eq!(last["step"], "keys", "{:?}", self.wrong());
        &last["capabilities"]
    }
}

/// The program with the correct keys of the test servers, unless other keys are given.
pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(example("doctor"));
    command.args(arguments).arg("--json");
    for scheme in ["HTTP", "HTTPS", "ALL"] {
        command.env_remove(format!("{scheme}_PROXY")).env_remove(format!("{}_proxy", scheme.to_lowercase()));
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("AWS_REGION", "us-east-1").envs(variables.iter().copied());
    command
}

pub(crate) async fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> Told {
    let mut command = command(arguments, variables);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Told::read(output.stdout, output.status.code())
}

pub(crate) fn url(bucket: &str, endpoint: &str) -> String {
    format!("s3://{bucket}?endpoint={endpoint}&preset=aws")
}
