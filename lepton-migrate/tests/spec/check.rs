//! What is found in a specification, its order and its digest.

use lepton_core::deployment::Severity;
use lepton_migrate::WorkloadEntry;

use super::{example, read};

/// The findings about the example with these replacements, with their severity before them.
fn findings(changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = example().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the example has no {from}");
        text = text.replace(from, to);
    }
    let found = read(&text).check();
    found.iter().map(|finding| format!("{:?} {finding}", finding.severity)).collect()
}

/// Exactly one finding, with these texts in it.
#[track_caller]
fn finds(changes: &[(&str, &str)], texts: &[&str]) {
    let found = findings(changes);
    assert_eq!(found.len(), 1, "{found:#?}");
    for text in texts {
        assert!(found[0].contains(text), "{:?} lacks {text:?}", found[0]);
    }
}

#[test]
fn names_are_checked() {
    finds(&[("name = \"shop\"\n\n[traffic]", "name = \"Shop\"\n\n[traffic]")], &["Error name: \"Shop\"", "lower-case"]);
    finds(
        &[("after = [\"shop\", \"receipts\"]", "after = [\"shops\"]")],
        &["workloads[printer].after: \"shops\"", "shop, printer, items, receipts"],
    );
    finds(&[("after = [\"shop\", \"receipts\"]", "after = [\"printer\"]")], &["printer → printer"]);
    finds(&[("name = \"printer\"", "name = \"shop\"")], &["workloads[1].spec.name", "\"shop\""]);
    finds(
        &[("route = \"http\"", "route = \"https\"")],
        &["workloads[shop].route: there is no port \"https\"", "are: http"],
    );
    finds(
        &[("{ env = \"ITEMS_URL\", data_set = \"items\" }", "{ env = \"ITEM_URL\", data_set = \"items\" }")],
        &["\"ITEM_URL\"", "AWS_ACCESS_KEY_ID, ITEMS_URL"],
    );
    finds(
        &[("{ env = \"ITEMS_URL\", data_set = \"items\" }", "{ env = \"ITEMS_URL\", data_set = \"item\" }")],
        &["\"item\"", "items, receipts"],
    );
    finds(&[("port = \"http\" }", "port = \"x\" }")], &["workloads[shop].spec: ", "\"x\""]);
    // It is also the writer of a data set.
    let found = findings(&[("start = \"after_switch\"\n", "")]);
    assert!(found.len() == 2 && found[0].contains("Warning workloads[printer].start"), "{found:#?}");
    assert!(found[1].contains("Error data_sets[receipts].writers.scale.b: the workload starts before"), "{found:#?}");
    finds(
        &[("workload = \"shop\"", "workload = \"printer\"")],
        &["tests[side B reads an item].workload", "before the switch"],
    );
    finds(&[("fences = 3", "fences = 0")], &["policy.fences"]);
}

#[test]
fn what_is_deleted_and_the_limits_are_checked() {
    let owned = "[[decommission]]\ndeployment = \"process:/srv/shop-a\"\nworkload = \"shop\"";
    for b in ["process:/srv/shop-b", "process:/srv/shop-b/"] {
        finds(&[(owned, &owned.replace("process:/srv/shop-a", b))], &["Error decommission[0]", "workload of side B"]);
    }
    finds(&[(owned, &owned.replace("\"shop\"", "\"\""))], &["Error decommission[0]", "is empty"]);
    finds(&[("requests = 1000", "requests = 0")], &["traffic.hold.requests"]);
    finds(&[("bytes = \"64MiB\"", "bytes = 0")], &["traffic.hold.bytes"]);
    finds(&[("undo = [\"/usr/local/bin/dns\", ", "undo = [\"\", ")], &["Error steps[0].undo", "is empty"]);
}

#[test]
fn places_are_checked() {
    finds(
        &[
            ("a = \"s3://shop-receipts?", "a = \"s3://receipts?"),
            ("b = \"s3://receipts?endpoint=https://b.example", "b = \"s3://receipts?endpoint=https://A.example:443/"),
        ],
        &["data_sets[receipts].b: a and b are the same place"],
    );
    finds(
        &[("a = \"s3://shop-receipts?", "a = \"s3://shop/receipts?")],
        &["data_sets[receipts].a: it overlaps side A of the data set items"],
    );
    finds(&[("profile=app-a", "profile=lepton-a")], &["data_sets[items].writers.a", "Lepton's own credentials"]);
    finds(
        &[(
            "s3://shop?endpoint=https://b.example&profile=app-b",
            "s3://shop/x?endpoint=https://b.example&profile=app-b",
        )],
        &["data_sets[items].writers.b", "proves nothing"],
    );
    finds(
        &[("a = \"s3://shop-receipts?", "a = \"s3://shop-receipts?secret_access_key=hunter2&")],
        &["data_sets[receipts].a: the URL holds"],
    );
    let found = findings(&[(
        "[data_sets.writers.scale]\na = { deployment = \"process:/srv/shop-a\", workload = \"printer\", replicas = 2 }\nb = { deployment = \"process:/srv/shop-b\", workload = \"printer\", replicas = 2 }",
        "writers = \"router_only\"",
    )]);
    assert!(
        found.len() == 1 && found[0].starts_with("Warning data_sets[receipts].writers: that only the router"),
        "{found:?}"
    );
}

#[test]
fn what_is_left_of_side_a_is_found() {
    let url = "ITEMS_URL = \"s3://shop?endpoint=https://b.example\"";
    let with = |value: &str| format!("ITEMS_URL = \"{value}\"");
    for value in [
        "s3://shop?endpoint=https://a.example",
        "s3://shop?endpoint=https%3A%2F%2FA.example",
        "shop.a.example.",
        "a.example:443",
    ] {
        finds(
            &[(url, &with(value))],
            &["Error workloads[shop].spec.env.ITEMS_URL: the host a.example of side A of the data set items"],
        );
    }
    for value in ["https://a.example.org", "https://aa.example", "https://a-a.example.b.example", "ba.example"] {
        assert_eq!(findings(&[(url, &with(value))]), [""; 0], "{value}");
    }
    // Each name is found, and a port distinguishes two servers of one host.
    let found = findings(&[(url, &with("s3://shop-receipts?endpoint=https://a.example"))]);
    let names = ["the host a.example of", "the bucket shop-receipts of"];
    assert!(found.len() == 2 && names.iter().all(|name| found.iter().any(|f| f.contains(name))), "{found:#?}");
    let local = |value: &str| {
        let [a, b] = ["http://127.0.0.1:9000", "http://127.0.0.1:9001"];
        findings(&[(url, &with(value)), ("https://a.example", a), ("https://b.example", b)])
    };
    let found = local("s3://shop?endpoint=http://127.0.0.1:9000");
    assert!(found.len() == 1 && found[0].contains("the host 127.0.0.1:9000 of side A"), "{found:#?}");
    assert_eq!(local("s3://shop?endpoint=http://127.0.0.1:9001"), [""; 0]);
    finds(
        &[(url, &with("http://a.example:9000")), ("https://a.example", "https://a.example:9000")],
        &["host a.example of"],
    );
    // The bucket of another data set, the same bucket of both sides, and a bucket as a word.
    finds(
        &[("RECEIPTS_URL = \"s3://receipts?", "RECEIPTS_URL = \"s3://shop-receipts?")],
        &["Error", "bucket shop-receipts of side A of the data set receipts"],
    );
    finds(
        &[("command = [\"/usr/bin/printer\"]", "command = [\"/usr/bin/shop-receipts\"]")],
        &["Warning workloads[printer].spec.command[0]"],
    );
    finds(
        &[(
            "command = [\"/usr/bin/printer\"]",
            "command = [\"/usr/bin/printer\"]\nargs = [\"--from\", \"https://user:hunter2@a.example/?api_key=hunter3\"]",
        )],
        &["workloads[printer].spec.args[1]", "https://***@a.example/?api_key=***"],
    );
    finds(&[("AWS_ACCESS_KEY_ID = \"shop\"", "DB_PASSWORD = \"hunter2 a.example\"")], &["env.DB_PASSWORD", "\"***\""]);
    let overlay = "command = [\"/usr/bin/printer\"]\noverlay = { process = { deep = [{ token = \"x a.example\" }] } }";
    finds(&[("command = [\"/usr/bin/printer\"]", overlay)], &["overlay.process.deep[0].token", "\"***\""]);
    finds(
        &[
            ("\"env:SHOP_B_SECRET\"", "\"env:SHOP_A_SECRET\""),
            ("command = [\"/usr/local/bin/policy\"]", "command = [\"/usr/local/bin/policy\", \"env:SHOP_A_SECRET\"]"),
        ],
        &["Warning workloads[shop].spec.secrets.AWS_SECRET_ACCESS_KEY", "items uses env:SHOP_A_SECRET too"],
    );
}

#[test]
fn tests_that_write_state_where() {
    finds(
        &[("writes_prefix = \"\"\n", "")],
        &["tests[the certificate is valid].writes_prefix", "does not state where"],
    );
    // Both data sets are whole buckets.
    assert_eq!(findings(&[("writes_prefix = \"\"", "writes_prefix = \"test/\"")]).len(), 2);
    assert_eq!(
        findings(&[("writes_prefix = \"\"", "writes_prefix = \"s3://tests/x?endpoint=https://b.example\"")]),
        [""; 0]
    );
    finds(
        &[("{ path = \"/items/1\"", "{ method = \"PUT\", path = \"/items/1\"")],
        &["tests[side B reads an item].writes_prefix"],
    );
    finds(&[("path = \"/items/1\"", "path = \"items/1\"")], &["http.path"]);
    finds(
        &[("headers = { accept = \"text/plain\" }", "headers = { authorization = \"Basic x\" }")],
        &["Warning", "authorization"],
    );
}

#[test]
fn workloads_come_in_order() {
    let text = |after: [&str; 4]| {
        let mut text = example().split("[[workloads]]").next().unwrap().to_owned();
        for (name, after) in ["a", "b", "c", "d"].into_iter().zip(after) {
            let spec = format!("spec = {{ name = \"{name}\", command = [\"x\"] }}");
            text += &format!("[[workloads]]\ndeployment = \"process:/x\"\nafter = [{after}]\n{spec}\n");
        }
        text
    };
    let order = |after: [&str; 4]| {
        let spec = read(&text(after));
        let names =
            |workloads: Vec<&WorkloadEntry>| workloads.iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>();
        spec.order().map(names).map_err(|error| error.to_string())
    };
    let ordered = |after: [&str; 4]| order(after).unwrap().concat();
    assert_eq!(ordered(["", "", "", ""]), "abcd");
    assert_eq!(ordered(["\"items\"", "\"c\"", "", "\"a\""]), "acbd");
    assert_eq!(ordered(["\"d\", \"b\"", "", "", ""]), "dbac");
    let cycle = order(["", "\"d\"", "\"b\"", "\"c\""]).unwrap_err();
    assert!(cycle.contains("b → d → c → b"), "{cycle}");
    let found = read(&text(["", "\"d\"", "\"b\"", "\"c\""])).check();
    let errors: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(errors.len() == 1 && errors[0].message.contains("b → d → c → b"), "{errors:?}");
    assert!(order(["\"x\"", "", "", ""]).unwrap_err().contains("\"x\""));
}

#[test]
fn the_digest_is_of_what_matters() {
    let digest = |from: &str, to: &str| {
        assert!(example().contains(from), "{from}");
        read(&example().replace(from, to)).digest()
    };
    let before = read(example()).digest();
    assert_eq!(before.len(), 64);
    for (from, to) in [
        ("time = \"30s\"", "time = 30"),
        ("\"64MiB\"", "67108864"),
        ("fences = 3\n", ""),
        ("name = \"shop\"\n\n", "# A comment.\nname = 'shop'\n\n"),
    ] {
        assert_eq!(digest(from, to), before, "{to}");
    }
    for (from, to) in [
        ("\"env:SHOP_B_SECRET\"", "\"env:OTHER\""),
        ("profile=lepton-a", "profile=other"),
        ("fences = 3", "fences = 4"),
        ("ITEMS_URL = \"s3://shop", "ITEMS_URL = \"s3://other"),
        ("contains = \"apple\"", "contains = \"pear\""),
    ] {
        assert_ne!(digest(from, to), before, "{to}");
    }
    let with = |secret: &str| digest("s3://shop-receipts?", &format!("s3://shop-receipts?secret_access_key={secret}&"));
    assert_eq!(with("one"), with("two"));
    let header = |secret: &str| digest("accept = \"text/plain\"", &format!("authorization = \"{secret}\""));
    assert_eq!(header("one"), header("two"));
}
