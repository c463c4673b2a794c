//! Every option of every program takes effect, or is refused by name: none is ignored.
//!
//! The options are read from the programs' own help, so that an option missing from the tables
//! fails the test. The effects of the options on files are in `options/effects.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

#[path = "options/effects.rs"]
mod effects;
#[path = "options/scene.rs"]
mod scene;
mod support;

use std::collections::BTreeSet;

use scene::Scene;
use serde_json::{Value, json};

/// The ways in which places are inspected or moved; tables refer to them by their letters.
const WAYS: [(char, &str); 8] = [
    ('m', "migrate s d"),
    ('d', "migrate s d --dry-run"),
    // The demonstration.
    ('x', "migrate"),
    ('r', "sync run s d"),
    ('e', "sync run s d --dry-run"),
    ('p', "sync run s d --plan plan.jsonl"),
    ('l', "sync plan s d"),
    ('o', "sync plan s d --out new.jsonl"),
];

/// An option; another option that it requires, except with a saved plan; the ways that support
/// it, while all others refuse it; and the path of its value in the settings that the program
/// prints with `--json`. An option without such a path has to be among the effects.
type Row = (&'static str, &'static str, &'static str, Option<(&'static str, Value)>);

fn rows() -> Vec<Row> {
    let set = |place, value| Some((place, value));
    let (looks, runs, all) = ("mdrelo", "mrp", "mdreplo");
    vec![
        ("--existing skip", "", looks, set("/existing", json!("skip"))),
        ("--sync", "", looks, set("/existing", json!("if-different"))),
        ("--update", "", looks, set("/existing", json!("if-newer"))),
        ("--ignore-existing", "", looks, set("/existing", json!("skip"))),
        ("--immutable", "", looks, set("/existing", json!("immutable"))),
        ("--compare size", "--sync", looks, set("/compare", json!("size"))),
        ("--checksum", "--sync", looks, set("/compare", json!("checksum"))),
        ("--time-window 5s", "--sync", looks, set("/time_window", json!(5.0))),
        ("--include a", "", looks, set("/filters/rules/0/include", json!("a"))),
        ("--exclude a", "", looks, set("/filters/rules/0/exclude", json!("a"))),
        ("--min-size 1KiB", "", looks, set("/filters/min_size", json!(1024))),
        ("--max-size 2KiB", "", looks, set("/filters/max_size", json!(2048))),
        ("--min-age 1m", "", looks, set("/filters/min_age", json!(60.0))),
        ("--max-age 2m", "", looks, set("/filters/max_age", json!(120.0))),
        ("--from-list list", "", looks, None),
        ("--delete", "", looks, set("/delete", json!(true))),
        ("--allow-empty", "", looks, set("/allow_empty", json!(true))),
        ("--delete-excluded", "--delete", looks, set("/delete_excluded", json!(true))),
        // A plan is executed with the names with which it was made.
        ("--map g=h", "", all, set("/map/0/to", json!("h"))),
        ("--encode-keys", "", all, set("/encode_keys", json!(true))),
        ("--decode-keys", "", all, set("/decode_keys", json!(true))),
        ("--backup-prefix k/", "", all, set("/backup_prefix", json!("k/"))),
        ("--concurrency 3", "", all, set("/concurrency", json!(3))),
        ("--no-adaptive", "", all, set("/adaptive", json!(false))),
        ("--part-size 16MiB", "", all, set("/part_size", json!(16 << 20))),
        ("--memory 64MiB", "", all, set("/memory", json!(64 << 20))),
        ("--bandwidth 1GiB", "", all, set("/bandwidth", json!(1 << 30))),
        ("--requests-per-second 999", "", all, set("/requests_per_second", json!(999))),
        ("--attempts 3", "", all, set("/attempts", json!(3))),
        ("--delete-versions", "--delete", runs, set("/delete_versions", json!(true))),
        ("--max-delete 5", "--delete", runs, set("/max_delete", json!(5))),
        ("--max-delete-percent 50", "--delete", runs, set("/max_delete_percent", json!(50))),
        // The stores of this test have no versions, which the library reports.
        ("--versions", "", "mr", set("/versions", json!(true))),
        ("--record-digest", "", runs, set("/record_digest", json!(true))),
        ("--max-transfer 1GiB", "", runs, set("/max_transfer", json!(1 << 30))),
        ("--max-duration 1h", "", runs, set("/max_duration", json!(3600.0))),
        ("--metadata strict", "", runs, set("/metadata", json!("strict"))),
        ("--fail-fast", "", runs, set("/fail_fast", json!(true))),
        ("--max-failures 7", "", runs, set("/max_failures", json!(7))),
        ("--no-server-copy", "", runs, set("/server_copy", json!(false))),
        ("--no-guess-content-type", "", runs, set("/guess_content_type", json!(false))),
        ("--journal j", "", runs, None),
        ("--begin-anew", "", runs, None),
        ("--manifest m", "", runs, None),
        ("--verify full", "", runs, None),
        ("--stats", "", runs, None),
        ("--json", "", all, None),
        ("--quiet", "", all, None),
        ("--dry-run", "", "mr", None),
        ("--plan plan.jsonl", "", "r", None),
        ("--out new.jsonl", "", "l", None),
    ]
}

/// The other programs, each with all its options; each option is among the effects.
const OTHERS: [(&str, &[&str]); 9] = [
    (
        "verify",
        &["--quick", "--concurrency", "--memory", "--bandwidth", "--requests-per-second", "--attempts", "--json"],
    ),
    ("objects ls", &["--recursive"]),
    ("objects head", &[]),
    ("objects cat", &[]),
    ("objects put", &[]),
    ("objects rm", &[]),
    ("objects du", &[]),
    ("doctor", &["--settings", "--read-only", "--keys", "--json"]),
    ("serve_s3", &["--listen", "--bucket", "--region", "--tls-cert", "--tls-key"]),
];

/// Options that are refused by name in combination with these others.
const TOGETHER: [(&str, &str); 17] = [
    ("migrate s d", "--compare size"),
    ("migrate s d --ignore-existing", "--compare size"),
    ("migrate s d", "--checksum"),
    ("migrate s d", "--time-window 5s"),
    ("sync run s d --compare size", "--time-window 5s"),
    ("sync run s d --existing fail", "--time-window 5s"),
    ("sync run s d --compare size", "--checksum"),
    ("sync run s d", "--delete-excluded"),
    ("sync run s d", "--delete-versions"),
    ("sync run s d", "--max-delete 5"),
    ("sync run s d", "--max-delete-percent 50"),
    ("sync run s d --delete", "--from-list list"),
    ("sync run s d --fail-fast", "--max-failures 7"),
    ("sync run s d --json", "--quiet"),
    ("sync run s d --json", "--stats"),
    ("doctor s --read-only", "--keys"),
    ("serve_s3 --bucket b=s", "--tls-cert c"),
];

fn name(option: &str) -> &str {
    option.split(' ').next().unwrap()
}

/// The long option names in the help of a program.
fn told(scene: &Scene, program: &str) -> BTreeSet<String> {
    let (code, help) = scene.run(&format!("{program} --help"));
    assert_eq!(code, 0, "{program}: {help}");
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let long = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    long.filter(|name| !["--help", "--version"].contains(name)).map(str::to_owned).collect()
}

fn names<'a>(options: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    options.into_iter().map(|option| name(option).to_owned()).collect()
}

#[test]
fn every_option_of_every_program_is_in_a_table() {
    let (scene, rows) = (Scene::new(), rows());
    let moving = ["migrate", "sync run", "sync plan"].map(|program| told(&scene, program));
    assert_eq!(moving.into_iter().flatten().collect::<BTreeSet<_>>(), names(rows.iter().map(|row| row.0)));
    for (program, options) in OTHERS {
        assert_eq!(told(&scene, program), names(options.iter().copied()), "{program}");
    }
    let unseen = rows.iter().filter(|row| row.3.is_none()).map(|row| row.0);
    let others = OTHERS.into_iter().flat_map(|(_, options)| options.iter().copied());
    for option in unseen.chain(others).map(name) {
        let seen = effects::commands().any(|command| command.split(' ').any(|word| word == option));
        assert!(seen, "no effect of {option} is looked at");
    }
}

/// The settings that the program prints.
fn settings(said: &str) -> Value {
    let events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.into_iter().find(|event| event["event"] == "settings").unwrap_or_else(|| panic!("no settings: {said}"))
}

#[test]
fn every_way_honours_an_option_or_refuses_it_by_name() {
    let scene = Scene::new();
    for (option, takes, honoured, set) in rows() {
        for (letter, way) in WAYS {
            if way.split(' ').any(|word| word == name(option)) {
                continue;
            }
            if !honoured.contains(letter) {
                scene.refuses(&format!("{way} {option}"), name(option));
                continue;
            }
            let takes = if letter == 'p' { "" } else { takes };
            let json = if set.is_some() { "--json" } else { "" };
            let (code, said) = scene.run(&format!("{way} {option} {takes} {json}"));
            assert_ne!(code, 2, "{way} {option}: {said}");
            if let Some((place, value)) = &set {
                assert_eq!(settings(&said).pointer(place), Some(value), "{way} {option}: {said}");
            }
        }
    }
}

#[test]
fn what_contradicts_or_has_no_effect_beside_others_is_refused() {
    let scene = Scene::new();
    for (command, option) in TOGETHER {
        scene.refuses(&format!("{command} {option}"), name(option));
    }
    let policies = ["--existing skip", "--sync", "--update", "--ignore-existing", "--immutable"];
    for way in ["migrate s d", "sync run s d", "sync plan s d"] {
        for first in policies {
            for second in policies.into_iter().filter(|second| *second != first) {
                scene.refuses(&format!("{way} {first} {second}"), name(second));
            }
        }
    }
    for option in ["--update", "--immutable", "--min-size 1", "--max-age 1h", "--delete", "--from-list list"] {
        scene.refuses(&format!("sync run s d --versions {option}"), name(option));
    }
}
