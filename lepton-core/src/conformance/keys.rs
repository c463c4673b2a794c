//! Keys are bytes: each key is stored exactly as it is, or refused by name before anything
//! is written. No other object is ever touched.

use bytes::Bytes;

use super::case::cases;
use super::expect::{Check, Stop, ensure, refused, same};
use super::fixture::Fixture;
use crate::error::ErrorKind;
use crate::key::ObjectKey;
use crate::key_rules::KeyHandling;
use crate::storage::{CreateUploadOptions, PutOptions, StorageExt as _};

cases!(
    "keys":
    odd_keys_are_held_exactly_or_refused,
    a_leading_slash_is_held_or_refused,
    a_key_that_climbs_out_is_held_or_refused,
    the_longest_keys_are_held_and_longer_ones_refused,
    a_file_beside_a_folder_is_held_or_refused,
    a_folder_marker_is_held_or_refused,
    keys_that_differ_in_case_are_two,
    a_forbidden_beginning_is_refused,
);

/// Odd keys, each with a key that a careless store or client confuses with it.
const ODD: &[(&[u8], &[u8])] = &[
    (b"a//b", b"a/b"),
    (b"a///b", b"a/b"),
    (b"//", b"x"),
    (b"dir/", b"dirx"),
    (b"dir2//", b"dir2/x"),
    (b"./x", b"x"),
    (b"c/./d", b"c/d"),
    (b"c/../e", b"e"),
    (b"g/.", b"g/x"),
    (b"g2/..", b"g3"),
    (b"...", b"x"),
    (b".hidden", b"hidden"),
    (b" leading space", b"leading space"),
    (b"trailing space ", b"trailing space"),
    (b"two  spaces", b"two spaces"),
    (b"trailing dot.", b"trailing dot"),
    (b"100%", b"100"),
    (b"a%20b", b"a b"),
    (b"a%2Fb", b"a2/b"),
    (b"%E4", "ä".as_bytes()),
    (b"a+c", b"a c"),
    (b"a&amp;b", b"a&b"),
    (b"?query=1&x=2#f", b"?query"),
    (b"\"quoted\" 'too'", b"quoted too"),
    (b"<tag>&<tag>", b"tag"),
    (b"back\\slash", b"back/slash"),
    (b"*:|;,=@!$()[]{}^`~", b"symbols"),
    (b"UPPER", b"upper"),
    ("é".as_bytes(), "e\u{301}".as_bytes()),
    ("日本語/🦀".as_bytes(), "日本語/x".as_bytes()),
    ("\u{a0}no-break".as_bytes(), b" no-break"),
    ("\u{fffd}".as_bytes(), b"?"),
    (b"tab\there", b"tab here"),
    (b"line\nfeed", b"line feed"),
    (b"carriage\r", b"carriage"),
    (b"\x01control", b"control"),
    (b"delete\x7f", b"delete"),
    (b"nul\0byte", b"nul"),
    (b"latin-\xe4", "latin-\u{fffd}".as_bytes()),
    (b"\xff\xfe", "\u{fffd}\u{fffd}".as_bytes()),
];

async fn odd_keys_are_held_exactly_or_refused(f: Fixture) -> Check {
    let mut wrong = Vec::new();
    for (number, (odd, alias)) in ODD.iter().enumerate() {
        let folder = |name: &[u8]| f.key([format!("{number:02}/").as_bytes(), name].concat());
        let (odd, alias) = (folder(odd)?, folder(alias)?);
        if let Err(Stop::Failed(why)) = held_or_refused(&f, &odd, &alias).await {
            wrong.push(format!("\n    {odd}: {why}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {} keys:{}", wrong.len(), ODD.len(), wrong.concat());
    Ok(())
}

async fn a_leading_slash_is_held_or_refused(f: Fixture) -> Check {
    for start in ["/", "//"] {
        let (odd, alias) = (f.key_before(start, "lead")?, f.key("lead")?);
        held_or_refused(&f, &odd, &alias).await.map_err(|stop| stop.while_doing(&odd))?;
    }
    Ok(())
}

async fn a_key_that_climbs_out_is_held_or_refused(f: Fixture) -> Check {
    for start in ["../", "./", "/../", "x/../"] {
        let (odd, alias) = (f.key_before(start, "climbs")?, f.key("climbs")?);
        held_or_refused(&f, &odd, &alias).await.map_err(|stop| stop.while_doing(&odd))?;
    }
    Ok(())
}

/// Writes `odd` next to `alias`; the object at `alias` must not change.
async fn held_or_refused(f: &Fixture, odd: &ObjectKey, alias: &ObjectKey) -> Check {
    let rules = &f.capabilities().keys;
    let alias = Some(alias).filter(|alias| rules.check(alias).is_ok() && rules.folded(alias) != rules.folded(odd));
    if let Some(alias) = alias {
        f.write(alias, "the other object").await?;
    }
    let before = f.listed().await?;
    if rules.check(odd).is_ok() {
        held(f, odd).await?;
    } else {
        let result = f.put(odd, super::bodies::unreadable(5), PutOptions::new()).await;
        refused(result, ErrorKind::InvalidKey, odd)?;
        if let Some(multipart) = f.storage().multipart() {
            refused(multipart.create(odd, CreateUploadOptions::new()).await, ErrorKind::InvalidKey, odd)?;
        }
    }
    same("the objects that are there afterwards", f.listed().await?, before)?;
    match alias {
        Some(alias) => f.holds(alias, b"the other object").await,
        None => Ok(()),
    }
}

/// Checks that every operation accepts the key as it is. The object of a key that ends in
/// `/` is empty, because stores on a disk keep it as a folder.
async fn held(f: &Fixture, key: &ObjectKey) -> Check {
    let bytes = if key.as_bytes().ends_with(b"/") { Bytes::new() } else { key.to_bytes() };
    f.write(key, bytes.clone()).await?;
    f.holds(key, &bytes).await?;
    f.etag(key).await?;
    let prefix = crate::key::KeyPrefix::new(key.to_bytes());
    let listed = f.list(crate::storage::ListRequest::new().prefix(prefix)).await?;
    let listed: Vec<_> = listed.into_iter().map(|meta| meta.key).collect();
    same("the keys listed under it", listed, vec![key.clone()])?;
    f.storage().remove(key).await?;
    f.absent(key).await
}

async fn the_longest_keys_are_held_and_longer_ones_refused(f: Fixture) -> Check {
    let rules = &f.capabilities().keys;
    if rules.max_bytes > 1 << 16 {
        return Err(Stop::NotApplicable(format!("keys.max_bytes is {}", rules.max_bytes)));
    }
    let start = f.prefix().as_bytes().len();
    let most = rules.max_chars.unwrap_or(usize::MAX).min(rules.max_bytes);
    for (len, held_exactly) in [(most - 1, true), (most, true), (most + 1, false)] {
        let segments = vec![b'k'; len - start];
        let mut name = segments.chunks(rules.max_segment_bytes.min(200)).collect::<Vec<_>>().join(&b'/');
        name.truncate(len - start);
        if name.ends_with(b"/") {
            name.pop();
            name.push(b'k');
        }
        let key = f.key(name)?;
        if held_exactly {
            held(&f, &key).await?;
        } else {
            refused(f.put(&key, "x".to_owned(), PutOptions::new()).await, ErrorKind::InvalidKey, &key)?;
        }
    }
    if let Some(most) = rules.max_chars {
        // Each `ä` is two bytes and one character.
        let name = |chars: usize| {
            f.key((1..=chars).map(|at| if at % 100 == 0 && at < chars { '/' } else { 'ä' }).collect::<String>())
        };
        held(&f, &name(most - start)?).await?;
        let key = name(most - start + 1)?;
        refused(f.put(&key, "x".to_owned(), PutOptions::new()).await, ErrorKind::InvalidKey, &key)?;
    }
    if rules.max_segment_bytes < most - start {
        for len in [rules.max_segment_bytes - 1, rules.max_segment_bytes] {
            held(&f, &f.key(vec![b's'; len])?).await?;
        }
        let key = f.key(vec![b's'; rules.max_segment_bytes + 1])?;
        refused(f.put(&key, "x".to_owned(), PutOptions::new()).await, ErrorKind::InvalidKey, &key)?;
    }
    Ok(())
}

async fn a_file_beside_a_folder_is_held_or_refused(f: Fixture) -> Check {
    let handling = f.capabilities().keys.file_beside_folder;
    for (first, second) in [("a", "a/b"), ("c/d", "c")] {
        let (first, second) = (f.key(first)?, f.key(second)?);
        f.write(&first, "first").await?;
        match f.storage().write(&second, "second".into()).await {
            Ok(_) => f.holds(&second, b"second").await?,
            Err(error) if handling == KeyHandling::Kept => return Err(error.into()),
            Err(error) => {
                ensure!(error.full_message().contains(&second.to_string()), "the error does not name it: {error:?}");
                f.absent(&second).await?;
            }
        }
        f.holds(&first, b"first").await?;
    }
    Ok(())
}

/// As consoles of stores make them: an empty object whose key ends in `/`. On a disk it can be a
/// folder without anything in it.
async fn a_folder_marker_is_held_or_refused(f: Fixture) -> Check {
    let (marker, inside, full) = (f.key("marker/")?, f.key("marker/inside")?, f.key("full/")?);
    if let Err(error) = f.storage().write(&marker, Bytes::new()).await {
        ensure!(f.capabilities().keys.trailing_slash != KeyHandling::Kept, "a marker is refused: {error:?}");
        same("the kind of the error", error.kind(), ErrorKind::InvalidKey)?;
        return same("the objects that are there", f.listed().await?, Vec::new());
    }
    same("the objects that are there", f.listed().await?, vec![marker.clone()])?;
    f.holds(&marker, b"").await?;
    f.write(&inside, "x").await?;
    f.holds(&inside, b"x").await?;
    ensure!(f.listed().await?.contains(&inside), "what is in the folder is not listed");
    f.storage().remove(&inside).await?;
    f.storage().remove(&marker).await?;
    f.absent(&marker).await?;
    // With bytes in it, it is held whole or not at all.
    match f.storage().write(&full, "bytes".into()).await {
        Ok(_) => f.holds(&full, b"bytes").await,
        Err(error) => {
            same("the kind of the error", error.kind(), ErrorKind::InvalidKey)?;
            f.absent(&full).await
        }
    }
}

async fn keys_that_differ_in_case_are_two(f: Fixture) -> Check {
    if !f.tells_case() {
        return Err(Stop::NotApplicable(format!("keys.case is {:?}", f.capabilities().keys.case)));
    }
    let keys = f.write_all(["Both/A", "Both/a", "both/A"]).await?;
    for key in &keys {
        f.holds(key, key.as_bytes()).await?;
    }
    same("the objects that are there", f.listed().await?.len(), keys.len())
}

async fn a_forbidden_beginning_is_refused(f: Fixture) -> Check {
    let Some(prefix) = f.capabilities().keys.forbidden_prefixes.first().cloned() else {
        return Err(Stop::NotApplicable("keys.forbidden_prefixes is empty".to_owned()));
    };
    for key in [f.key_before(&prefix, "a")?, f.whole_key(prefix.clone().into_bytes())?] {
        let put = f.put(&key, super::bodies::unreadable(5), PutOptions::new()).await;
        refused(put, ErrorKind::InvalidKey, &key)?;
    }
    held(&f, &f.key(format!("{prefix}a"))?).await
}
