//! Attributes of an object are returned with it, or refused by name.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::case::cases;
use super::expect::{Check, Stop, ensure, needs_not, refused, same};
use super::fixture::Fixture;
use crate::error::ErrorKind;
use crate::object::{Attribute, Attributes};
use crate::storage::{GetOptions, HeadOptions, ListRequest, PutOptions};

cases!(
    "attributes":
    each_attribute_is_kept_or_refused,
    names_and_tags_beyond_the_rules_are_refused,
    all_attributes_are_kept_together,
    an_overwrite_takes_old_attributes_away,
    tags_come_only_when_asked_for,
    a_time_of_the_writer_is_kept_where_declared,
    storage_classes_are_refused_where_unsupported,
);

/// Attributes with every field set.
pub(super) fn every() -> Attributes {
    let text = |value: &str| Some(value.to_owned());
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Attributes {
        content_type: text("text/x-conformance; charset=utf-8"),
        content_encoding: text("x-conformance"),
        content_disposition: text("attachment; filename=\"a b.txt\""),
        content_language: text("de-AT"),
        cache_control: text("max-age=60, private"),
        expires: text("Wed, 21 Oct 2065 07:28:00 GMT"),
        user_metadata: map(&[("origin", "conformance"), ("two-words", "a b; c=\"d\"")]),
        tags: map(&[("team", "storage"), ("a:b/c", "x+y=z _.-"), ("who", "a@b")]),
    }
}

/// All attributes that the store keeps.
pub(super) fn kept(f: &Fixture) -> Attributes {
    let mut attributes = every();
    f.capabilities().retain_kept(&mut attributes);
    attributes
}

/// Fails unless the object has these attributes. A store may add metadata of its own
/// files (`mtime`, `mode`) and a content type of its own.
pub(super) async fn has(f: &Fixture, key: &crate::key::ObjectKey, expected: &Attributes) -> Check {
    let head = f.storage().head(key, HeadOptions::new().tags(true)).await?.attributes;
    compare("head", &head, expected)?;
    same("the tags in head", &head.tags, &expected.tags)?;
    compare("get", &f.storage().get(key, GetOptions::new()).await?.attributes, expected)
}

fn compare(place: &str, found: &Attributes, expected: &Attributes) -> Check {
    let headers = |a: &Attributes| {
        [&a.content_encoding, &a.content_disposition, &a.content_language, &a.cache_control, &a.expires]
            .map(Clone::clone)
    };
    same(&format!("the headers in {place}"), headers(found), headers(expected))?;
    if expected.content_type.is_some() {
        same(&format!("the content type in {place}"), &found.content_type, &expected.content_type)?;
    }
    let own = |(name, _): &(&String, &String)| !matches!(name.as_str(), "mtime" | "mode");
    let found: BTreeMap<_, _> = found.user_metadata.iter().filter(own).collect();
    same(&format!("the metadata in {place}"), found, expected.user_metadata.iter().collect())
}

async fn each_attribute_is_kept_or_refused(f: Fixture) -> Check {
    for attribute in Attribute::ALL {
        let mut one = if f.capabilities().keeps(*attribute) { kept(&f) } else { every() };
        Attribute::ALL.iter().filter(|other| *other != attribute).for_each(|other| one.remove(*other));
        let key = f.key(format!("{attribute:?}"))?;
        let result = f.put(&key, "x".to_owned(), PutOptions::new().attributes(one.clone())).await;
        if f.capabilities().keeps(*attribute) {
            result?;
            has(&f, &key, &one).await.map_err(|stop| stop.while_doing(format!("{attribute:?}")))?;
        } else {
            refused(result, ErrorKind::Unsupported, &key)?;
            f.absent(&key).await?;
        }
    }
    Ok(())
}

async fn names_and_tags_beyond_the_rules_are_refused(f: Fixture) -> Check {
    let rules = f.capabilities();
    let one = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let names =
        ["two-words", "1a", "Two-Words", "two words"].into_iter().filter(|name| !rules.metadata_names.allow(name));
    let tags = ["a@b", "a;b"].into_iter().filter(|text| !rules.tag_characters.allow(text));
    let names = names.map(|name| Attributes { user_metadata: one(name, "x"), ..Attributes::default() });
    let tags = tags.map(|text| Attributes { tags: one("x", text), ..Attributes::default() });
    let mut wrong: Vec<Attributes> = Vec::new();
    wrong.extend(names.filter(|_| rules.keeps(Attribute::UserMetadata)));
    wrong.extend(tags.filter(|_| rules.keeps(Attribute::Tags)));
    if wrong.is_empty() {
        return Err(Stop::NotApplicable("metadata_names and tag_characters allow any".to_owned()));
    }
    let key = f.key("a")?;
    for attributes in wrong {
        let result = f.put(&key, "x".to_owned(), PutOptions::new().attributes(attributes)).await;
        refused(result, ErrorKind::InvalidInput, &key)?;
        f.absent(&key).await?;
    }
    Ok(())
}

async fn all_attributes_are_kept_together(f: Fixture) -> Check {
    let key = f.key("a")?;
    f.put(&key, "x".to_owned(), PutOptions::new().attributes(kept(&f))).await?;
    has(&f, &key, &kept(&f)).await
}

async fn an_overwrite_takes_old_attributes_away(f: Fixture) -> Check {
    let key = f.key("a")?;
    f.put(&key, "x".to_owned(), PutOptions::new().attributes(kept(&f))).await?;
    f.write(&key, "y").await?;
    has(&f, &key, &Attributes::default()).await
}

async fn tags_come_only_when_asked_for(f: Fixture) -> Check {
    let key = f.key("a")?;
    let attributes = kept(&f);
    f.put(&key, "x".to_owned(), PutOptions::new().attributes(attributes.clone())).await?;
    let head = f.storage().head(&key, HeadOptions::new()).await?;
    let get = f.storage().get(&key, GetOptions::new()).await?;
    for (place, tags, count) in
        [("head", head.attributes.tags, head.tag_count), ("get", get.attributes.tags, get.tag_count)]
    {
        ensure!(tags.is_empty(), "{place} gives tags that nobody asked for");
        let all = attributes.tags.len();
        ensure!(count == 0 || count as usize == all, "{place} counts {count} tags of {all}");
    }
    Ok(())
}

/// As a copy of a file keeps the file's time.
async fn a_time_of_the_writer_is_kept_where_declared(f: Fixture) -> Check {
    if !f.capabilities().keeps_mtime {
        return Err(Stop::NotApplicable("keeps_mtime is false".to_owned()));
    }
    let key = f.key("a")?;
    for seconds in [1_500_000_000, 1_000_000_000] {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 250_000_000);
        let mut attributes = Attributes::default();
        attributes.record_modified(time);
        f.put(&key, "x".to_owned(), PutOptions::new().attributes(attributes)).await?;
        let head = f.storage().head(&key, HeadOptions::new()).await?;
        same("the time in head", head.meta.last_modified, Some(time))?;
        same("the recorded time in head", head.attributes.modified(), Some(time))?;
        let listed = f.list(ListRequest::new().prefix(f.prefix())).await?;
        let listed: Vec<_> = listed.iter().map(|meta| meta.last_modified).collect();
        same("the time in a listing", listed, vec![Some(time)])?;
    }
    Ok(())
}

async fn storage_classes_are_refused_where_unsupported(f: Fixture) -> Check {
    needs_not(f.capabilities().storage_class, "storage_class")?;
    let key = f.key("a")?;
    let options = PutOptions::new().storage_class(Some("STANDARD".to_owned()));
    refused(f.put(&key, "x".to_owned(), options).await, ErrorKind::Unsupported, &key)?;
    f.absent(&key).await
}
