//! Runs the suite: the process dies at every request and at every record.

use lepton_core::{Error, ErrorKind, Result, SharedStorage};

use super::fate::Death;
use super::mirror::{Mirror, Suite};
use super::options::Options;
use super::report::CrashReport;

/// How many times in a row a death must leave an upload open to count as a failure.
const BELIEVED: usize = 3;

/// Kills the engine at every request to `storage`, and at every record of its journal.
///
/// The store need not be empty; the suite deletes what it writes.
///
/// # Errors
/// The store's errors, if a mirror without any death fails or the suite's objects cannot be
/// deleted; `unsupported` if `server_copy` is set and the store does not copy by itself.
pub async fn crashes(storage: &SharedStorage, options: Options) -> Result<CrashReport> {
    let root = format!("{}{:016x}/", options.prefix, options.env.random());
    let suite = Suite::new(storage, &root, &options).await?;
    let mut report =
        CrashReport { store: storage.url().to_owned(), deaths: 0, missed: Vec::new(), failures: Vec::new() };
    let whole = suite.mirror(&format!("{root}whole/"), &[]).await?;
    whole
        .failure
        .or(whole.left_open)
        .map_or(Ok(()), |why| Err(Error::new(ErrorKind::Unexpected, format!("without a death: {why}"))))?;
    let requests = options.requests.start..whole.requests.min(options.requests.end);
    let records = options.records.start..(whole.records + 1).min(options.records.end);
    let mut deaths: Vec<Death> =
        requests.flat_map(|at| [Death::Before(at), Death::During(at), Death::After(at)]).collect();
    deaths.extend(records.map(Death::Records));
    for (number, death) in deaths.into_iter().enumerate() {
        let at = number % whole.requests.max(1);
        let second = [Death::After(at), Death::Before(at), Death::During(at)][number / whole.requests.max(1) % 3];
        let both = [death, second];
        for deaths in if options.again { vec![&both[..1], &both[..]] } else { vec![&both[..1]] } {
            let mirror = believed(&suite, &format!("{root}{number}-{}/", deaths.len()), deaths).await?;
            let name: Vec<String> = deaths.iter().map(Death::to_string).collect();
            let name = name.join(", then ");
            report.deaths += mirror.deaths;
            report.missed.extend((mirror.deaths < deaths.len()).then(|| name.clone()));
            report.failures.extend(mirror.failure.or(mirror.left_open).map(|why| format!("{name}: {why}")));
        }
    }
    suite.end().await?;
    Ok(report)
}

/// A mirror with these deaths. The request that creates an upload may reach the store long
/// after its sender died, when later runs no longer look for it. Therefore an upload left
/// open counts only if it is left open every time.
async fn believed(suite: &Suite, folder: &str, deaths: &[Death]) -> Result<Mirror> {
    let mut mirror = suite.mirror(folder, deaths).await?;
    for again in 1..BELIEVED {
        if mirror.left_open.is_none() || mirror.failure.is_some() {
            break;
        }
        mirror = suite.mirror(&format!("{folder}{again}/"), deaths).await?;
    }
    Ok(mirror)
}
