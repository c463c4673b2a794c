//! What options do: the exit code, what is at the destination afterwards, what is said,
//! what is left.

use crate::scene::Scene;

/// What is at the destination before, and after the usual ways of moving.
const BEFORE: &str = "a:= b:D e:D f:D x:D";
const REPLACED: &str = "a:= b:S+ c/d:S e:S f:S x:D";
const SYNCHRONISED: &str = "a:= b:S+ c/d:S e:D f:S x:D";
const ADDED: &str = "a:= b:D c/d:S e:D f:D x:D";

/// Commands, the last one's exit code, and the destination `d` afterwards.
const MOVED: [(&str, i32, &str); 50] = [
    ("migrate s d", 0, REPLACED),
    ("sync run s d", 0, SYNCHRONISED),
    // What becomes of what is there.
    ("sync run s d --existing overwrite", 0, REPLACED),
    ("migrate s d --existing skip", 0, ADDED),
    ("migrate s d --existing fail", 1, ADDED),
    ("sync run s d --existing fail", 1, ADDED),
    ("migrate s d --sync", 0, SYNCHRONISED),
    ("sync run s d --sync", 0, SYNCHRONISED),
    ("migrate s d --update", 0, "a:= b:D c/d:S e:D f:S x:D"),
    ("sync run s d --update", 0, "a:= b:D c/d:S e:D f:S x:D"),
    ("migrate s d --ignore-existing", 0, ADDED),
    ("sync run s d --ignore-existing", 0, ADDED),
    ("migrate s d --immutable", 1, ADDED),
    ("sync run s d --immutable", 1, ADDED),
    ("sync plan s d --immutable --out q; sync run s d --plan q", 1, ADDED),
    ("sync plan s d --update --out q; sync run s d --plan q", 0, "a:= b:D c/d:S e:D f:S x:D"),
    // By what it is compared.
    ("sync run s d --compare size", 0, "a:= b:S+ c/d:S e:D f:D x:D"),
    ("sync run s d --compare content", 0, REPLACED),
    ("migrate s d --sync --checksum", 0, REPLACED),
    ("sync run s d --time-window 1m", 0, "a:= b:S+ c/d:S e:D f:D x:D"),
    // Which objects, and under which names.
    ("migrate s d --include c/", 0, ADDED),
    ("migrate s d --exclude c/", 0, "a:= b:S+ e:S f:S x:D"),
    ("migrate s d --min-size 2", 0, "a:= b:S+ e:D f:D x:D"),
    ("migrate s d --max-size 1", 0, "a:= b:D c/d:S e:S f:S x:D"),
    ("migrate s d --min-age 10m", 0, "a:= b:S+ e:S f:S x:D"),
    ("migrate s d --max-age 10m", 0, ADDED),
    ("migrate s d --from-list list", 0, "a:= b:S+ e:D f:D x:D"),
    ("migrate s d --ignore-existing --map c/=g/", 0, "a:= b:D e:D f:D g/d:S x:D"),
    ("migrate k d --encode-keys", 0, "a:= b:D e:D f:D p%2525q:S x:D"),
    ("migrate k d --decode-keys", 0, "a:= b:D e:D f:D p%q:S x:D"),
    // What is deleted or replaced.
    ("sync run s d --delete", 3, SYNCHRONISED),
    ("sync run s d --delete --max-delete-percent 50", 0, "a:= b:S+ c/d:S e:D f:S"),
    ("sync run s d --delete --max-delete-percent 50 --max-delete 0", 3, SYNCHRONISED),
    ("sync run s d --delete --delete-excluded --exclude e --max-delete-percent 50", 0, "a:= b:S+ c/d:S f:S"),
    ("sync run s d --backup-prefix k/", 0, "a:= b:S+ c/d:S e:D f:S k/b:D k/f:D x:D"),
    ("sync plan s d --delete --out q; sync run s d --plan q", 3, SYNCHRONISED),
    ("sync plan s d --delete --out q; sync run s d --plan q --max-delete-percent 50", 0, "a:= b:S+ c/d:S e:D f:S"),
    ("sync run s d --plan plan.jsonl --backup-prefix k/", 0, "a:= b:S+ c/d:S e:D f:S k/b:D k/f:D x:D"),
    ("sync run s d --plan plan.jsonl --map c/=g/", 3, BEFORE),
    // When a run ends, or does not begin.
    ("migrate s d --max-transfer 1", 5, BEFORE),
    ("migrate s d --max-duration 0s", 5, BEFORE),
    ("migrate s d --existing fail --include a", 1, BEFORE),
    ("migrate s d --existing fail --include a --max-failures 0", 3, BEFORE),
    ("migrate s d --existing fail --include a --fail-fast", 3, BEFORE),
    ("migrate s d --dry-run", 0, BEFORE),
    ("sync run s d --dry-run", 0, BEFORE),
    ("sync plan s d", 0, BEFORE),
    ("sync plan s d --immutable", 1, BEFORE),
    ("migrate s d --memory 1", 3, BEFORE),
    ("migrate s d --part-size 3MiB", 3, BEFORE),
];

/// Commands, the last one's exit code, and what it says; `None`: nothing.
const SAID: [(&str, i32, Option<&str>); 31] = [
    ("sync run s d --immutable", 1, Some("failed: b")),
    ("migrate s d --verify quick", 0, Some("verified 5 objects")),
    ("migrate s d --verify full", 0, Some("verified 5 objects")),
    ("migrate s d --json", 0, Some("\"event\":\"report\"")),
    ("sync plan s d --json", 0, Some("\"event\":\"planned\"")),
    ("migrate s d --stats", 0, Some("objects=5 bytes=6 ")),
    ("migrate s d --quiet", 0, None),
    ("migrate s d --quiet --immutable", 1, Some("failed: b")),
    ("sync run s d --dry-run", 0, Some("nothing was written")),
    ("sync run s d --dry-run --quiet", 0, None),
    ("sync plan s d --quiet --out q", 0, None),
    ("migrate s d --versions", 3, Some("versions: the source")),
    ("migrate s d --memory 1", 3, Some("memory")),
    ("migrate s d --part-size 3MiB", 3, Some("part_size")),
    (
        "migrate s d --journal j --max-transfer 1; migrate s d --journal j --part-size 16MiB",
        3,
        Some("begin anew (journal="),
    ),
    (
        "migrate s d --journal j --max-transfer 1; migrate s d --journal j --part-size 16MiB --begin-anew",
        0,
        Some("complete"),
    ),
    ("migrate s d --manifest m; verify m d --json", 0, Some("\"failed\":0")),
    ("migrate s d --manifest m; verify m s --quick", 4, Some("problems")),
    ("migrate s d --manifest m; verify m s", 0, Some(" 0 problems")),
    ("migrate s d --manifest m; verify m s --concurrency 1 --attempts 1", 0, Some(" 0 problems")),
    ("migrate s d --manifest m; verify m s --bandwidth 1KiB --requests-per-second 99", 0, Some(" 0 problems")),
    ("objects ls d/", 0, Some("  a")),
    ("objects ls s/ --recursive", 0, Some("c/d")),
    ("doctor d", 0, Some("write")),
    ("doctor d --json", 0, Some("\"step\":\"settings\"")),
    ("doctor d --keys", 0, Some("trailing_slash")),
    ("doctor d --settings wrong.json", 1, Some("wrong.json")),
    ("serve_s3 --listen nowhere --bucket bucket=s", 1, Some("nowhere")),
    ("serve_s3 --listen nowhere --bucket b=s", 1, Some("\"b\" is not the name of a bucket")),
    ("serve_s3 --listen nowhere --bucket bucket=s --region here", 1, Some("AWS_REGION=here")),
    ("serve_s3 --listen 127.0.0.1:0 --bucket bucket=s --tls-cert list --tls-key list", 1, Some("list")),
];

/// Commands, and files that they leave.
const LEFT: [(&str, &str); 3] = [
    ("migrate s d --journal j", "j/manifest.jsonl"),
    ("migrate s d --manifest m", "m"),
    ("sync plan s d --out new.jsonl", "new.jsonl"),
];

pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
    let (moved, said) = (MOVED.into_iter().map(|case| case.0), SAID.into_iter().map(|case| case.0));
    moved.chain(said).chain(LEFT.into_iter().map(|case| case.0)).chain(["doctor d --read-only"])
}

/// Runs commands in a scene of their own; gives the exit code and the words of the last.
fn after(commands: &str) -> (Scene, i32, String) {
    let scene = Scene::new();
    let (code, said) = commands.split("; ").map(|command| scene.run(command)).last().unwrap();
    (scene, code, said)
}

#[test]
fn options_decide_what_is_moved() {
    for (commands, expected, there) in MOVED {
        let (scene, code, said) = after(commands);
        assert_eq!((code, scene.shows("d").as_str()), (expected, there), "{commands}: {said}");
    }
}

#[test]
fn options_decide_what_is_said() {
    for (commands, expected, words) in SAID {
        let (_, code, said) = after(commands);
        let right = words.map_or(said.is_empty(), |words| said.contains(words));
        assert!(code == expected && right, "{commands}: exit code {code}: {said}");
    }
    let (_, _, said) = after("doctor d --read-only");
    assert!(!said.contains("read back"), "{said}");
    let (_, _, said) = after("objects ls s/");
    assert!(!said.contains("c/d"), "{said}");
}

#[test]
fn options_decide_what_is_left() {
    for (commands, file) in LEFT {
        let (scene, code, said) = after(commands);
        assert!(code == 0 && scene.path().join(file).is_file(), "{commands}: exit code {code}: {said}");
    }
}
