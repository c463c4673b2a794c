//! Listings: every key once, in order, from anywhere.

use std::collections::BTreeSet;

use super::case::cases;
use super::expect::{Check, ensure, same};
use super::fixture::Fixture;
use crate::capabilities::ListOrder;
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::Attribute;
use crate::storage::{HeadOptions, ListPage, ListRequest, PutOptions};

cases!(
    "lists":
    keys_come_in_the_declared_order,
    a_prefix_is_compared_byte_by_byte,
    start_after_is_exclusive_and_need_not_exist,
    pages_lose_and_repeat_nothing,
    a_delimiter_rolls_folders_up,
    folders_are_not_repeated_over_pages,
    many_objects_are_all_listed,
    a_listing_can_be_taken_up_again,
    an_empty_listing_ends,
    a_listing_says_what_head_says,
    a_listing_tells_attributes_where_declared,
);

/// Names whose byte order differs from the collation of any language and from the order of
/// a folder walk that sorts each folder by name.
const NAMES: [&str; 14] = ["B", "a", "a!x", "a-b", "a.b", "a0", "aB", "ab", "b/c", "b/c!", "b-d/e", "b0/f", "z", "ä"];

/// The names that the store distinguishes.
fn names(f: &Fixture) -> impl Iterator<Item = &'static str> + use<> {
    let tells_case = f.tells_case();
    NAMES.into_iter().filter(move |name| tells_case || name.bytes().all(|byte| !byte.is_ascii_uppercase()))
}

fn below(f: &Fixture, name: &str) -> ListRequest {
    ListRequest::new().prefix(f.below(name))
}

/// Fails unless these are the keys, in this order if the store promises byte order.
fn are(f: &Fixture, what: &str, mut found: Vec<ObjectKey>, expected: &[ObjectKey]) -> Check {
    if f.capabilities().list_order != ListOrder::Bytes {
        found.sort();
    }
    same(what, found.as_slice(), expected)
}

async fn keys(f: &Fixture, request: ListRequest) -> Check<Vec<ObjectKey>> {
    Ok(f.list(request).await?.into_iter().map(|meta| meta.key).collect())
}

async fn keys_come_in_the_declared_order(f: Fixture) -> Check {
    let written = f.write_all(names(&f)).await?;
    are(&f, "the listing", f.listed().await?, &written)
}

async fn a_prefix_is_compared_byte_by_byte(f: Fixture) -> Check {
    let written = f.write_all(["dat/z", "data/x", "data/y/z", "database/w", "datä", "e"]).await?;
    let cases: [(&str, &[usize]); 8] = [
        ("", &[0, 1, 2, 3, 4, 5]),
        ("dat", &[0, 1, 2, 3, 4]),
        ("data", &[1, 2, 3]),
        ("data/", &[1, 2]),
        ("data/y", &[2]),
        ("data/y/z", &[2]),
        ("datab", &[3]),
        ("dataz", &[]),
    ];
    for (prefix, expected) in cases {
        let expected: Vec<ObjectKey> = expected.iter().map(|index| written[*index].clone()).collect();
        are(&f, &format!("the keys under {prefix:?}"), keys(&f, below(&f, prefix)).await?, &expected)?;
    }
    Ok(())
}

async fn start_after_is_exclusive_and_need_not_exist(f: Fixture) -> Check {
    let written = f.write_all(["b", "c/d", "c/e", "c0", "f"]).await?;
    let at = |name: &str| f.below(name).as_bytes().to_vec();
    let cases =
        [("a", 0), ("b", 1), ("bb", 1), ("c/", 1), ("c/d", 2), ("c/dd", 2), ("c/e", 3), ("c0", 4), ("f", 5), ("g", 5)];
    for (after, from) in cases {
        let request = below(&f, "").start_after(at(after));
        are(&f, &format!("the keys after {after:?}"), keys(&f, request).await?, &written[from..])?;
    }
    let after = below(&f, "c/").start_after(at("a"));
    are(&f, "the keys under a prefix after a lesser key", keys(&f, after).await?, &written[1..3])?;
    let after = below(&f, "c/").start_after(at("c/d"));
    are(&f, "the keys under a prefix after a key in it", keys(&f, after).await?, &written[2..3])?;
    let after = below(&f, "c/").start_after(at("f"));
    are(&f, "the keys under a prefix after a greater key", keys(&f, after).await?, &[])
}

async fn pages_lose_and_repeat_nothing(f: Fixture) -> Check {
    let written = f.write_all(names(&f)).await?;
    for size in [1, 2, 3, written.len() - 1, written.len(), written.len() + 1] {
        let pages = f.pages(below(&f, "").page_size(size)).await?;
        let largest = pages.iter().map(|page| page.objects.len()).max();
        ensure!(largest <= Some(size), "a page of at most {size} objects has {largest:?}");
        let found = pages.into_iter().flat_map(|page| page.objects).map(|meta| meta.key).collect();
        are(&f, &format!("the pages of {size}"), found, &written)?;
    }
    Ok(())
}

/// The keys and folders of a listing with the delimiter `/`, each in ascending order.
fn rolled(pages: Vec<ListPage>) -> (Vec<ObjectKey>, Vec<KeyPrefix>) {
    let (mut keys, mut folders) = (Vec::new(), Vec::new());
    for page in pages {
        keys.extend(page.objects.into_iter().map(|meta| meta.key));
        folders.extend(page.prefixes);
    }
    keys.sort();
    folders.sort();
    (keys, folders)
}

async fn a_delimiter_rolls_folders_up(f: Fixture) -> Check {
    f.write_all(["a", "b/c", "b/d", "b/e/f", "b/e/g", "c-/h", "d"]).await?;
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("", &["a", "d"], &["b/", "c-/"]),
        ("b", &[], &["b/"]),
        ("b/", &["b/c", "b/d"], &["b/e/"]),
        ("b/e/", &["b/e/f", "b/e/g"], &[]),
        ("b/e", &[], &["b/e/"]),
    ];
    for (prefix, objects, folders) in cases {
        let (found, rolled) = rolled(f.pages(below(&f, prefix).delimiter(b'/')).await?);
        let objects = objects.iter().map(|name| f.key(name)).collect::<Check<Vec<_>>>()?;
        same(&format!("the objects under {prefix:?}"), found, objects)?;
        let folders: Vec<KeyPrefix> = folders.iter().map(|name| f.below(name)).collect();
        same(&format!("the folders under {prefix:?}"), rolled, folders)?;
    }
    Ok(())
}

async fn folders_are_not_repeated_over_pages(f: Fixture) -> Check {
    f.write_all(["a/1", "a/2", "a/3", "b", "c/1", "c/2", "d"]).await?;
    for size in 1..=5 {
        let pages = f.pages(below(&f, "").delimiter(b'/').page_size(size)).await?;
        let most = pages.iter().map(|page| page.objects.len() + page.prefixes.len()).max();
        ensure!(most <= Some(size), "a page of at most {size} entries has {most:?}");
        let (objects, folders) = rolled(pages);
        same(&format!("the objects in pages of {size}"), objects, vec![f.key("b")?, f.key("d")?])?;
        same(&format!("the folders in pages of {size}"), folders, vec![f.below("a/"), f.below("c/")])?;
    }
    Ok(())
}

async fn many_objects_are_all_listed(f: Fixture) -> Check {
    let written = f.write_all((0..f.many()).map(|number| format!("{:02}/{number:06}", number % 7))).await?;
    are(&f, "the listing", f.listed().await?, &written)
}

async fn a_listing_can_be_taken_up_again(f: Fixture) -> Check {
    if f.capabilities().list_order != ListOrder::Bytes {
        return Err(super::expect::Stop::NotApplicable("list_order is not Bytes".to_owned()));
    }
    let written = f.write_all(names(&f)).await?;
    for (index, last) in written.iter().enumerate() {
        let rest = keys(&f, below(&f, "").start_after(last.to_bytes()).page_size(2)).await?;
        same(&format!("the keys after {last}"), rest.as_slice(), &written[index + 1..])?;
    }
    Ok(())
}

async fn an_empty_listing_ends(f: Fixture) -> Check {
    f.write(&f.key("a")?, "x").await?;
    for request in [below(&f, "nothing/"), below(&f, "a/"), below(&f, "nothing").delimiter(b'/')] {
        let (objects, folders) = rolled(f.pages(request).await?);
        same("the number of entries", objects.len() + folders.len(), 0)?;
    }
    Ok(())
}

async fn a_listing_says_what_head_says(f: Fixture) -> Check {
    for size in [0, 1, 1000] {
        f.write(&f.key(format!("{size}"))?, super::bodies::pattern(size, 1)).await?;
    }
    let listed = f.list(below(&f, "")).await?;
    same("the number of objects", listed.iter().map(|meta| &meta.key).collect::<BTreeSet<_>>().len(), 3)?;
    for meta in listed {
        let head = f.storage().head(&meta.key, HeadOptions::new()).await?.meta;
        same("the size", meta.size, head.size)?;
        same("the ETag", &meta.etag, &head.etag)?;
        let age = |a: std::time::SystemTime, b| a.duration_since(b).unwrap_or_else(|e| e.duration()).as_secs();
        if let (Some(listed), Some(head)) = (meta.last_modified, head.last_modified) {
            ensure!(age(listed, head) <= 1, "{} was modified at {listed:?} or at {head:?}", meta.key);
        }
    }
    Ok(())
}

async fn a_listing_tells_attributes_where_declared(f: Fixture) -> Check {
    if !f.capabilities().list_attributes {
        return Err(super::expect::Stop::NotApplicable("list_attributes is false".to_owned()));
    }
    let tagged = f.key("tagged")?;
    let mut attributes = super::attributes::kept(&f);
    f.put(&tagged, super::bodies::pattern(100, 1), PutOptions::new().attributes(attributes.clone())).await?;
    attributes.tags.clear();
    f.put(&f.key("attached")?, super::bodies::pattern(100, 2), PutOptions::new().attributes(attributes)).await?;
    f.write(&f.key("plain")?, "x").await?;
    let unasked = f.list(below(&f, "")).await?;
    ensure!(unasked.iter().all(|meta| meta.attributes.is_none()), "attributes came that nobody had asked for");
    let listed = f.list(below(&f, "").attributes(true)).await?;
    same("the number of objects", listed.len(), 3)?;
    for meta in listed {
        if meta.key == tagged && f.capabilities().keeps(Attribute::Tags) && meta.attributes.is_none() {
            continue;
        }
        let head = f.storage().head(&meta.key, HeadOptions::new().tags(true)).await?;
        let name = |what: &str| format!("{what} of {} in the listing", meta.key);
        same(&name("the attributes"), meta.attributes.as_deref(), Some(&head.attributes))?;
        same(&name("the checksums"), &meta.checksums, &head.meta.checksums)?;
    }
    Ok(())
}
