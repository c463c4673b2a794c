//! Reads the values of secrets.

use std::collections::BTreeMap;
use std::path::Path;

use lepton_core::deployment::{SecretReference, Secrets};
use lepton_core::{Error, ErrorKind, Result, SharedEnv};

use crate::auth::{command, file};

/// Reads each value. The words of a command are separated by spaces; no shell reads them.
pub(super) async fn read(env: &SharedEnv, references: &BTreeMap<String, SecretReference>) -> Result<Secrets> {
    let mut secrets = Secrets::new();
    for (name, reference) in references {
        let value = value(env, reference).await.map_err(|error| error.with_context("secret", name))?;
        secrets = secrets.with(name.clone(), value);
    }
    Ok(secrets)
}

async fn value(env: &SharedEnv, reference: &SecretReference) -> Result<String> {
    let refused = |why: String| Error::new(ErrorKind::Unauthenticated, why);
    match reference {
        SecretReference::Env(name) => {
            std::env::var(name).map_err(|_| refused(format!("the variable {name} of a secret is not set, or not text")))
        }
        SecretReference::File(path) => {
            let text = file::secret(env, Path::new(path), "file of a secret").await?;
            Ok(without_line_break(&text).to_owned())
        }
        SecretReference::Command(line) => {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let named =
                |why| refused(format!("the command of a secret {why}: {}", words.first().map_or("", |word| word)));
            let output = command::output(env, &words).await.map_err(|failure| failure.into_error(named))?;
            let text = std::str::from_utf8(&output);
            let text = text.map_err(|_| refused("the command of a secret prints no text".to_owned()))?;
            Ok(without_line_break(text).to_owned())
        }
        other => Err(Error::unsupported(format!("{other}: this version cannot read such a secret"))),
    }
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemEnv;

    use super::*;

    #[tokio::test]
    async fn values_come_from_files_and_commands_and_are_never_in_an_error() {
        let env = SystemEnv::shared();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "of the file\n").unwrap();
        let reference = |text: &str| text.parse::<SecretReference>().unwrap();
        let references = BTreeMap::from([
            ("FILE".to_owned(), reference(&format!("file:{}", file.path().display()))),
            ("COMMAND".to_owned(), reference("command:echo of the command")),
        ]);
        let secrets = read(&env, &references).await.unwrap();
        let values: Vec<_> = secrets.expose().collect();
        assert_eq!(values, [("COMMAND", "of the command"), ("FILE", "of the file")]);
        for wrong in ["env:LEPTON_TEST_IS_NOT_SET", "file:/does/not/exist", "command:false"] {
            let references = BTreeMap::from([("KEY".to_owned(), reference(wrong))]);
            let error = read(&env, &references).await.map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
            assert!(error.to_string().contains("KEY"), "{error}");
        }
    }
}
