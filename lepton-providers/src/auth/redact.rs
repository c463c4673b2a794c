//! Messages of other programs, without what could be a secret.

use crate::wire::secrets::Secrets;
use crate::wire::values;

/// The shortest word of letters and digits that could be a key or a token.
const SHORTEST: usize = 16;

/// The first line that is not empty. `secrets` are known secrets, in addition to words
/// that look like one.
pub(crate) fn first_line(output: &[u8], secrets: &Secrets) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(secrets.printable(&without_secrets(&secrets.hide(line))))
}

/// Leaves out words that look like keys, and values whose name marks them as secret.
fn without_secrets(line: &str) -> String {
    let (mut words, mut hidden, mut named) = (Vec::new(), false, false);
    for word in line.split_whitespace() {
        if std::mem::take(&mut hidden) {
            words.push("…".to_owned());
            // `Authorization: Bearer x` has two words.
            hidden = ["bearer", "basic", "token"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
            continue;
        }
        if word.contains("://") {
            words.push(without_keys(&without_user(word)));
            continue;
        }
        // `password = x`
        hidden = std::mem::take(&mut named) && matches!(word, "=" | ":");
        if hidden {
            words.push(word.to_owned());
            continue;
        }
        let (name, value) = word.split_at(word.find([':', '=']).map_or(word.len(), |at| at + 1));
        let names_secret = is_secret(name);
        named = names_secret && value.is_empty();
        hidden = names_secret && value.is_empty() && (name.ends_with([':', '=']) || name.starts_with('-'));
        words.push(match (names_secret, value) {
            (_, "") | (false, _) => without_keys(word),
            (true, _) => format!("{name}…"),
        });
    }
    words.join(" ")
}

/// An address without user name, password and query.
fn without_user(word: &str) -> String {
    let at =
        word.find("://").map_or(0, |at| word[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |b| b + 1));
    let (before, address) = word.split_at(at);
    [before, &values::without_secrets(address)].concat()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "token", "passw", "key", "credential", "authorization", "bearer"].iter().any(|word| name.contains(word))
}

/// A word without the parts that look like a key.
fn without_keys(word: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+/=_-".contains(letter);
    let (mut text, mut rest) = (String::new(), word);
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()));
        // A key may contain slashes; what starts with one is a path, made of names.
        let is_key = if part.starts_with('/') { part.split('/').any(looks_random) } else { looks_random(part) };
        text.push_str(if is_key { "…" } else { part });
        let (between, next) = behind.split_at(behind.find(is_part).unwrap_or(behind.len()));
        text.push_str(between);
        rest = next;
    }
    text
}

fn looks_random(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    (part.len() >= SHORTEST && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
        || (part.len() >= 2 * SHORTEST && mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_secrets_are_left_out() {
        let none = Secrets::default();
        for (output, shown) in [
            ("aws-vault: error: profile 'work' does not exist", "aws-vault: error: profile 'work' does not exist"),
            ("cannot read /etc/tool-1/config.json", "cannot read /etc/tool-1/config.json"),
            ("no answer from sts.us-east-1.amazonaws.com:443", "no answer from sts.us-east-1.amazonaws.com:443"),
            ("The security token included is expired", "The security token included is expired"),
            ("got wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY, no", "got …, no"),
            ("{\"SecretAccessKey\":\"hunter2\"}", "{\"SecretAccessKey\":…"),
            ("login --password hunter2 failed", "login --password … failed"),
            ("+ export AWS_SECRET_ACCESS_KEY=hunter2", "+ export AWS_SECRET_ACCESS_KEY=…"),
            ("password: hunter2", "password: …"),
            ("password = hunter2 is wrong", "password = … is wrong"),
            ("Authorization: Bearer hunter2 refused", "Authorization: … … refused"),
            ("cannot reach https://user:hunter2@host:1/a?sig=hunter2", "cannot reach https://…@host:1/a?…"),
            ("url='https://user:hunter2@host'", "url='https://…@host'"),
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.", "….…."),
        ] {
            assert_eq!(first_line(output.as_bytes(), &none).as_deref(), Some(shown));
        }
        assert_eq!(first_line(b"\n \nfirst\nsecond", &none).as_deref(), Some("first"));
        assert_eq!(first_line(b"\n", &none), None);
    }
}
