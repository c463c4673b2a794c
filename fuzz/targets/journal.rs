//! A journal is recovered or refused, never wrong: whatever the bytes, and
//! whatever happens to those of a journal that was really written.

#![no_main]

use std::cell::OnceCell;
use std::path::Path;

use lepton_core::SystemRuntime;
use lepton_core::journal::{FIRST_USER_TYPE, Identity, Journal, Replay};
use tokio::runtime::{Builder, Runtime};

const SEGMENT: &str = "journal-000001.log";

fn records(folder: &Path) -> lepton_core::Result<Vec<Vec<u8>>> {
    Replay::of(folder)?.map(|record| Ok(record?.payload)).collect()
}

/// Opened again, a journal gives what it gave, and takes more.
fn survives(runtime: &Runtime, folder: &Path) {
    let Ok(before) = records(folder) else { return };
    let more = async {
        // The bytes may be of any plan, which is refused.
        let Ok(opened) = Journal::open(SystemRuntime::shared(), folder, &Identity::new()) else { return };
        opened.journal.append(FIRST_USER_TYPE, b"more").expect("a record is taken");
        opened.journal.commit().await.expect("a record is written");
        let after = records(folder).expect("what was recovered stays readable");
        assert_eq!((&after[..before.len()], &after[before.len()..]), (&before[..], &[b"more".to_vec()][..]));
    };
    runtime.block_on(more);
}

/// Writes each payload and commits where its length is odd.
fn write(runtime: &Runtime, folder: &Path, payloads: &[&[u8]]) {
    let written = async {
        let opened = Journal::open(SystemRuntime::shared(), folder, &Identity::new()).expect("a new journal");
        for payload in payloads {
            opened.journal.append(FIRST_USER_TYPE, payload).expect("a record is taken");
            if payload.len() % 2 == 1 {
                opened.journal.commit().await.expect("a record is written");
            }
        }
        opened.journal.commit().await.expect("a record is written");
    };
    runtime.block_on(written);
}

/// Flips bits of one byte and cuts the end off.
fn damage(file: &Path, at: u16, flip: u8, cut: u8) {
    let mut bytes = std::fs::read(file).expect("the journal");
    let index = usize::from(at) % bytes.len();
    bytes[index] ^= flip;
    bytes.truncate(bytes.len().saturating_sub(usize::from(cut)));
    std::fs::write(file, bytes).expect("the journal");
}

thread_local!(static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() });

fn fuzz(runtime: &Runtime, bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [a, b, flip, cut, rest @ ..] = bytes else { return };
    if *a == 0xff {
        std::fs::write(folder.path().join(SEGMENT), rest).expect("a temporary file");
        return survives(runtime, folder.path());
    }
    let payloads: Vec<&[u8]> = rest.split(|byte| *byte == 0xff).take(20).collect();
    write(runtime, folder.path(), &payloads);
    damage(&folder.path().join(SEGMENT), u16::from_le_bytes([*a, *b]), *flip, *cut);
    if let Ok(found) = records(folder.path()) {
        assert!(payloads.starts_with(&found.iter().map(Vec::as_slice).collect::<Vec<_>>()), "{found:?}");
    }
    survives(runtime, folder.path());
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    RUNTIME.with(|runtime| {
        let build = || Builder::new_current_thread().enable_all().build().expect("a runtime");
        fuzz(runtime.get_or_init(build), bytes);
    });
});
