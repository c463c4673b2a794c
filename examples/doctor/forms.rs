//! The odd forms of keys, and the rule of a store that each tests.

use lepton::ObjectKey;
use lepton::core::{KeyHandling, KeyRules};

use crate::probe::Probe;

/// The rule that a form tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A key handling, by its name in the capabilities, if they have it.
    Handling(&'static str),
    /// A single byte.
    Byte(u8),
    /// Keys that are not UTF-8.
    Utf8,
    /// There is no rule: keys that differ only in this way must not go to such a store.
    None,
}

/// A form of keys.
pub(crate) struct Form {
    pub(crate) name: String,
    /// An example of such a key.
    pub(crate) example: String,
    pub(crate) rule: Rule,
    /// Keys that are written one after the other, and must then all exist.
    pub(crate) keys: Vec<Vec<u8>>,
}

/// Bytes known to cause trouble for stores or for the software in front of them.
const BYTES: [(u8, &str); 13] = [
    (0, "NUL"),
    (1, "U+0001"),
    (b'\t', "tab"),
    (b'\n', "line feed"),
    (b'\r', "carriage return"),
    (0x7f, "DEL"),
    (b'\\', "\\"),
    (b':', ":"),
    (b'*', "*"),
    (b'?', "?"),
    (b'"', "\""),
    (b'<', "<"),
    (b'>', ">"),
];

/// Every form except the lengths. Each has its own names, so that none conflicts with another.
pub(crate) fn forms(probe: &Probe) -> Vec<Form> {
    let form = |name: &str, example: &str, rule, rests: &[&[u8]]| Form {
        name: name.to_owned(),
        example: example.to_owned(),
        rule,
        keys: rests.iter().map(|rest| probe.bytes(rest)).collect(),
    };
    // It resolves to a name that begins like all others.
    let up = format!("-dots/../{}-up", probe.name());
    let handling = Rule::Handling;
    let mut forms = vec![
        form("empty_segments", "a//b", handling("empty_segments"), &[b"-empty//x"]),
        form("dot_segments", "a/./b, a/../b", handling("dot_segments"), &[b"-dots/./x", up.as_bytes()]),
        form("trailing_dots", "a., a./b", handling("trailing_dots"), &[b"-dot/x.", b"-dot./x"]),
        form("trailing_slash", "a/", handling("trailing_slash"), &[b"-slash/x/"]),
        form("file_beside_folder", "a and a/b", handling("file_beside_folder"), &[b"-file", b"-file/x"]),
        form("not_utf8", "%FF", Rule::Utf8, &[b"-utf8/\xff"]),
        form("trailing_space", "'a '", Rule::None, &[b"-space/x "]),
        form("vertical_bar", "|", Rule::Byte(b'|'), &[b"-bar/|x"]),
        form("case", "A and a", handling("case"), &[b"-case/X", b"-case/x"]),
        form("composed", "\u{e9} in two forms", Rule::None, &["-form/\u{e9}".as_bytes(), "-form/e\u{301}".as_bytes()]),
    ];
    if probe.at_root() {
        let keys = vec![[b"/", &probe.bytes(b"-lead")[..]].concat()];
        let (name, example, rule) = ("leading_slash".into(), "/a".into(), handling("leading_slash"));
        forms.push(Form { name, example, rule, keys });
    }
    for (byte, name) in BYTES {
        let rest = [format!("-byte{byte}/").as_bytes(), &[byte][..], b"x"].concat();
        forms.push(form(&format!("byte_0x{byte:02x}"), name, Rule::Byte(byte), &[&rest]));
    }
    forms
}

/// The handling of a form known before; `None` if there is no rule.
pub(crate) fn known(rules: &KeyRules, form: &Form) -> Option<KeyHandling> {
    let kept = |kept: bool| if kept { KeyHandling::Kept } else { KeyHandling::Refused };
    Some(match form.rule {
        Rule::Handling(name) => return of_rules(rules, name),
        Rule::Byte(byte) if byte.is_ascii_control() && rules.control_characters != KeyHandling::Kept => {
            rules.control_characters
        }
        Rule::Byte(byte) => kept(!rules.forbidden_bytes.contains(&byte)),
        Rule::Utf8 => kept(!rules.utf8_only),
        Rule::None => return None,
    })
}

/// The handling with this name, if the capabilities have one.
pub(crate) fn of_rules(rules: &KeyRules, name: &str) -> Option<KeyHandling> {
    serde_json::from_value(serde_json::to_value(rules).ok()?.get(name)?.clone()).ok()
}

/// The name of a handling in the capabilities.
pub(crate) fn word(handling: KeyHandling) -> &'static str {
    match handling {
        KeyHandling::Kept => "kept",
        KeyHandling::Refused => "refused",
        KeyHandling::Changed => "changed",
        _ => "unknown",
    }
}

/// A key of this many bytes, in segments of a hundred.
pub(crate) fn long_key(probe: &Probe, len: usize) -> Option<ObjectKey> {
    let mut bytes = probe.bytes(b"-long/");
    let begin = bytes.len();
    bytes.extend((begin..len).map(|at| if (at - begin) % 101 == 100 { b'/' } else { b'x' }));
    if let Some(last) = bytes.last_mut() {
        *last = b'x';
    }
    if bytes.len() == len { ObjectKey::new(bytes).ok() } else { None }
}

/// A key whose last segment has this many bytes.
pub(crate) fn long_segment(probe: &Probe, len: usize) -> Option<ObjectKey> {
    let mut name = format!("{}-name", probe.name());
    name.extend((name.len()..len).map(|_| 'x'));
    if name.len() == len { probe.key(&name.as_bytes()[probe.name().len()..]).ok() } else { None }
}
