//! What is not shown, because it could be a secret.

use percent_encoding::percent_decode_str;

/// The options of a place's URL whose values are secret, and the same names in a connection
/// string. The providers refuse them in a URL.
const OPTIONS: [&str; 14] = [
    "secret_access_key",
    "session_token",
    "sse_customer_key",
    "connection_string",
    "account_key",
    "accountkey",
    "sas_token",
    "client_secret",
    "customer_key",
    "credentials_json",
    "access_token",
    "password",
    "sig",
    "x-amz-signature",
];

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Whether the option of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    OPTIONS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether the value of this name could be a secret. It is better to hide too much in a message.
pub(super) fn could_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["secret", "passw", "pwd", "token", "key", "signature", "credential", "authorization", "cookie"];
    is_secret(&name) || parts.iter().any(|part| name.contains(part))
}

/// A text without the user information of the URLs in it, and without the values of the names
/// that `hides` names: `https://user:password@host/?key=value` becomes `https://***@host/?key=***`.
/// Nothing is shown of a text that has such parts behind percent-encoding.
pub(super) fn redact(text: &str, hides: fn(&str) -> bool) -> String {
    let shown = plain(text, hides);
    let decoded = percent_decode_str(&shown).decode_utf8_lossy();
    if plain(&decoded, hides) == decoded { shown } else { HIDDEN.to_owned() }
}

/// Whether this argument is the value of an option whose name could be that of a secret.
pub(super) fn follows_secret_option(arguments: &[String], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| arguments.get(before));
    before.is_some_and(|option| option.starts_with('-') && !option.contains('=') && could_be_secret(option))
}

/// A program and its arguments as text, without what could be a secret.
pub(crate) fn command_line(arguments: &[String]) -> String {
    let shown = arguments.iter().enumerate().map(|(index, argument)| match follows_secret_option(arguments, index) {
        true => HIDDEN.to_owned(),
        false => redact(argument, could_be_secret),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn plain(text: &str, hides: fn(&str) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("://").map(|at| at + 3) {
        let (scheme, after) = rest.split_at(begin);
        let end = after.find(|c: char| "/?#\"' ".contains(c)).unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        shown.push_str(scheme);
        match authority.rsplit_once('@') {
            Some((_, host)) => shown.extend([HIDDEN, "@", host]),
            None => shown.push_str(authority),
        }
        rest = after;
    }
    shown.push_str(rest);
    values(&shown, hides)
}

/// Replaces the values of `name=value` pairs.
fn values(text: &str, hides: fn(&str) -> bool) -> String {
    let pair = |pair: &str| {
        // The separator at the end stays.
        let body = pair.trim_end_matches(is_separator);
        match body.split_once('=') {
            Some((name, value)) if hides(name) && !value.is_empty() => {
                format!("{name}={HIDDEN}{}", &pair[body.len()..])
            }
            _ => pair.to_owned(),
        }
    };
    text.split_inclusive(is_separator).map(pair).collect()
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || "?&;,\"'".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        for (text, shown) in [
            ("https://user:pass@a.example/x", "https://***@a.example/x"),
            ("s3://shop?endpoint=https://u:p@a.example&region=r", "s3://shop?endpoint=https://***@a.example&region=r"),
            ("s3://shop?sas_token=abc&profile=x", "s3://shop?sas_token=***&profile=x"),
            ("AccountKey=abc==;Endpoint=x", "AccountKey=***;Endpoint=x"),
            ("host=h password=x y", "host=h password=*** y"),
            ("://@://@", "://***@://@"),
            ("s3://b?endpoint=https%3A%2F%2Fu:p%40a.example", HIDDEN),
            ("100 % of https://a.example/?password=***", "100 % of https://a.example/?password=***"),
            ("mail@example ähm=x", "mail@example ähm=x"),
        ] {
            assert_eq!(redact(text, is_secret), shown);
        }
        let command = ["dns", "--token", "hunter2", "--password=hunter2", "https://u:hunter2@a.example", "-v"];
        let shown = command_line(&command.map(str::to_owned));
        assert_eq!(shown, "dns --token *** --password=*** https://***@a.example -v");
        assert_eq!(redact("?api_key=1&a=2", could_be_secret), "?api_key=***&a=2");
        assert_eq!(redact("?sse_kms_key_id=1", is_secret), "?sse_kms_key_id=1");
    }
}
