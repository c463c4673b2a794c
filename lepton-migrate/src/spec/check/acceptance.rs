//! The acceptance tests.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::names::list;
use super::places::check_url;
use crate::spec::acceptance::{HttpTest, TestAction, TestSpec, TestTarget};
use crate::spec::migration::MigrationSpec;
use crate::spec::place::{Place, Relation};
use crate::spec::redact::could_be_secret;
use crate::spec::workload::{Start, WorkloadEntry};

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    let mut taken = BTreeSet::new();
    for test in &spec.tests {
        let subject = |field: &str| format!("tests[{}].{field}", test.name);
        if test.name.is_empty() || !taken.insert(&test.name) {
            found.error(subject("name"), "it is empty, or another test has it too", "use a name of its own");
        }
        if test.timeout.is_zero() {
            found.error(subject("timeout"), "it is 0", "use a larger value");
        }
        match &test.action {
            TestAction::Command(command) if command.first().is_none_or(String::is_empty) => {
                found.error(subject("command"), "it is empty", "name a program and its arguments");
            }
            TestAction::Command(_) => {}
            TestAction::Http { target, http } => {
                check_target(spec, target, &subject, found);
                check_http(http, &subject, found);
            }
        }
        check_prefix(spec, test, &subject("writes_prefix"), found);
    }
}

fn check_http(http: &HttpTest, subject: &impl Fn(&str) -> String, found: &mut Findings) {
    let HttpTest { method, path, status, .. } = http;
    if !is_token(method) || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let message = format!("{method:?} is not a method");
        found.error(subject("http.method"), message, "write the method in capitals, such as GET");
    }
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("{path:?} is not a path");
        found.error(subject("http.path"), message, "begin with `/` and encode spaces as %20");
    }
    if !(200..=599).contains(status) {
        let message = format!("{status} is not the status of an answer");
        found.error(subject("http.status"), message, "use 200 to 599");
    }
    for (name, value) in http.headers.iter().chain(&http.expect_headers) {
        if !is_token(name) || value.contains(['\r', '\n', '\0']) {
            let message = format!("{name:?} is not a header, or its value has a line break");
            found.error(subject("http"), message, "write it as HTTP allows");
        }
    }
    for name in http.headers.keys().filter(|name| could_be_secret(name)) {
        let message = format!("the value of the header {name} could be a secret, and is written in the file");
        found.warning(subject("http.headers"), message, "use a command that knows the secret");
    }
}

/// A token of HTTP: the name of a method or of a header.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

fn check_target(spec: &MigrationSpec, target: &TestTarget, subject: &impl Fn(&str) -> String, found: &mut Findings) {
    match target {
        TestTarget::Url(url) => {
            check_url(url, &subject("url"), found);
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.trim_end_matches('/').contains(['/', '?', '#'])) {
                let message = "it is not a scheme and an authority, such as https://b.example";
                found.error(subject("url"), message, "write the rest in `http.path`");
            }
        }
        TestTarget::Workload(name) => match spec.workloads.iter().find(|workload| workload.name() == name) {
            None => {
                let names = list(spec.workloads.iter().map(WorkloadEntry::name));
                let message = format!("{name:?} is not known");
                found.error(subject("workload"), message, format!("the workloads are: {names}"));
            }
            Some(workload) if workload.start == Start::AfterSwitch => {
                let message = format!("tests run before the switch, and {name:?} starts after it");
                found.error(subject("workload"), message, "test a workload that starts before the switch");
            }
            Some(workload) if workload.route.is_none() => {
                let message = format!("{name:?} has no `route`, at whose port it would be tested");
                found.error(subject("workload"), message, "give the workload a `route`, or use `url`");
            }
            Some(_) => {}
        },
    }
}

/// A test that writes does it outside every data set: what it writes at side B inside one is a
/// difference to side A.
fn check_prefix(spec: &MigrationSpec, test: &TestSpec, field: &str, found: &mut Findings) {
    let Some(prefix) = &test.writes_prefix else {
        if test.may_write() {
            found.error(
                field,
                "the test can write, and does not state where",
                "name a prefix outside every data set, or \"\" if it writes nothing",
            );
        }
        return;
    };
    let is_place = prefix.starts_with('/') || prefix.contains("://");
    for set in spec.data_sets.iter().filter(|_| !prefix.is_empty()) {
        let b = Place::new(&set.b);
        let overlaps = match is_place {
            true => Place::new(prefix).relation(&b) != Relation::Apart,
            false => b.overlaps_keys(prefix),
        };
        if overlaps {
            let message = format!("{prefix:?} overlaps side B of the data set {}", set.name);
            found.error(field, message, "write outside every data set");
        }
    }
}
