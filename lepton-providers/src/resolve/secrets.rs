//! Reads the values of secrets.

use std::collections::BTreeMap;
use std::path::Path;

use lepton_core::deployment::{SecretReference, Secrets};
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};

use crate::auth::{command, file};

/// Reads each value. The words of a command may be quoted; no shell reads them.
pub(super) async fn read(env: &SharedRuntime, references: &BTreeMap<String, SecretReference>) -> Result<Secrets> {
    let mut secrets = Secrets::new();
    for (name, reference) in references {
        let value = value(env, reference).await.map_err(|error| error.with_context("secret", name))?;
        secrets = secrets.with(name.clone(), value);
    }
    Ok(secrets)
}

async fn value(env: &SharedRuntime, reference: &SecretReference) -> Result<String> {
    let refused = |why: String| Error::new(ErrorKind::Unauthenticated, why);
    let (value, source) = match reference {
        SecretReference::Env(name) => {
            let source = format!("the variable {name} of a secret");
            let value = std::env::var(name).map_err(|_| refused(format!("{source} is not set, or not text")))?;
            (value, source)
        }
        SecretReference::File(path) => {
            let text = file::secret(env, Path::new(path), "file of a secret").await?;
            (without_line_break(&text).to_owned(), format!("the file {path} of a secret"))
        }
        SecretReference::Command(line) => {
            let words = command::split(line)
                .ok_or_else(|| refused("the command of a secret has an open quote, or ends with a backslash".into()))?;
            // Its arguments are not shown.
            let source = format!("the command {:?} of a secret", words.first().map_or("", |word| word));
            let output = command::output(env, &words).await;
            let output = output.map_err(|failure| failure.into_error(|why| refused(format!("{source} {why}"))))?;
            let text = std::str::from_utf8(&output).map_err(|_| refused(format!("{source} prints no text")))?;
            (without_line_break(text).to_owned(), source)
        }
        other => return Err(Error::unsupported(format!("{other}: this version cannot read such a secret"))),
    };
    if value.is_empty() {
        return Err(refused(format!("{source} gives an empty value")));
    }
    Ok(value)
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;

    use super::*;

    #[tokio::test]
    async fn values_come_from_files_and_commands_and_are_never_in_an_error() {
        let env = SystemRuntime::shared();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "of the file\n").unwrap();
        let reference = |text: &str| text.parse::<SecretReference>().unwrap();
        let references = BTreeMap::from([
            ("FILE".to_owned(), reference(&format!("file:{}", file.path().display()))),
            ("COMMAND".to_owned(), reference("command:echo of the command")),
            ("QUOTED".to_owned(), reference(r#"command:sh -c "echo 'two  words'" "#)),
        ]);
        let secrets = read(&env, &references).await.unwrap();
        let values: Vec<_> = secrets.expose().collect();
        assert_eq!(values, [("COMMAND", "of the command"), ("FILE", "of the file"), ("QUOTED", "two  words")]);
        let (empty, blank) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        std::fs::write(blank.path(), "\n").unwrap();
        let file = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        for (wrong, named) in [
            ("env:LEPTON_TEST_IS_NOT_SET".to_owned(), "LEPTON_TEST_IS_NOT_SET of a secret is not set".to_owned()),
            ("file:/does/not/exist".to_owned(), "/does/not/exist".to_owned()),
            ("command:false".to_owned(), "false".to_owned()),
            ("command:echo 'open".to_owned(), "open quote".to_owned()),
            (format!("file:{}", file(&empty)), format!("{} of a secret gives an empty value", file(&empty))),
            (format!("file:{}", file(&blank)), format!("{} of a secret gives an empty value", file(&blank))),
            ("command:echo".to_owned(), "\"echo\" of a secret gives an empty value".to_owned()),
            ("command:   ".to_owned(), "\"\" of a secret is empty".to_owned()),
        ] {
            let references = BTreeMap::from([("KEY".to_owned(), reference(&wrong))]);
            let error = read(&env, &references).await.map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
            let text = error.to_string();
            assert!(text.contains("KEY") && text.contains(&named), "{text}");
        }
    }
}
