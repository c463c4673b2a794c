//! What is moved: files of random bytes, so that nothing can be saved by
//! compressing or by skipping zeros.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::tools::{Place, Tools};

/// Files of one size.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) objects: u64,
    pub(super) size: u64,
    /// Whether the raw floor is measured over its first file.
    pub(super) floor: bool,
}

pub(super) const SETS: [Set; 3] = [
    Set { name: "one", title: "one object of 2 GiB", objects: 1, size: 2 << 30, floor: true },
    Set { name: "large", title: "20 of 256 MiB", objects: 20, size: 256 << 20, floor: false },
    Set { name: "small", title: "10,000 of 64 KiB", objects: 10_000, size: 64 << 10, floor: false },
];

/// Files per folder.
const FOLDER: u64 = 1000;

impl Set {
    pub(super) fn bytes(&self) -> u64 {
        self.objects * self.size
    }

    pub(super) fn file_name(number: u64) -> String {
        format!("{:02}/{number:05}.bin", number / FOLDER)
    }

    pub(super) fn create(&self, folder: &Path) -> Result<()> {
        let random = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
        for number in 0..self.objects {
            let path = folder.join(Self::file_name(number));
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
            io::copy(&mut (&random).take(self.size), &mut file)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Every object and every byte must be there; a program that moved less is
    /// not faster.
    pub(super) fn arrived(&self, tools: &Tools, place: &Place) -> Result<()> {
        let (objects, bytes) = match place {
            Place::Folder(folder) => count(folder)?,
            Place::Bucket { .. } => tools.count(place)?,
        };
        ensure!(
            (objects, bytes) == (self.objects, self.bytes()),
            "{objects} objects with {bytes} bytes arrived instead of {} with {}",
            self.objects,
            self.bytes()
        );
        Ok(())
    }
}

fn count(folder: &Path) -> Result<(u64, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (more, length) =
            if entry.file_type()?.is_dir() { count(&entry.path())? } else { (1, entry.metadata()?.len()) };
        (objects, bytes) = (objects + more, bytes + length);
    }
    Ok((objects, bytes))
}
