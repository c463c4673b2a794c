use base64::prelude::BASE64_URL_SAFE;
use http::HeaderName;
use lepton_core::{ErrorKind, to_hex};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "s3cr3t/+?=~\"<&x\u{fc}";

/// All encodings of a secret.
fn forms(secret: &str) -> Vec<String> {
    let percent = |upper: bool, kept: &[u8]| -> String {
        let byte = |byte: u8| match (byte.is_ascii_alphanumeric() || kept.contains(&byte), upper) {
            (true, _) => char::from(byte).to_string(),
            (false, true) => format!("%{byte:02X}"),
            (false, false) => format!("%{byte:02x}"),
        };
        secret.bytes().map(byte).collect()
    };
    let each = |write: fn(char) -> String| secret.chars().map(write).collect::<String>();
    let mut forms = vec![
        secret.to_owned(),
        percent(true, b""),
        percent(false, b"-._~"),
        percent(true, b"/").replace('%', "%25"),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        each(|c| format!("\\u{:04x}", u32::from(c))),
        secret.replace('/', "\\/").replace('"', "\\\""),
        each(|c| format!("&#{};", u32::from(c))),
        each(|c| format!("&#x{:X};", u32::from(c))),
        secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
        to_hex(secret.as_bytes()),
        to_hex(secret.as_bytes()).to_uppercase(),
    ];
    for before in ["", "a", "ab", "user:"] {
        for behind in ["", "1", "12"] {
            let text = [before, secret, behind].concat();
            forms.push(BASE64_STANDARD.encode(&text));
            forms.push(BASE64_URL_SAFE.encode(&text));
        }
    }
    forms
}

fn shown(secrets: &Secrets, text: &str) -> String {
    secrets.printable(text)
}

#[test]
fn a_secret_is_hidden_in_every_form() {
    let secrets = Secrets::default().text(SECRET);
    for form in forms(SECRET) {
        let text = shown(&secrets, &format!("key {form} is wrong"));
        // In Base64, a character that shares bits with neighbouring bytes may remain.
        assert!(text.starts_with("key ") && text.ends_with(" is wrong") && text.contains('…'), "{form}: {text}");
        assert!(text.chars().count() <= "key ……… is wrong".len() + 8, "{form}: {text}");
    }
    for text in ["", "nothing at all", "s3cr3t/+?=~ and more", "%%%&;\\u\\"] {
        assert_eq!(shown(&secrets, text), text);
        assert!(!secrets.are_in(text));
    }
}

#[test]
fn a_secret_is_hidden_where_the_text_is_cut() {
    let long = "0123456789abcdef".repeat(100);
    let secrets = Secrets::default().text(&long);
    assert_eq!(shown(&secrets, &format!("token {long} is wrong")), "token … is wrong");
    assert_eq!(shown(&secrets, &format!("token {}", &long[..20])), "token …");
    let many = format!("{}{long}", "x".repeat(MOST_SEARCHED - 900));
    assert_eq!(shown(&secrets, &many).chars().count(), LONGEST_MESSAGE);
    // Much is hidden, so that the point where the search stops is visible.
    let repeated = format!("{long} ").repeat(20);
    assert_eq!(shown(&secrets, &repeated), "… ".repeat(10) + "…");
    assert_eq!(shown(&Secrets::default().text("s3cr3t/key"), "it is s3cr3t/ke%"), "it is …");
}

#[test]
fn short_secrets_leave_a_message_readable() {
    let secrets = Secrets::default().text("").text("e").text("abc");
    assert_eq!(shown(&secrets, "the abc are seen"), "the abc are seen");
    assert_eq!(shown(&Secrets::default().text("abcd"), "the abcd are seen"), "the … are seen");
}

#[test]
fn headers_have_their_secrets() {
    for (header, secret, kept) in [
        ("Bearer s3cr3t-token", "s3cr3t-token", "Bearer"),
        ("Basic dXNlcjpoNW50ZXIy", "h5nter2", "user"),
        ("Basic dXNlcjpoNW50ZXIy", "dXNlcjpoNW50ZXIy", "Basic"),
        (
            "AWS4-HMAC-SHA256 Credential=AKIA/x,SignedHeaders=host,Signature=0123456789abcdef",
            "0123456789abcdef",
            "AKIA",
        ),
        ("SharedKey account:c2lnbmF0dXJlIQ==", "c2lnbmF0dXJlIQ==", "account"),
        ("https://h/c/b?sv=2024-11-04&sig=a%2Bb%2Fc%3D", "a+b/c=", "2024-11-04"),
        ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "0123456789abcdef0123456789abcdef", "MDEyMzQ1"),
    ] {
        let mut value = HeaderValue::from_static(header);
        let secrets = Secrets::default().header(Some(&value));
        assert_eq!(shown(&secrets, &format!("{kept} {secret}")), format!("{kept} …"), "{header}");
        value.set_sensitive(true);
        let name = HeaderName::from_static("x");
        let headers = HeaderMap::from_iter([(name, value), (http::header::DATE, HeaderValue::from_static("today"))]);
        assert_eq!(shown(&Secrets::default().headers(&headers), &format!("{secret} today")), "… today");
    }
}

#[test]
fn queries_have_their_signatures() {
    let query = "sv=2024-11-04&sp=racwdl&sig=a%2Bb%2Fc%3D";
    let signed = Secrets::default().query(query);
    assert_eq!(shown(&signed, "2024-11-04 racwdl a+b/c="), "2024-11-04 racwdl …");
    let any = Secrets::default().any_query("v=1&k=opensesame");
    assert_eq!(shown(&any, "v is 1, k is opensesame"), "v is 1, k is …");
}

#[test]
fn an_error_loses_its_secrets_in_every_text() {
    let secrets = Secrets::default().text(SECRET);
    let cause = Error::new(ErrorKind::Io, format!("about {SECRET}"));
    let error = Error::new(ErrorKind::Tls, format!("no {SECRET}"))
        .with_code(SECRET)
        .with_request_id(SECRET)
        .with_context("host", SECRET)
        .with_source(cause);
    let hidden = secrets.hidden(error);
    assert_eq!(hidden.kind(), ErrorKind::Tls);
    let report = format!("{hidden} {hidden:?} {}", hidden.full_message());
    assert!(!secrets.are_in(&report) && report.contains("about …"), "{report}");
}

proptest! {
    #[test]
    fn no_text_panics(secret in "\\PC{0,20}", text in "\\PC{0,60}") {
        let secrets = Secrets::default().text(&secret);
        let report = format!("{text}{secret}{text}");
        let shown = secrets.printable(&report);
        prop_assert!(secret.trim().len() < 4 || secret.trim().chars().count() < 4 || !shown.contains(secret.trim()));
    }
}
