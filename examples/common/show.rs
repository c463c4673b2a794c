//! The user-visible output: a progress bar on a terminal, a line per second elsewhere, or JSON.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use super::say::{complain, say};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use lepton::core::PassedOver;
use lepton::data::{PlanSummary, Planned, PlannedAction};
use lepton::{Error, Progress, Report, Status, Transfer, TransferConfig, Verification};
use serde_json::json;

use super::options::Output;
use super::usage::Usage;

/// Maximum number of failures listed by name; the JSON report has all of them.
const SHOWN: usize = 20;

/// After a run of this length the slowest objects are shown; the JSON report has all ten.
const LONG: Duration = Duration::from_secs(30);
const SLOWEST_SHOWN: usize = 3;

pub(crate) struct Show {
    json: bool,
    quiet: bool,
    stats: bool,
    bar: Option<ProgressBar>,
}

impl Show {
    pub(crate) fn new(output: &Output, stats: bool) -> Self {
        // A bar makes sense only on a terminal.
        let bar = (!output.json && !output.quiet && std::io::stderr().is_terminal()).then(bar);
        Self { json: output.json, quiet: output.quiet, stats, bar }
    }

    /// Milliseconds between two progress updates.
    pub(crate) fn every_ms(&self) -> u64 {
        if self.bar.is_some() { 100 } else { 1000 }
    }

    fn event(name: &str, value: serde_json::Value) {
        let mut event = json!({ "event": name });
        if let (Some(event), serde_json::Value::Object(value)) = (event.as_object_mut(), value) {
            event.extend(value);
        }
        say!("{event}");
    }

    /// The effective settings.
    pub(crate) fn settings(&self, settings: &TransferConfig) {
        if self.json {
            Self::event("settings", json!(settings));
        }
    }

    pub(crate) fn progress(&self, progress: &Progress) {
        if self.json {
            return Self::event("progress", json!(progress));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(progress.fraction().map_or(0, |fraction| whole(fraction * PER_MILLE)));
            let (done, all) = (HumanBytes(progress.bytes), HumanBytes(progress.total_bytes));
            let settled = progress.objects + progress.unchanged + progress.skipped + progress.failed;
            let rate = HumanBytes(whole(progress.recent_bytes_per_second));
            let left = progress.remaining.map(|left| format!(", {} left", HumanDuration(left))).unwrap_or_default();
            bar.set_message(format!(
                "{done} of {all}, {settled} of {} objects, {} failed, {rate}/s{left}",
                progress.total_objects, progress.failed
            ));
        } else if !self.quiet {
            let (done, all) = (HumanBytes(progress.bytes), HumanBytes(progress.total_bytes));
            let rate = HumanBytes(whole(progress.bytes_per_second));
            complain!("{done} of {all}, {} of {} objects, {rate}/s", progress.objects, progress.total_objects);
        }
    }

    pub(crate) fn report(&self, report: &Report, journal: &Path) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let usage = Usage::of_this_process();
        if self.json {
            let mut value = json!(report);
            value["cpu_seconds"] = json!(usage.cpu_seconds);
            value["peak_rss_bytes"] = json!(usage.peak_rss);
            value["journal"] = json!(journal);
            return Self::event("report", value);
        }
        for failure in report.failures.iter().take(SHOWN) {
            complain!("failed: {}: {}", failure.key, failure.error);
        }
        if report.failures.len() > SHOWN {
            complain!("… and {} more; --json names them all", report.failures.len() - SHOWN);
            let by_kind = report.failures_by_kind.iter().map(|(kind, count)| format!("{count} {kind}"));
            complain!("failed in all: {}", by_kind.collect::<Vec<_>>().join(", "));
        }
        if !self.quiet {
            self.summary(report, journal, &usage);
        }
        if self.stats {
            stats(report, &usage);
        }
    }

    fn summary(&self, report: &Report, journal: &Path, usage: &Usage) {
        let seconds = report.elapsed.as_secs_f64().max(1e-3);
        let rate = HumanBytes(whole(report.bytes_read as f64 / seconds));
        say!(
            "{}: {} objects, {} ({} of them taken over), {} unchanged, {} skipped, {} deleted, {} failed",
            match report.status {
                Status::Complete => "complete",
                Status::Cancelled => "stopped",
                Status::Limited => "stopped at the limit",
                _ => "incomplete",
            },
            report.objects,
            HumanBytes(report.bytes),
            HumanBytes(report.resumed_bytes),
            report.unchanged,
            report.skipped,
            report.deleted,
            report.failed(),
        );
        say!(
            "took {} at {rate}/s, {}, {} retries",
            duration(report.elapsed),
            usage.words(report.bytes_read),
            report.retries
        );
        if report.elapsed >= LONG {
            for slow in report.slowest.iter().take(SLOWEST_SHOWN) {
                say!("slow: {}: {} took {}", slow.key, HumanBytes(slow.size), duration(slow.elapsed));
            }
        }
        if report.extras > report.deleted && report.status == Status::Incomplete {
            say!("{} objects were not deleted, because not all came to a good end", report.extras - report.deleted);
        }
        if report.server_copies > 0 {
            say!("{} objects were copied by the store itself", report.server_copies);
        }
        if let Some(cause) = &report.server_copy_refused {
            say!("what the store did not copy by itself was read and sent: {cause}");
        }
        if report.metadata_lost > 0 {
            say!("metadata of {} objects could not be kept whole; the manifest says what", report.metadata_lost);
        }
        let found = report.objects + report.unchanged + report.skipped + report.failed();
        if report.status == Status::Complete && found == 0 {
            say!("the source is empty, or the filters leave nothing of it");
        }
        if report.by_journal > 0 {
            let count = report.by_journal;
            say!("{count} objects were finished by earlier runs and not examined again; `verify` examines them");
        }
        if let Some(passed_over) = passed_over(&report.passed_over) {
            say!("{passed_over}");
        }
        if report.source_unchecked > 0 {
            let count = report.source_unchecked;
            say!("{count} objects were read without TLS from a store that states no checksum of them");
        }
        for change in &report.unprotected {
            say!("the destination does not protect against this: {change}");
        }
        if report.superseded > 0 {
            say!("{} objects got a newer version at the source meanwhile; the manifest names them", report.superseded);
        }
        for upload in &report.foreign_uploads {
            say!("an upload that is not ours was left alone: {upload}");
        }
        if let Some(manifest) = &report.manifest {
            say!("manifest: {}", manifest.display());
        }
        if report.status != Status::Complete {
            say!("the same command goes on; its journal is {}", journal.display());
        }
    }

    pub(crate) fn planned(&self, planned: &Planned) {
        if self.json {
            return Self::event("planned", json!(planned));
        }
        if self.quiet {
            return;
        }
        let what = match &planned.action {
            PlannedAction::Copy { reason, parts: 1, .. } => format!("copy ({})", word(&json!(reason))),
            PlannedAction::Copy { reason, parts, part_size } => {
                format!("copy in {parts} parts of {} ({})", HumanBytes(*part_size), word(&json!(reason)))
            }
            PlannedAction::Unchanged { by } => format!("unchanged (by {})", word(&json!(by))),
            PlannedAction::Skip => "skip".to_owned(),
            PlannedAction::Delete => "delete".to_owned(),
            PlannedAction::Refuse { reason } => format!("refuse: {reason}"),
            _ => "?".to_owned(),
        };
        say!("{} → {} ({}): {what}", planned.source_key, planned.key, HumanBytes(planned.size));
    }

    pub(crate) fn plan_end(&self, summary: &PlanSummary, transfer: &Transfer) {
        let (lossy_attributes, changes) = (transfer.lossy_attributes(), transfer.unprotected());
        let too_many = transfer.refused_deletes(summary).map(|error| error.message().to_owned());
        if self.json {
            let mut event = json!(summary);
            event["lossy_attributes"] = json!(lossy_attributes);
            event["unprotected"] = json!(changes);
            event["refused_deletes"] = json!(too_many);
            return Self::event("plan", event);
        }
        if !self.quiet {
            let PlanSummary { copies, bytes, unchanged, skipped, deletes, refused, .. } = summary;
            let bytes = HumanBytes(*bytes);
            complain!(
                "would copy {copies} objects ({bytes}), leave {unchanged} unchanged, skip {skipped}, delete {deletes}, \
                 fail at {refused}; nothing was written"
            );
            if let Some(passed_over) = passed_over(&summary.passed_over) {
                complain!("{passed_over}");
            }
            if !lossy_attributes.is_empty() {
                let names: Vec<String> = lossy_attributes.iter().map(|attribute| word(&json!(attribute))).collect();
                complain!("of objects that have them, the destination cannot keep: {}", names.join(", "));
            }
            if let Some(why) = too_many {
                complain!("a run would delete nothing: {why}");
            }
            for change in &changes {
                complain!("the destination does not protect against this: {change}");
            }
        }
    }

    pub(crate) fn verification(&self, found: &Verification) {
        if self.json {
            return Self::event("verification", json!(found));
        }
        for problem in found.problems.iter().take(SHOWN) {
            complain!("not proven: {}: {}", problem.key, problem.reason);
        }
        if found.unreachable > 0 {
            let (count, reason) = (found.unreachable, found.unreachable_reason.as_deref().unwrap_or_default());
            complain!("{count} objects could not be compared, the first because of this: {reason}");
        }
        if found.not_copied > 0 {
            let count = found.not_copied;
            complain!("not proven: {count} objects failed in the run that wrote the manifest, and have no entry in it");
        }
        if !self.quiet {
            say!("verified {} objects, {}: {} problems", found.objects, HumanBytes(found.bytes), found.failed);
        }
    }

    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            Self::event("error", json!({ "kind": error.kind().code(), "error": error.full_message() }));
        }
        complain!("error: {}", error.full_message());
    }
}

/// One line of `name=number`.
fn stats(report: &Report, usage: &Usage) {
    say!(
        "objects={} bytes={} unchanged={} skipped={} deleted={} failed={} retries={} throttled={} bytes_read={} \
         seconds={:.3} cpu_seconds={:.3} peak_rss_bytes={}",
        report.objects,
        report.bytes,
        report.unchanged,
        report.skipped,
        report.deleted,
        report.failed(),
        report.retries,
        report.throttled,
        report.bytes_read,
        report.elapsed.as_secs_f64(),
        usage.cpu_seconds,
        usage.peak_rss,
    );
}

/// A name as it is written in JSON.
fn word(name: &serde_json::Value) -> String {
    name.as_str().unwrap_or_default().to_owned()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a figure for people")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// A duration, below a second in milliseconds.
fn duration(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => HumanDuration(elapsed).to_string(),
    }
}

/// The length of the bar: a part of the whole run, because objects can be unchanged or deleted, too.
const PER_MILLE: f64 = 1000.0;

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} %, {msg}");
    ProgressBar::new(whole(PER_MILLE)).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What the source has and is not copied, in words.
fn passed_over(passed_over: &PassedOver) -> Option<String> {
    let PassedOver { symlinks, special_files, empty_folders, folder_markers, .. } = passed_over;
    let kinds = [
        (symlinks, "symbolic links"),
        (special_files, "special files"),
        (empty_folders, "empty folders"),
        (folder_markers, "folder markers"),
    ];
    let found: Vec<_> = kinds.iter().filter(|(n, _)| **n > 0).map(|(n, kind)| format!("{n} {kind}")).collect();
    // A mirror leaves markers alone.
    let deleted = if *folder_markers < passed_over.total() { "; a mirror deletes their copies" } else { "" };
    (!found.is_empty()).then(|| format!("passed over at the source: {}{deleted}", found.join(", ")))
}
