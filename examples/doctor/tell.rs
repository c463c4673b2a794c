//! The program's output: one line per step.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lepton::{Error, Result};
use serde_json::json;

use crate::advice::{advice, culprit};
use crate::place::About;
use crate::say::say;
use crate::stop::Stop;

pub(crate) struct Doctor {
    json: bool,
    /// Whether something is wrong.
    pub(crate) wrong: bool,
    /// What the advice depends on.
    pub(crate) about: About,
    stop: Arc<Stop>,
}

impl Doctor {
    pub(crate) fn new(json: bool, stop: Arc<Stop>) -> Self {
        Self { json, wrong: false, about: About::default(), stop }
    }

    /// Reports the result of a step, and returns its value.
    pub(crate) fn step<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name);
                Some(value)
            }
            Err(error) => {
                let name = culprit(name, &error, &self.about);
                self.fails(name, &error, &advice(name, &error, &self.about));
                None
            }
        }
    }

    pub(crate) fn ok(&self, step: &str) {
        self.tell(step, "ok", "");
    }

    pub(crate) fn note(&self, step: &str, words: &str) {
        self.tell(step, "note", words);
    }

    pub(crate) fn fails(&mut self, step: &str, error: &Error, advice: &str) {
        self.wrong = true;
        self.tell(step, "wrong", &format!("{}. {advice}", error.full_message().trim_end_matches('.')));
    }

    pub(crate) fn tell(&self, step: &str, state: &str, words: &str) {
        if self.json {
            say!("{}", json!({ "step": step, "state": state, "words": words }));
        } else if words.is_empty() {
            say!("{state:<6} {step}");
        } else {
            say!("{state:<6} {step}: {words}");
        }
    }

    /// Reports a form of keys: how the store handles it, and what was known before.
    pub(crate) fn row(&self, form: &str, example: &str, found: &str, known: &str) {
        if self.json {
            let step = json!({
                "step": "keys", "state": "ok", "form": form, "found": found, "known": known,
                "words": format!("{form} ({example}): {found}"),
            });
            say!("{step}");
        } else {
            say!("       {form:<20} {example:<22} {found:<11} {known}");
        }
    }

    /// Reports the end of the table: the settings to use.
    pub(crate) fn rules(&self, words: &str, capabilities: &serde_json::Value) {
        if self.json {
            let step = json!({ "step": "keys", "state": "ok", "words": words, "capabilities": capabilities });
            say!("{step}");
        } else {
            self.tell("keys", "ok", words);
        }
    }

    /// Prints the head of the table, unless the output is JSON.
    pub(crate) fn head(&self, preset: &str) {
        if !self.json {
            say!("       {:<20} {:<22} {:<11} known of {preset}", "keys", "such as", "this store");
        }
    }

    /// From now on there may be something to delete.
    pub(crate) fn begin_to_write(&self) {
        self.stop.written.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.wanted.load(Ordering::SeqCst)
    }
}
