//! The suite: a death at every request and at every record.

use lepton_core::{Error, ErrorKind, Result, SharedStorage};

use super::fate::Death;
use super::mirror::{Mirror, Suite};
use super::options::Options;
use super::report::CrashReport;

/// How often an upload is left open until it is a failure.
const BELIEVED: usize = 3;

/// Kills the engine at every request to `storage`, and at every record of its journal.
///
/// The store need not be empty; what the suite writes it deletes again.
///
/// # Errors
/// Of the store, where a mirror without any death fails, or what was made cannot be deleted;
/// `unsupported` if it is to copy by itself and does not.
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
            let said: Vec<String> = deaths.iter().map(Death::to_string).collect();
            let said = said.join(", then ");
            report.deaths += mirror.deaths;
            report.missed.extend((mirror.deaths < deaths.len()).then(|| said.clone()));
            report.failures.extend(mirror.failure.or(mirror.left_open).map(|why| format!("{said}: {why}")));
        }
    }
    suite.end().await?;
    Ok(report)
}

/// A mirror with these deaths. The request that begins an upload may reach the store long
/// after its sender died, when nobody looks for it any more: an upload that is left open is
/// believed where it is left every time.
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
