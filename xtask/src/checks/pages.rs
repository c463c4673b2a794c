//! Every page of `docs/` is in the book: mdBook silently omits pages that SUMMARY.md does not
//! list.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::files::files;
use crate::process::root;

/// Reports the pages that the summary lacks.
pub(crate) fn check() -> Result<()> {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).context("cannot read docs/SUMMARY.md")?;
    let pages = files(&docs, "md")?;
    let pages = pages.iter().filter_map(|page| page.strip_prefix(&docs).ok()?.to_str());
    let missing = missing(&summary, pages);
    if !missing.is_empty() {
        bail!("docs/SUMMARY.md lacks {}", missing.join(", "));
    }
    Ok(())
}

fn missing<'a>(summary: &str, pages: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    pages.filter(|page| *page != "SUMMARY.md" && !summary.contains(&format!("({page})"))).collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_page_outside_the_book_is_named() {
        let summary = "- [A](a.md)\n- [B](formats/b.md)\n";
        assert_eq!(missing(summary, ["SUMMARY.md", "a.md", "formats/b.md", "b.md"].into_iter()), ["b.md"]);
    }
}
