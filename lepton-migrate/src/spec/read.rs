//! Reads a specification, with the position of each error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use lepton_core::{Error, ErrorKind, Result};
use serde::Deserialize as _;

use super::migration::MigrationSpec;

/// The largest file that is read. No migration needs more, and a wrong path may name a large file.
const LARGEST: u64 = 4 << 20;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// TOML: the extension `toml`.
    Toml,
    /// YAML: the extensions `yaml` and `yml`. It needs the feature `yaml`.
    Yaml,
    /// JSON: the extension `json`.
    Json,
}

impl Format {
    /// The format of a file, by its extension.
    ///
    /// # Errors
    /// `invalid_input` for another extension.
    pub fn of_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("toml") => Ok(Self::Toml),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("json") => Ok(Self::Json),
            _ => {
                let message =
                    format!("the extension of {} names no format; it must be toml, yaml, yml or json", path.display());
                Err(Error::invalid_input(message))
            }
        }
    }
}

impl MigrationSpec {
    /// Reads a specification.
    ///
    /// # Errors
    /// `invalid_input`, with the line, the column, the field, what is wrong, and what is allowed.
    pub fn parse(text: &str, format: Format) -> Result<Self> {
        parse(text, format)
    }

    /// Reads a specification from a file whose extension names the format: `toml`, `yaml`, `yml`
    /// or `json`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), with the path; errors of the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        load(path.as_ref())
    }
}

/// What is wrong with a text, and where.
struct Fault {
    /// The line and the column, from 1, if they are known. Columns count characters.
    position: Option<(usize, usize)>,
    field: String,
    message: String,
}

impl Fault {
    fn text(self) -> String {
        match self.field.as_str() {
            "" | "." => self.message,
            field => format!("{field}: {}", self.message),
        }
    }
}

fn parse(text: &str, format: Format) -> Result<MigrationSpec> {
    read(text, format).map_err(|fault| {
        let place = fault.position.map_or_else(String::new, |(line, column)| format!("line {line}, column {column}: "));
        Error::invalid_input(place + &fault.text())
    })
}

fn load(path: &Path) -> Result<MigrationSpec> {
    let format = Format::of_path(path)?;
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    file.map_err(|error| Error::io(format!("cannot read {name}"), error))?;
    let wrong = |message: String| Error::new(ErrorKind::InvalidInput, message);
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("{name} has more than {} MiB; it is no specification", LARGEST >> 20)));
    }
    let text = str::from_utf8(&bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let (line, column) = position(&before, before.len());
        wrong(format!("{name}:{line}:{column}: this is not UTF-8"))
    })?;
    read(text, format).map_err(|fault| {
        let place = fault.position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        wrong(format!("{name}{place}: {}", fault.text()))
    })
}

fn read(text: &str, format: Format) -> Result<MigrationSpec, Fault> {
    match format {
        Format::Toml => toml(text),
        Format::Yaml => yaml(text),
        Format::Json => json(text),
    }
}

fn toml(text: &str) -> Result<MigrationSpec, Fault> {
    let fault = |field: String, error: &toml::de::Error| {
        let position = error.span().map(|span| position(text, span.start));
        Fault { position, field, message: error.message().trim_end().to_owned() }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| fault(String::new(), &error))?;
    serde_path_to_error::deserialize(document).map_err(|error| fault(error.path().to_string(), error.inner()))
}

#[cfg(not(feature = "yaml"))]
fn yaml(_: &str) -> Result<MigrationSpec, Fault> {
    let message = "this build reads no YAML; enable the feature `yaml`, or write TOML or JSON".to_owned();
    Err(Fault { position: None, field: String::new(), message })
}

#[cfg(feature = "yaml")]
fn yaml(text: &str) -> Result<MigrationSpec, Fault> {
    use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};

    let mut field = String::new();
    let spec = serde_saphyr::with_deserializer_from_str(text, |document| {
        serde_path_to_error::deserialize(document).map_err(|error| {
            field = error.path().to_string();
            error.into_inner()
        })
    });
    spec.map_err(|error| {
        let error = error.without_snippet();
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let position = error.location().map(|place| (number(place.line()), number(place.column())));
        let message = match error {
            // The crate's own message names another of its functions.
            serde_saphyr::Error::MultipleDocuments { .. } => "a specification is one YAML document".to_owned(),
            _ => DefaultMessageFormatter.format_message(error).into_owned(),
        };
        Fault { position, field, message }
    })
}

fn json(text: &str) -> Result<MigrationSpec, Fault> {
    let fault = |field: String, error: &serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let bytes = text.lines().nth(line.saturating_sub(1)).and_then(|line| line.get(..column));
        let characters = bytes.map_or(column, |bytes| bytes.chars().count());
        let message = error.to_string();
        // The position stands at the end of the text too.
        let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message).to_owned();
        Fault { position: (line > 0).then_some((line, characters)), field, message }
    };
    let mut document = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut document, &mut track);
    let spec = MigrationSpec::deserialize(tracked).map_err(|error| fault(track.path().to_string(), &error))?;
    document.end().map_err(|error| fault(String::new(), &error))?;
    Ok(spec)
}

/// The line and the column of an offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
