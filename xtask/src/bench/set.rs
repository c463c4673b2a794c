//! The moved files: they contain random bytes, so that neither compression nor skipping zeros
//! saves anything.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};

/// How the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Over loopback.
    Near,
    /// Over loopback, with a delay of 20 ms in each direction.
    Far,
    /// Over TLS.
    Tls,
    /// To and from this emulator of another cloud.
    Cloud(&'static str),
}

/// Files of one size.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) objects: u64,
    pub(super) size: u64,
    pub(super) way: Way,
    /// Whether the raw floor is measured over the set's first file.
    pub(super) floor: bool,
}

impl Set {
    const fn new(name: &'static str, title: &'static str, objects: u64, size: u64) -> Self {
        Self { name, title, objects, size, way: Way::Near, floor: false }
    }

    const fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }
}

pub(super) const SETS: [Set; 12] = [
    Set { floor: true, ..Set::new("one", "one object of 5 GiB", 1, 5 << 30) },
    Set::new("large", "20 of 256 MiB", 20, 256 << 20),
    Set::new("small", "10,000 of 64 KiB", 10_000, 64 << 10),
    Set::new("tiny", "100,000 of 4 KiB", 100_000, 4 << 10),
    Set::new("far", "20 of 64 MiB, near and 40 ms away", 20, 64 << 20).by(Way::Far),
    Set::new("far-small", "2,000 of 64 KiB, near and 40 ms away", 2000, 64 << 10).by(Way::Far),
    Set::new("tls", "one object of 5 GiB over TLS", 1, 5 << 30).by(Way::Tls),
    Set::new("tls-small", "10,000 of 64 KiB over TLS", 10_000, 64 << 10).by(Way::Tls),
    // Azurite keeps deleted data in memory, so this set is smaller.
    Set::new("azure", "8 of 64 MiB, Azure", 8, 64 << 20).by(Way::Cloud("azurite")),
    Set::new("azure-small", "5,000 of 64 KiB, Azure", 5000, 64 << 10).by(Way::Cloud("azurite")),
    Set::new("google", "16 of 32 MiB, Google", 16, 32 << 20).by(Way::Cloud("fake-gcs")),
    Set::new("google-small", "5,000 of 64 KiB, Google", 5000, 64 << 10).by(Way::Cloud("fake-gcs")),
];

/// Files per folder.
const FOLDER: u64 = 1000;

impl Set {
    /// Whether the number of objects dominates rather than their bytes.
    pub(super) fn is_small(&self) -> bool {
        self.size < 1 << 20
    }

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
}
