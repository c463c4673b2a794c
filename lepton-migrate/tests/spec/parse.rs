//! What is read, and the errors.

use std::time::Duration;

use lepton_core::ErrorKind;
use lepton_core::traffic::InFlightPolicy;
use lepton_migrate::{Format, MigrationSpec, Start, TestAction, TestTarget, WritersSpec};

use super::{JSON, YAML, example, read};

#[track_caller]
fn refused(text: &str, format: Format) -> String {
    let error = MigrationSpec::parse(text, format).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.to_string()
}

#[test]
fn the_example_of_the_book_has_no_findings() {
    let spec = read(example());
    assert_eq!(spec.check(), []);
    assert_eq!(spec.traffic.in_flight, InFlightPolicy::Cut(Duration::from_secs(10)));
    assert_eq!((spec.traffic.hold.bytes, spec.traffic.hold.requests), (64 << 20, 1000));
    assert_eq!(spec.data_sets[0].pause, Duration::from_millis(500));
    assert_eq!(spec.data_sets[0].settings.max_delete_percent, 100);
    assert!(matches!(&spec.data_sets[0].writers, WritersSpec::Command { timeout, .. } if timeout.as_secs() == 30));
    assert!(matches!(&spec.data_sets[1].writers, WritersSpec::Scale { a, .. } if a.replicas == 2));
    assert_eq!(spec.workloads[1].start, Start::AfterSwitch);
    let TestAction::Http { target, http } = &spec.tests[0].action else { panic!() };
    assert_eq!((target, http.status), (&TestTarget::Workload("shop".to_owned()), 200));
}

#[test]
fn the_formats_give_the_same_specification() {
    let spec = read(example());
    for (text, format) in [(YAML, Format::Yaml), (JSON, Format::Json)] {
        let other = MigrationSpec::parse(text, format).unwrap();
        assert_eq!(other, spec, "{format:?}");
        assert_eq!(other.digest(), spec.digest());
    }
    // What is written is read again.
    let written = serde_json::to_string(&spec).unwrap();
    assert_eq!(MigrationSpec::parse(&written, Format::Json).unwrap(), spec);
}

/// Readers of JSON are often wrong in the last digit of a fraction.
#[test]
fn a_fraction_is_read_as_it_was_written() {
    let command = "command = [\"/usr/bin/printer\"]";
    for fraction in ["0.30000000000000004", "1.7976931348623157e308", "31.245270191439438", "122.416294033786585"] {
        let overlay = format!("{command}\noverlay = {{ process = {{ share = {fraction} }} }}");
        let spec = read(&example().replace(command, &overlay));
        let again = MigrationSpec::parse(&serde_json::to_string(&spec).unwrap(), Format::Json).unwrap();
        assert_eq!(again.digest(), spec.digest(), "{fraction}");
    }
}

#[test]
fn errors_have_their_position_in_toml() {
    let at = |text: &str, expected: &str| assert_eq!(refused(text, Format::Toml), expected);
    at(
        "name = \"shop\"\n[traffic]\nurl = \"r\"\nhold = { time = \"long\" }\n",
        "line 4, column 17: traffic.hold.time: invalid value: string \"long\", expected a duration such as \"500ms\", \
         \"30s\" or \"10m\", or a number of seconds",
    );
    at(
        "name = \"shop\"\n[traffic]\nurl = \"r\"\n  holds = 1\n",
        "line 4, column 3: traffic.holds: unknown field `holds`, expected one of `url`, `hold`, `in_flight`",
    );
    let changed = example().replace("cut = \"10s\"", "cut = \"ä\", x = 1");
    assert!(refused(&changed, Format::Toml).starts_with("line 6, column "), "{}", refused(&changed, Format::Toml));
    let changed = example().replace("max_delete_percent = 100", "delete = false");
    assert!(
        refused(&changed, Format::Toml)
            .starts_with("line 14, column 12: data_sets[0].settings: `delete` of a followed data set"),
        "{}",
        refused(&changed, Format::Toml)
    );
    at("name = ", "line 1, column 8: string values must be quoted, expected literal string");
}

#[test]
fn errors_have_their_position_in_yaml() {
    let at = |text: &str, expected: &str| assert_eq!(refused(text, Format::Yaml), expected);
    at(
        "name: shop\ntraffic:\n  url: r\n  hold:\n    time: long\n",
        "line 5, column 5: traffic.hold.time: invalid value: string \"long\", expected a duration such as \"500ms\", \
         \"30s\" or \"10m\", or a number of seconds",
    );
    at(
        "name: shop\ntraffic:\n  url: r\n  holds: 1\n",
        "line 4, column 3: traffic.holds: unknown field `holds`, expected one of url, hold, in_flight",
    );
    at("name: [", "line 1, column 7: name: expected string scalar");
    let (twice, line) = (refused(&format!("{YAML}---\nname: shop\n"), Format::Yaml), YAML.lines().count() + 2);
    assert!(twice.starts_with(&format!("line {line}, column ")), "{twice}");
}

#[test]
fn errors_have_their_position_in_json() {
    let at = |text: &str, expected: &str| assert_eq!(refused(text, Format::Json), expected);
    at(
        "{\"name\": \"shop\",\n \"traffic\": {\"url\": \"ü\",\n  \"hold\": {\"time\": \"long\"}}}",
        "line 3, column 25: traffic.hold.time: invalid value: string \"long\", expected a duration such as \"500ms\", \
         \"30s\" or \"10m\", or a number of seconds",
    );
    at(
        "{\"name\": \"shop\",\n \"traffic\": {\"url\": \"ü\", \"holds\": 1}}",
        "line 2, column 32: traffic.holds: unknown field `holds`, expected one of `url`, `hold`, `in_flight`",
    );
    at("{\"name\": ", "line 1, column 9: name: EOF while parsing a value");
    let line = JSON.lines().count() + 1;
    at(&format!("{JSON}{{"), &format!("line {line}, column 1: trailing characters"));
}

#[test]
fn a_field_that_is_missing_or_given_twice_is_named() {
    for (text, format) in [("", Format::Toml), ("a: 1", Format::Yaml), ("{}", Format::Json)] {
        let error = refused(text, format);
        assert!(error.starts_with("line 1, column ") && error.contains("name"), "{error}");
    }
    for (text, format, place) in [
        ("name = \"a\"\nname = \"b\"", Format::Toml, "line 2, column 1: "),
        ("name: a\nname: b", Format::Yaml, "line 2, column 1: "),
        ("{\"name\": \"a\",\n\"name\": \"b\"}", Format::Json, "line 2, column 6: "),
    ] {
        let error = refused(text, format);
        assert!(error.starts_with(place), "{error}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_at_its_field() {
    for (from, to, field, text) in [
        ("command = [\"/usr/local/bin/policy\"]\n", "", "data_sets[0].writers", "neither `command` nor `scale`"),
        ("workload = \"shop\"\nhttp", "http", "tests[0]", "`http` needs `workload` or `url`"),
        ("workload = \"shop\"\nhttp", "workload = \"shop\"\nurl = \"x\"\nhttp", "tests[0]", "both given"),
        ("{ env = \"ITEMS_URL\", ", "{ ", "workloads[0].bindings[0]", "exactly one of `env` and `secret`"),
        ("cut_over = \"command\"", "cut_over = \"now\"", "policy.cut_over", "expected `command` or `auto`"),
        (
            "secrets = { AWS_SECRET_ACCESS_KEY = \"env:SHOP_B_SECRET\" }",
            "secrets = { A = \"x\" }",
            "workloads[0].spec.secrets.A",
            "by reference",
        ),
        ("\"64MiB\"", "\"64MB\"", "traffic.hold.bytes", "\"64MiB\""),
    ] {
        assert!(example().contains(from), "{from}");
        let error = refused(&example().replace(from, to), Format::Toml);
        assert!(error.contains(&format!(": {field}: ")) && error.contains(text), "{error}");
    }
    let only = example().replace("[data_sets.writers.scale]", "writers = \"nobody\"\n[x]");
    assert!(refused(&only, Format::Toml).contains("router_only"), "{}", refused(&only, Format::Toml));
}

#[test]
fn a_file_is_named_with_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        MigrationSpec::load(path).map_err(|error| error.to_string())
    };
    assert_eq!(load("shop.toml", example().as_bytes()), Ok(read(example())));
    assert_eq!(load("shop.yml", YAML.as_bytes()), Ok(read(example())));
    assert_eq!(load("shop.JSON", JSON.as_bytes()), Ok(read(example())));
    assert!(load("wrong.toml", b"name = 1").unwrap_err().contains("wrong.toml:1:8: name: invalid type: integer `1`"));
    assert!(load("wrong.toml", b"# \xc3\xa4\n# \xff").unwrap_err().contains("wrong.toml:2:3: this is not UTF-8"));
    assert!(load("shop.ini", b"").unwrap_err().contains("toml, yaml, yml or json"));
    assert!(load("large.json", &vec![b' '; 5 << 20]).unwrap_err().contains("4 MiB"));
    assert_eq!(MigrationSpec::load(folder.path().join("no.toml")).unwrap_err().kind(), ErrorKind::NotFound);
}
