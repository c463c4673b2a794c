//! Files that list the objects: paths, URLs, or a manifest, one entry per line.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use http::Uri;
use lepton_core::{
    ChecksumAlgorithm, Error, ErrorKind, ObjectKey, ObjectMeta, Result, RuntimeExt as _, Sha256, SharedRuntime,
    StoredChecksum,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::sync::OnceCell;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A path below the URL.
    Paths,
    /// A URL; `tls`: it must use https.
    Urls { tls: bool },
    /// An object of a manifest.
    Manifest,
}

/// A file that lists the objects. It is read once.
#[derive(Debug)]
pub(super) struct ListFile {
    path: PathBuf,
    format: Format,
    lines: OnceCell<Vec<Line>>,
}

/// One file on the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: ObjectKey,
    /// Its address, if it does not follow from the key. Its query may grant access.
    pub(super) url: Option<Uri>,
    size: u64,
    /// Its known digests; without any, they are requested from the server.
    pub(super) checksums: Vec<StoredChecksum>,
}

impl Line {
    fn of(key: ObjectKey) -> Self {
        Self { key, url: None, size: 0, checksums: Vec::new() }
    }

    /// The metadata of the file, if enough is known without asking the server.
    pub(super) fn known(&self) -> Option<ObjectMeta> {
        let mut meta = ObjectMeta::new(self.key.clone(), self.size);
        meta.checksums.clone_from(&self.checksums);
        (!meta.checksums.is_empty()).then_some(meta)
    }
}

impl ListFile {
    pub(super) fn new(path: PathBuf, format: Format) -> Self {
        Self { path, format, lines: OnceCell::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether each line holds the URL of its file.
    pub(super) fn has_urls(&self) -> bool {
        matches!(self.format, Format::Urls { .. })
    }

    /// All lines, in key order.
    pub(super) async fn lines(&self, env: &SharedRuntime) -> Result<&[Line]> {
        let read = || async {
            let (path, format) = (self.path.clone(), self.format);
            let read = env.run_blocking(move || read(&path, format)).join().await?;
            read.map_err(|error| error.with_operation("list").with_context("file", self.path.display()))
        };
        Ok(self.lines.get_or_try_init(read).await?)
    }

    /// What the list has on a key in addition to its name.
    pub(super) async fn line(&self, env: &SharedRuntime, key: &ObjectKey) -> Result<Option<&Line>> {
        if self.format == Format::Paths {
            return Ok(None);
        }
        let lines = self.lines(env).await?;
        Ok(lines.binary_search_by(|line| line.key.cmp(key)).ok().and_then(|at| lines.get(at)))
    }
}

fn read(path: &Path, format: Format) -> Result<Vec<Line>> {
    let unreadable = |error| Error::io("the list cannot be read", error);
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut lines = Vec::new();
    let mut manifest = Manifest::default();
    for (number, line) in (1u64..).zip(file.split(b'\n')) {
        let line = line.map_err(unreadable)?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            continue;
        }
        let parsed = match format {
            Format::Paths => ObjectKey::new(line.to_vec()).map(|key| Some(Line::of(key))),
            Format::Urls { tls } => url(line, tls).map(Some),
            Format::Manifest => manifest.line(line),
        };
        lines.extend(parsed.map_err(|error| error.with_context("line", number))?);
    }
    manifest.end()?;
    lines.sort_by(|a, b| a.key.cmp(&b.key));
    lines.dedup();
    match lines.windows(2).find(|pair| pair[0].key == pair[1].key) {
        None => Ok(lines),
        Some(pair) => {
            let message = "two lines of the list have this key, and say different things of it; leave one out";
            Err(Error::invalid_input(message).with_context("key", &pair[0].key))
        }
    }
}

/// Parses a line that is a URL. No message shows it, because its query may grant access.
fn url(line: &[u8], tls: bool) -> Result<Line> {
    let wrong = |why: &'static str| Error::invalid_input(why);
    let text = std::str::from_utf8(line).map_err(|_| wrong("a URL is not text"))?;
    let text = text.split('#').next().unwrap_or_default();
    let uri: Uri = text.trim().parse().map_err(|_| wrong("a line is no URL such as https://host/folder/file"))?;
    let Some(authority) = uri.authority() else {
        return Err(wrong("a line is no absolute URL; write https://host/folder/file, or use listing=paths"));
    };
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if tls => return Err(wrong("a URL begins with http://, while that of the store is https://")),
        Some("http") => {}
        _ => return Err(wrong("a URL does not begin with http:// or https://")),
    }
    if authority.as_str().contains('@') {
        return Err(wrong("a URL holds a user name or password; use the settings username and password"));
    }
    let path: Vec<u8> = percent_decode_str(uri.path().trim_start_matches('/')).collect();
    let key = ObjectKey::new(path).map_err(|_| wrong("a URL names a host and no file"))?;
    Ok(Line { url: Some(uri), ..Line::of(key) })
}

/// The state of reading a manifest.
#[derive(Debug, Default)]
struct Manifest {
    /// Whether it began with a header; if so, it must end with a total.
    has_header: bool,
    objects: u64,
    end: Option<u64>,
}

impl Manifest {
    /// Parses a line; `None` if no file corresponds to it.
    fn line(&mut self, line: &[u8]) -> Result<Option<Line>> {
        let corrupt = |why: &'static str| Error::new(ErrorKind::Corrupt, why);
        let parsed: Parsed = serde_json::from_slice(line)
            .map_err(|source| corrupt("a line of the manifest is not one").with_source(source))?;
        if let Some(end) = parsed.end {
            self.end = Some(end.objects);
        }
        match parsed.lepton_manifest {
            Some(1) => self.has_header = true,
            Some(_) => return Err(corrupt("the manifest has another version than 1")),
            None => {}
        }
        let Some(key) = parsed.key else { return Ok(None) };
        self.objects += 1;
        // Of several versions of a file, a web server serves only the newest.
        if parsed.delete_marker || parsed.history.is_some_and(|history| history.number < history.of) {
            return Ok(None);
        }
        let size = parsed.size.ok_or_else(|| corrupt("a line of the manifest has no size"))?;
        let mut checksums = Vec::new();
        if let Some(tree) = parsed.sha256_tree {
            checksums.push(StoredChecksum::full(ChecksumAlgorithm::Sha256Tree, tree.0));
        }
        if let Some(crc) = parsed.crc64nvme {
            let crc = u64::from_str_radix(&crc, 16).map_err(|_| corrupt("a line of the manifest has no valid CRC"))?;
            checksums.push(StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, crc.to_be_bytes()));
        }
        Ok(Some(Line { size, checksums, ..Line::of(key) }))
    }

    fn end(&self) -> Result<()> {
        if self.has_header && self.end != Some(self.objects) {
            let message = "the manifest is not whole: its last line is missing or counts other objects";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Parsed {
    lepton_manifest: Option<u32>,
    end: Option<End>,
    key: Option<ObjectKey>,
    size: Option<u64>,
    sha256_tree: Option<Sha256>,
    crc64nvme: Option<String>,
    history: Option<History>,
    #[serde(default)]
    delete_marker: bool,
}

#[derive(Deserialize)]
struct End {
    objects: u64,
}

#[derive(Deserialize)]
struct History {
    number: u64,
    of: u64,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(format: Format, text: &str) -> Result<Vec<Line>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read(file.path(), format)
    }

    fn rejects(format: Format, text: &str, expected: &str) {
        let error = lines(format, text).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cr3t"), "{text}: {error}");
    }

    #[test]
    fn urls_have_keys_and_errors_have_no_secret() {
        let urls = Format::Urls { tls: false };
        let found = lines(urls, "https://b/y%20%2F?sig=1#top\r\n\nhttp://a:8/x/z\nhttp://a:8/x/z\n").unwrap();
        let found: Vec<_> =
            found.iter().map(|line| (line.key.as_str().unwrap(), line.url.as_ref().unwrap().to_string())).collect();
        let expected = [("x/z", "http://a:8/x/z".to_owned()), ("y /", "https://b/y%20%2F?sig=1".to_owned())];
        assert_eq!(found, expected);
        rejects(urls, "http://a/x?s3cr3t\nhttp://b/x", "key=x");
        rejects(urls, "http://a/x?s3cr3t=1\nhttp://a/x", "key=x");
        rejects(urls, "http://a/b\n/x?s3cr3t", "line=2");
        rejects(urls, "http://u:s3cr3t@a/x", "user name");
        rejects(urls, "ftp://a/x", "https://");
        rejects(urls, "http://a/?s3cr3t", "no file");
        rejects(Format::Urls { tls: true }, "http://a/x", "http://");
    }

    #[test]
    fn manifests_give_digests_of_the_newest() {
        let root = "00".repeat(32);
        let line = |rest: &str| format!("{{\"key\":\"a%20b\",\"size\":3,\"sha256_tree\":\"{root}\"{rest}}}\n");
        let header = "{\"lepton_manifest\":1,\"source\":\"\",\"destination\":\"\"}\n";
        let end = |objects: u32| format!("{{\"end\":{{\"objects\":{objects},\"bytes\":3,\"sha256\":\"{root}\"}}}}\n");
        let older = line(",\"history\":{\"number\":1,\"of\":2}").replace(":3,", ":4,");
        let text = [header, &older, &line(",\"crc64nvme\":\"00000000000000ff\""), &end(2)].concat();
        let found = lines(Format::Manifest, &text).unwrap();
        let meta = found[0].known().unwrap();
        assert_eq!((found.len(), meta.key.as_str(), meta.size), (1, Some("a b"), 3));
        assert_eq!(meta.checksums[1].value, [0, 0, 0, 0, 0, 0, 0, 255]);
        let unchanged = lines(Format::Manifest, "{\"key\":\"a\",\"size\":3,\"unchanged\":\"size\"}").unwrap();
        assert_eq!(unchanged[0].known(), None);
        for (text, expected) in [
            ([header, &line("")].concat(), "not whole"),
            ([header, &line(""), &end(2)].concat(), "not whole"),
            (line("") + &line("").replace(":3,", ":4,"), "different things"),
            ("{\"key\":\"a\"}".into(), "no size"),
            ("{\"key\":\"a\",\"size\":1,\"crc64nvme\":\"xyz\"}".into(), "CRC"),
            ("a\n".into(), "line=1"),
            ("{\"lepton_manifest\":2}".into(), "version"),
        ] {
            rejects(Format::Manifest, &text, expected);
        }
    }
}
