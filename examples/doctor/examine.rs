//! The examination of a store, step by step.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use lepton::core::{Capabilities, Effect, HeadOptions, ListPage, ListRequest};
use lepton::data::Unprotected;
use lepton::{Error, ErrorKind, Location, ObjectKey, Result, SharedStorage, StorageExt as _};

use crate::advice::{SPEAKS_TLS, advice, culprit, may_speak_tls, speaks_tls};
use crate::args::Args;
use crate::place::Place;
use crate::probe::Probe;
use crate::tell::Doctor;

const PROBE: &str = "lepton doctor";

/// A clock difference above this is reported.
const APART: Duration = Duration::from_secs(60);

/// The steps that must succeed before a request is answered, in this order.
const BEFORE: [&str; 4] = ["resolve", "connect", "tls", "credentials"];

impl Doctor {
    pub(crate) async fn examine(&mut self, place: &Place, args: &Args) {
        let (opened, not_reached) = match place.open().await {
            // The settings are right; the store could not be asked which server it is.
            Err(error) if error.operation() == Some("identify") => (place.unknown().await, Some(error)),
            opened => (opened, None),
        };
        let Some(location) = self.step("settings", opened) else { return };
        let store = location.storage();
        let capabilities = store.capabilities();
        self.about = place.about(store.as_ref());
        self.tell("store", "ok", &format!("{} (preset {})", store.url(), capabilities.preset));
        if let Some(error) = not_reached {
            return self.not_reached(place, store, &error).await;
        }
        let listed = match first_page(&location).await {
            Ok(page) => page,
            Err(error) => return self.not_reached(place, store, &error).await,
        };
        self.before(BEFORE.len(), store);
        self.about.reached = true;
        self.ok("list");
        self.protection(capabilities);
        if args.read_only || capabilities.max_object == 0 {
            if !args.read_only {
                self.note("write", "this is a place that can only be read from: no probe is written");
            }
            return self.clock_without_probe(&listed);
        }
        let probe = Probe::new(&location);
        if let Some(key) = self.step("probe", probe.key(b"")) {
            self.probe(store, &key).await;
            if args.keys && !self.wrong && !self.is_stopped() {
                self.keys(place, &location, &probe).await;
            }
        }
    }

    /// What the store does not protect, as far as that is known of it.
    fn protection(&self, capabilities: &Capabilities) {
        if capabilities.preset == "generic" {
            self.note("store", "the server is not a known one: name a preset, or add probe=true to find out by trial");
        }
        if capabilities.max_object > 0 {
            let changes = Unprotected::of(capabilities, true, true);
            changes.iter().for_each(|change| self.note("protection", &format!("missing: {change}")));
        }
    }

    /// The first request failed: finds out at which step.
    async fn not_reached(&mut self, place: &Place, store: &SharedStorage, error: &Error) {
        let mut step = culprit("list", error, &self.about);
        let mut advice = advice(step, error, &self.about);
        if may_speak_tls(step, error)
            && let Some(Ok(other)) = place.over_tls(store.as_ref()).await
            && speaks_tls(first_page(&other).await.map(drop))
        {
            (step, advice) = ("tls", SPEAKS_TLS.to_owned());
        }
        let before = BEFORE.iter().position(|before| *before == step);
        // A server may report a missing bucket without having checked the credentials.
        let done = before.unwrap_or(if step == "proxy" { 0 } else { BEFORE.len() - 1 });
        self.before(done, store);
        self.fails(step, error, &advice);
    }

    /// Reports the first of these steps as done.
    fn before(&self, done: usize, store: &SharedStorage) {
        if !self.about.remote {
            return;
        }
        let proxy = self.about.proxy.as_deref().filter(|_| done > 0);
        if let Some(proxy) = proxy {
            self.tell("proxy", "ok", &format!("requests go through the proxy that {proxy} names"));
        }
        for step in &BEFORE[..done] {
            match *step {
                "tls" if !store.capabilities().tls => {
                    self.note(step, "the connection is not encrypted; use an https endpoint outside of tests");
                }
                "credentials" if self.about.anonymous => self.note(step, "none are sent"),
                // The proxy does both.
                "resolve" | "connect" if proxy.is_some() => (),
                step => self.ok(step),
            }
        }
    }

    /// Writes, reads, describes and deletes a probe object.
    async fn probe(&mut self, store: &SharedStorage, key: &ObjectKey) {
        self.begin_to_write();
        let written = store.write(key, PROBE.into()).await;
        let nothing = written.as_ref().is_err_and(|error| error.effect() == Effect::None);
        if self.step("write", written).is_some() && !self.is_stopped() {
            let read = match store.read(key, 1 << 20).await {
                Ok(bytes) if bytes == PROBE.as_bytes() => Ok(()),
                Ok(_) => Err(Error::new(ErrorKind::ChecksumMismatch, "the probe came back with other bytes")),
                Err(error) => Err(error),
            };
            self.step("read back", read);
            let head = store.head(key, HeadOptions::new()).await;
            if let Some(info) = self.step("describe", head) {
                self.clock(info.meta.last_modified);
            }
        }
        if !nothing {
            let deleted = store.remove(key).await;
            self.step("delete", deleted.map_err(|error| error.with_context("left", key)));
        }
    }

    /// Compares this machine's clock with the store's modification time of the probe.
    fn clock(&self, theirs: Option<SystemTime>) {
        let ours = lepton::core::SystemRuntime::shared().now();
        let Some(theirs) = theirs else {
            return self.note("clock", "not compared: the store does not say when the probe was written");
        };
        match ours.duration_since(theirs).unwrap_or_else(|error| error.duration()) {
            apart if apart > APART => {
                let seconds = apart.as_secs();
                self.note("clock", &format!("this machine's clock and the store's are {seconds} seconds apart"));
            }
            _ => self.ok("clock"),
        }
    }

    /// The same when nothing is written: the `Date` headers of the answers are not available
    /// here.
    fn clock_without_probe(&self, listed: &ListPage) {
        let ours = lepton::core::SystemRuntime::shared().now();
        let newest = listed.objects.iter().filter_map(|object| object.last_modified).max();
        let ahead = newest.and_then(|newest| newest.duration_since(ours).ok()).filter(|ahead| *ahead > APART);
        match ahead {
            Some(ahead) => {
                let seconds = ahead.as_secs();
                let words = format!("an object was written {seconds} seconds from now: this machine's clock is behind");
                self.note("clock", &words);
            }
            None if !self.about.remote => (),
            None if self.about.signs_time => {
                let words = "the store took signatures with this machine's time, and refuses them some minutes off";
                self.tell("clock", "ok", words);
            }
            None => self.note("clock", "not compared: that takes a probe, or requests that are signed with the time"),
        }
    }
}

/// The first page of objects of a place.
async fn first_page(place: &Location) -> Result<ListPage> {
    let request = ListRequest::new().prefix(place.folder()).page_size(10);
    Ok(place.storage().list(request).try_next().await?.unwrap_or_default())
}
