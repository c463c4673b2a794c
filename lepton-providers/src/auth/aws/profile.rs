//! The shared config and credentials files.
//!
//! Format: "Shared config and credentials files" in the AWS SDKs and Tools Reference
//! Guide. As in botocore, a value is not followed by a comment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lepton_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

/// Where profiles are searched for.
#[derive(Debug, Clone)]
pub(crate) struct ProfileFiles {
    pub(crate) config: Option<PathBuf>,
    pub(crate) credentials: Option<PathBuf>,
}

impl ProfileFiles {
    /// The files that the environment names, otherwise those in the home folder.
    pub(crate) fn from_env(var: &dyn Fn(&str) -> Option<String>) -> Self {
        let home = var("HOME").map(PathBuf::from);
        let path = |name: &str, default: &str| match var(name) {
            Some(path) => Some(PathBuf::from(path)),
            None => home.as_ref().map(|home| home.join(".aws").join(default)),
        };
        Self {
            config: path("AWS_CONFIG_FILE", "config"),
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }

    /// The profile with this name, merged from both files; the credentials file wins.
    /// `None` if it is in neither.
    pub(crate) fn profile(&self, name: &str) -> Result<Option<Profile>> {
        let config = read(self.config.as_deref())?;
        let credentials = read(self.credentials.as_deref())?;
        let of_config = match name {
            "default" => config.get("default").or_else(|| config.get("profile default")),
            name => config.get(&format!("profile {name}")),
        };
        let of_credentials = credentials.get(name);
        if of_config.is_none() && of_credentials.is_none() {
            return Ok(None);
        }
        let mut values = of_config.cloned().unwrap_or_default();
        values.extend(of_credentials.cloned().unwrap_or_default());
        let services = values.get("services").and_then(|services| config.get(&format!("services {services}")));
        let service_endpoint = services.and_then(|services| services.get("s3.endpoint_url")).cloned();
        if let Some(endpoint) = service_endpoint {
            values.insert("endpoint_url".into(), endpoint);
        }
        Ok(Some(Profile { name: name.to_owned(), values }))
    }

    /// A section of the config file that is not a profile.
    pub(crate) fn section(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        Ok(read(self.config.as_deref())?.remove(name))
    }

    /// The paths, for messages.
    pub(crate) fn describe(&self) -> String {
        let paths: Vec<String> =
            [&self.config, &self.credentials].into_iter().flatten().map(|path| path.display().to_string()).collect();
        if paths.is_empty() { "no files: HOME is not set".into() } else { paths.join(" and ") }
    }
}

/// One profile.
pub(crate) struct Profile {
    pub(crate) name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.get(name).map(SecretString::from)
    }
}

type Sections = BTreeMap<String, BTreeMap<String, String>>;

fn read(path: Option<&Path>) -> Result<Sections> {
    let Some(path) = path else { return Ok(Sections::new()) };
    match std::fs::read(path) {
        Ok(bytes) => {
            parse(&String::from_utf8_lossy(&bytes)).map_err(|error| error.with_context("file", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Sections::new()),
        Err(error) => Err(Error::io("cannot read the profiles", error).with_context("file", path.display())),
    }
}

/// Parses sections, names and values, as Python's `configparser` does, which other tools read
/// these files with. A line that is indented deeper than the name above it belongs to that name:
/// `s3 =` followed by `  endpoint_url = x` is `s3.endpoint_url`.
pub(super) fn parse(text: &str) -> Result<Sections> {
    let mut sections = Sections::new();
    let mut section: Option<String> = None;
    // The name that deeper lines belong to, and its indentation.
    let mut parent: Option<(String, usize)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |why| Error::new(ErrorKind::InvalidInput, format!("profiles, line {number}: {why}"));
        let indent = line.len() - line.trim_start().len();
        let nested = parent.as_ref().filter(|(_, above)| indent > *above).map(|(name, _)| name.clone());
        if let Some(header) = content.strip_prefix('[').filter(|_| nested.is_none()) {
            let name = header.split(']').next().unwrap_or_default();
            let name = name.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect::<Vec<_>>().join(" ");
            if name.is_empty() || !header.contains(']') {
                return Err(wrong("a section needs a name between [ and ]"));
            }
            sections.entry(name.clone()).or_default();
            section = Some(name);
            parent = None;
            continue;
        }
        let Some(values) = section.as_ref().and_then(|name| sections.get_mut(name)) else {
            return Err(wrong("a value outside of any section"));
        };
        // Below a name without a value there are names and values, and no value.
        let below_nothing = nested.as_ref().is_some_and(|name| values.get(name).is_some_and(String::is_empty));
        if below_nothing && !content.contains('=') {
            return Err(wrong("a line below a name without a value must be `name = value`; write a value on one line"));
        }
        let Some((name, value)) = content.split_once(['=', ':']) else {
            // The continuation of a value that is not needed here.
            if nested.is_some() {
                continue;
            }
            return Err(wrong("neither a [section] nor `name = value`"));
        };
        let name = name.trim().to_ascii_lowercase();
        let name = match nested {
            Some(parent) => format!("{parent}.{name}"),
            None => {
                parent = Some((name.clone(), indent));
                name
            }
        };
        values.insert(name, value.trim().to_owned());
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = "
# a comment
[default]
region = eu-central-1
[profile work]
region=us-west-2
services = local
s3 =
    addressing_style = path
credential_process = /bin/sh -c \"echo # no comment\"
[profile  \"two words\"]
role_arn = arn:aws:iam::1:role/x
[services local]
s3 =
  endpoint_url = http://127.0.0.1:9000
";

    fn files(config: &str, credentials: &str) -> (tempfile::TempDir, ProfileFiles) {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("config"), folder.path().join("credentials"));
        std::fs::write(&a, config).unwrap();
        std::fs::write(&b, credentials).unwrap();
        (folder, ProfileFiles { config: Some(a), credentials: Some(b) })
    }

    #[test]
    fn both_files_make_one_profile() {
        let (_folder, files) = files(CONFIG, "[work]\naws_access_key_id = A\naws_secret_access_key=b=c\n");
        let work = files.profile("work").unwrap().unwrap();
        for (name, value) in [
            ("region", "us-west-2"),
            ("aws_access_key_id", "A"),
            ("aws_secret_access_key", "b=c"),
            ("s3.addressing_style", "path"),
            ("endpoint_url", "http://127.0.0.1:9000"),
            ("credential_process", "/bin/sh -c \"echo # no comment\""),
        ] {
            assert_eq!(work.get(name), Some(value), "{name}");
        }
        assert_eq!(files.profile("default").unwrap().unwrap().get("region"), Some("eu-central-1"));
        assert!(files.profile("nobody").unwrap().is_none());
        assert!(files.profile("two words").unwrap().unwrap().get("role_arn").is_some());
    }

    #[test]
    fn a_file_that_is_not_there_is_empty_and_a_wrong_line_is_named() {
        let none = ProfileFiles { config: Some("/nonexistent/config".into()), credentials: None };
        assert!(none.profile("default").unwrap().is_none());
        let (_folder, files) = files("[default]\nregion\n", "");
        let error = files.profile("default").err().unwrap();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    /// What botocore 1.44.8 reads from the same text (`botocore.configloader.raw_config_parse`),
    /// as `section/name=value`; `None` where it refuses the text.
    #[test]
    fn every_form_is_read_as_botocore_reads_it() {
        let table: &[(&str, Option<&[&str]>)] = &[
            ("[default]\n  region = a\n  endpoint_url = http://h:1\n", Some(&["endpoint_url=http://h:1", "region=a"])),
            ("[default]\n\tregion = a\n\toutput = b\n", Some(&["output=b", "region=a"])),
            ("[default]\n  s3 =\n    x = 1\n  region = a\n", Some(&["region=a", "s3.x=1", "s3="])),
            (
                "[default]\nregion=a\ns3 =\n  x = 1\n  y = 2\noutput = b\n",
                Some(&["output=b", "region=a", "s3.x=1", "s3.y=2", "s3="]),
            ),
            ("[default]\n  s3 =\n    x = 1\n   y = 2\n", Some(&["s3.x=1", "s3.y=2", "s3="])),
            ("[default]\ns3 =\n  x = 1\n\n  y = 2\n  # z\n  z = 3\n", Some(&["s3.x=1", "s3.y=2", "s3.z=3", "s3="])),
            ("[default]\nregion : a\n", Some(&["region=a"])),
            ("[default]\nendpoint_url : http://h:1/x=y\n", Some(&["endpoint_url=http://h:1/x=y"])),
            ("[default]\nRegion = A\n", Some(&["region=A"])),
            ("[default]\nregion = a # no comment\n", Some(&["region=a # no comment"])),
            ("[default]\nregion = a ; no comment\n", Some(&["region=a ; no comment"])),
            ("[default]\n# c\n; d\n   # e\nregion = a\n", Some(&["region=a"])),
            ("[default]\nregion =\noutput = b\n", Some(&["output=b", "region="])),
            ("[default]\r\nregion = a\r\noutput = b\r\n", Some(&["output=b", "region=a"])),
            ("[default] trailing\nregion = a\n", Some(&["region=a"])),
            ("  [default]\nregion = a\n", Some(&["region=a"])),
            ("[default]\nregion = \"a\"\n", Some(&["region=\"a\""])),
            ("[default]\na = 1\nx=a=b\n", Some(&["a=1", "x=a=b"])),
            ("[default]\n\n\n[profile y]\n", Some(&[])),
            ("\u{feff}[default]\nregion = a\n", None),
            ("[default]\nregion\n", None),
            ("[default]\nendpoint_url =\n  http://h:1\n", None),
            ("[default]\ns3 =\n  x : 1\n", None),
            ("region = a\n", None),
        ];
        for (text, expected) in table {
            let read = parse(text).ok().map(|sections| {
                let values = sections.get("default").into_iter().flatten();
                values.map(|(name, value)| format!("{name}={value}")).collect::<std::collections::BTreeSet<_>>()
            });
            let expected = expected.map(|values| values.iter().map(|value| (*value).to_owned()).collect());
            assert_eq!(read, expected, "{text:?}");
        }
    }

    /// Where others read a text and botocore does not, or reads what cannot be meant.
    #[test]
    fn some_forms_are_read_more_kindly() {
        let default = |text: &str| parse(text).unwrap()["default"].clone();
        // botocore: the region is "a\noutput = b".
        assert_eq!(default("[default]\nregion = a\n  output = b\n")["region"], "a");
        // botocore refuses these; the SDKs of other languages take the last value.
        assert_eq!(default("[default]\nregion = a\nregion = b\n")["region"], "b");
        assert_eq!(default("[default]\nregion = a\n[default]\noutput = b\n").len(), 2);
        // botocore: the section is " default ".
        assert_eq!(default("[ default ]\nregion = a\n")["region"], "a");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]=#; \t\na-z\"\\\\]*") {
            let _ = parse(&text);
        }
    }
}
