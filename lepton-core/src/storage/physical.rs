//! The physical location of objects, so that two locations can be compared even if their
//! names differ.
//!
//! A folder can be reached by several paths (symbolic links, bind mounts, `file://` and
//! plain paths), and a bucket by several host names. A transfer between two overlapping
//! locations would read what it writes, and a mirror would delete what it reads.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// The areas of a store that hold the objects below a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhysicalLocation {
    areas: Vec<Area>,
    bucket_name: Option<String>,
}

/// A path inside a domain that has only one name: a file system or a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Area {
    domain: String,
    path: Vec<u8>,
}

/// The relation of one location to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Both are the same.
    Same,
    /// The first is inside the second.
    Inside,
    /// The first contains the second.
    Contains,
}

impl PhysicalLocation {
    /// The objects whose keys begin with `prefix` in the bucket, container or server
    /// that `domain` names. The same bucket must always have the same `domain`.
    pub fn new(domain: impl Into<String>, prefix: impl Into<Vec<u8>>) -> Self {
        Self { areas: vec![Area { domain: domain.into(), path: prefix.into() }], bucket_name: None }
    }

    /// Declares that another location with this name may be the same bucket even if its
    /// domain differs, because one bucket can have several host names.
    #[must_use]
    pub fn bucket_name(mut self, name: impl Into<String>) -> Self {
        self.bucket_name = Some(name.into());
        self
    }

    /// A folder of this machine, which need not exist yet. Symbolic links are resolved.
    /// On Linux, bind mounts are resolved too, and everything mounted below the folder
    /// is part of the location. Blocks.
    ///
    /// # Errors
    /// The error that the system reports for the path.
    pub fn of_folder(path: &Path) -> std::io::Result<Self> {
        let path = resolve(path)?;
        let mounts = std::fs::read("/proc/self/mountinfo").map(|text| Mount::parse(&text)).unwrap_or_default();
        Ok(Self { areas: areas(&path, &mounts), bucket_name: None })
    }

    /// The relation of this location to another; `None` if their names show no overlap.
    pub fn overlap(&self, other: &Self) -> Option<Overlap> {
        let pairs = self.areas.iter().flat_map(|ours| other.areas.iter().map(move |theirs| (ours, theirs)));
        pairs.filter(|(ours, theirs)| ours.domain == theirs.domain).find_map(|(ours, theirs)| ours.overlap(theirs))
    }

    /// The overlap that exists if both buckets are one. `None` unless both have the same
    /// bucket name under different domains: they may then be one bucket with two host names.
    pub fn may_overlap(&self, other: &Self) -> Option<Overlap> {
        if self.bucket_name.is_none() || self.bucket_name != other.bucket_name {
            return None;
        }
        let (ours, theirs) = (self.areas.first()?, other.areas.first()?);
        if ours.domain == theirs.domain { None } else { ours.overlap(theirs) }
    }

    /// The path of `other` below this location, if it is inside: the prefix of the keys
    /// of this location that name objects in `other`.
    pub fn path_to(&self, other: &Self) -> Option<Vec<u8>> {
        let (ours, theirs) = (self.areas.first()?, other.areas.first()?);
        let below = theirs.path.strip_prefix(ours.path.as_slice())?;
        (ours.domain == theirs.domain).then(|| below.to_vec())
    }
}

impl Area {
    fn overlap(&self, other: &Self) -> Option<Overlap> {
        match (self.path.starts_with(&other.path), other.path.starts_with(&self.path)) {
            (true, true) => Some(Overlap::Same),
            (true, false) => Some(Overlap::Inside),
            (false, true) => Some(Overlap::Contains),
            (false, false) => None,
        }
    }
}

/// The path without symbolic links and `..`. The part that does not exist yet is appended
/// unchanged to the part that does.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            component => resolved.push(component),
        }
        match resolved.canonicalize() {
            Ok(real) => resolved = real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(resolved)
}

/// The area of a folder, and the areas of everything mounted below it.
fn areas(path: &Path, mounts: &[Mount]) -> Vec<Area> {
    let bytes = folder(path.as_os_str().as_encoded_bytes());
    // The last of several mounts at one point hides the others.
    let holding = mounts.iter().rev().filter(|mount| bytes.starts_with(&mount.point));
    let own = match holding.reduce(|best, mount| if mount.point.len() > best.point.len() { mount } else { best }) {
        Some(mount) => mount.area(&bytes[mount.point.len()..]),
        None => Area { domain: "disk".to_owned(), path: bytes.clone() },
    };
    let below = mounts.iter().filter(|mount| mount.point.len() > bytes.len() && mount.point.starts_with(&bytes));
    std::iter::once(own).chain(below.map(|mount| mount.area(&[]))).collect()
}

/// A path with one `/` at its end, so that `/a` is not mistaken for a prefix of `/ab`.
fn folder(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path
}

/// A line of `/proc/self/mountinfo` ("proc_pid_mountinfo(5)").
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    /// The mounted folder, as a path in its file system.
    root: Vec<u8>,
    /// The mount point.
    point: Vec<u8>,
}

impl Mount {
    fn parse(text: &[u8]) -> Vec<Self> {
        text.split(|byte| *byte == b'\n').filter_map(Self::line).collect()
    }

    fn line(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = String::from_utf8(fields.next()?.to_vec()).ok()?;
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        point.starts_with(b"/").then(|| Self { device, root: folder(&root), point: folder(&point) })
    }

    fn area(&self, below: &[u8]) -> Area {
        Area { domain: format!("device {}", self.device), path: [&self.root, below].concat() }
    }
}

/// Decodes a field in which spaces, tabs, line feeds and backslashes are octal escapes.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let (mut bytes, mut rest) = (Vec::new(), field);
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.first_chunk::<3>().filter(|_| first == b'\\');
        let octal =
            digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(domain: &str, prefix: &str) -> PhysicalLocation {
        PhysicalLocation::new(domain, prefix)
    }

    #[test]
    fn prefixes_of_one_bucket_overlap_and_others_do_not() {
        let photos = bucket("aws/b", "photos/");
        assert_eq!(photos.overlap(&photos), Some(Overlap::Same));
        assert_eq!(photos.overlap(&bucket("aws/b", "")), Some(Overlap::Inside));
        assert_eq!(photos.overlap(&bucket("aws/b", "photos/2024/")), Some(Overlap::Contains));
        assert_eq!(photos.overlap(&bucket("aws/b", "photos2/")), None);
        assert_eq!(photos.overlap(&bucket("aws/c", "photos/")), None);
        assert_eq!(photos.may_overlap(&bucket("host/b", "photos/")), None);
        let named = |domain, prefix| bucket(domain, prefix).bucket_name("s3:b");
        assert_eq!(named("host/b", "x/").may_overlap(&named("other/b", "")), Some(Overlap::Inside));
        assert_eq!(named("host/b", "x/").may_overlap(&named("other/b", "y/")), None);
        assert_eq!(named("host/b", "").may_overlap(&named("host/b", "")), None, "overlap tells about these");
    }

    #[test]
    fn mounts_tell_where_a_folder_is() {
        let mounts = Mount::parse(
            b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
              40 21 8:1 /srv/my\\040data /mnt/a rw - ext4 /dev/sda1 rw\n\
              41 21 8:2 / /srv/other rw - ext4 /dev/sdb1 rw\n\
              42 21 8:1 /srv/x /mnt/b rw - ext4 /dev/sda1 rw\n\
              43 21 8:2 /deep /mnt/b rw - ext4 /dev/sdb1 rw\n\
              broken\n",
        );
        assert_eq!(mounts.len(), 5);
        let at = |path: &str| PhysicalLocation { areas: areas(Path::new(path), &mounts), bucket_name: None };
        for (one, other, expected) in [
            ("/srv/my data", "/mnt/a", Some(Overlap::Same)),
            ("/mnt/a/sub", "/srv", Some(Overlap::Inside)),
            ("/srv", "/mnt/a/sub", Some(Overlap::Contains)),
            ("/srv/my data 2", "/mnt/a", None),
            ("/srv/other", "/mnt/a", None),
            // The last mount at a point hides the earlier ones.
            ("/mnt/b", "/srv/x", None),
            ("/srv/other/deep", "/mnt/b", Some(Overlap::Same)),
            // A mount below a folder is part of that folder.
            ("/srv", "/mnt/b", Some(Overlap::Contains)),
            ("/mnt/b/x", "/srv", Some(Overlap::Inside)),
            ("/mnt", "/srv", Some(Overlap::Inside)),
        ] {
            assert_eq!(at(one).overlap(&at(other)), expected, "{one} and {other}");
        }
        assert_eq!(at("/srv").path_to(&at("/mnt/a/sub")), Some(b"my data/sub/".to_vec()));
        assert_eq!(at("/srv/other").path_to(&at("/srv")), None);
    }

    #[test]
    fn links_and_dots_are_resolved_also_where_the_end_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data/photos")).unwrap();
        std::os::unix::fs::symlink("data/photos", root.join("link")).unwrap();
        let at = |path: &str| PhysicalLocation::of_folder(&root.join(path)).unwrap();
        assert_eq!(at("link").overlap(&at("data/photos")), Some(Overlap::Same));
        assert_eq!(at("link/../new/deep").overlap(&at("data")), Some(Overlap::Inside));
        assert_eq!(at("data/../data/./photos/").overlap(&at("data")), Some(Overlap::Inside));
        assert_eq!(at("data/photos").overlap(&at("data/photos2")), None);
        std::fs::write(root.join("file"), "x").unwrap();
        assert!(PhysicalLocation::of_folder(&root.join("file/below")).is_err());
    }
}
