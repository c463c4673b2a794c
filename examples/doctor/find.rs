//! Finds out by trial which keys a store keeps.

use std::collections::BTreeSet;

use bytes::Bytes;
use lepton::core::{KeyHandling, KeyPrefix, KeyRules};
use lepton::{Error, ErrorKind, Location, ObjectKey, Result, SharedStorage, StorageExt as _};
use serde_json::{Map, Value, json};

use crate::forms::{Form, Rule, forms, known, long_key, long_segment, of_rules, word};
use crate::place::Place;
use crate::probe::{Probe, listed};
use crate::tell::Doctor;

/// The longest key that is tried, unless the store is known to allow longer ones.
const LONGEST: usize = 1024;
const MOST: usize = 4096;

/// The handling found by trial, and the rules known before.
struct Found<'a> {
    rules: &'a KeyRules,
    /// Rules whose setting differs from the capabilities.
    differs: Map<String, Value>,
    control: KeyHandling,
    /// Single bytes that were tried.
    kept: BTreeSet<u8>,
    not_kept: BTreeSet<u8>,
}

impl Doctor {
    /// Writes keys of every odd form and checks under which names they are stored.
    pub(crate) async fn keys(&mut self, place: &Place, location: &Location, probe: &Probe) {
        let Some(free) = self.step("keys", place.without_rules().await) else { return };
        let store = free.storage();
        let capabilities = location.storage().capabilities();
        self.head(&capabilities.preset);
        let mut forms = forms(probe);
        if place.has_text_names() {
            forms.retain(|form| form.rule != Rule::Utf8);
        }
        let found = self.try_all(store, probe, forms, &capabilities.keys).await;
        let cleaned = probe.clean(store).await;
        self.step("clean up", cleaned);
        let Some(found) = found.filter(|_| !self.is_stopped()) else { return };
        let keys = found.differing();
        if keys.is_empty() {
            return self.rules("what is known of the store is so", &json!({}));
        }
        let capabilities = json!({ "keys": keys });
        self.rules(&format!("set capabilities={capabilities}"), &capabilities);
    }

    /// Returns `None` if a step failed, which is reported.
    async fn try_all<'a>(
        &mut self,
        store: &SharedStorage,
        probe: &Probe,
        forms: Vec<Form>,
        rules: &'a KeyRules,
    ) -> Option<Found<'a>> {
        let plain = handling(store, &[probe.key(b"-plain/x").ok()?]).await;
        if !matches!(plain, Ok(KeyHandling::Kept)) {
            let lost =
                || Error::new(ErrorKind::Unexpected, "not even a plain key is read and listed as it was written");
            self.step("keys", plain.and_then(|_| Err::<(), _>(lost())));
            return None;
        }
        let mut found = Found::new(rules);
        for form in forms {
            if self.is_stopped() {
                return None;
            }
            let keys: Vec<_> = form.keys.iter().filter_map(|key| ObjectKey::new(key.clone()).ok()).collect();
            let fate = match fate(store, probe, &keys).await {
                Ok(fate) => fate,
                Err(error) => {
                    self.step(&form.name, Err::<(), _>(error));
                    return None;
                }
            };
            self.row(&form.name, &form.example, fate.word(), known(rules, &form).map_or("no rule", word));
            if let Some(failure) = &fate.failure {
                self.note(&form.name, &format!("the store fails with such a key, each time: {failure}"));
            }
            found.add(&form, fate.handling);
        }
        if !probe.at_root() {
            self.note("leading_slash", "not tried: the place is a folder, and such a key would be outside");
        }
        self.lengths(store, probe, &mut found).await?;
        (!self.wrong).then_some(found)
    }

    async fn lengths(&mut self, store: &SharedStorage, probe: &Probe, found: &mut Found<'_>) -> Option<()> {
        let rules = found.rules;
        let most = rules.max_bytes.clamp(LONGEST, MOST);
        let key = longest(store, probe, most, &[], |len| long_key(probe, len)).await;
        let key = self.told(key)?;
        let least = probe.bytes(b"").len() - probe.name().len();
        let name = longest(store, probe, key.saturating_sub(least), &[255, 256], |len| long_segment(probe, len)).await;
        let name = self.told(name)?;
        let known = rules.max_segment_bytes.min(rules.max_bytes);
        let upto =
            |len: usize, most: usize| if len == most { format!("≥ {len} bytes") } else { format!("{len} bytes") };
        self.row("max_bytes", "the whole key", &upto(key, most), &rules.max_bytes.to_string());
        self.row("max_segment_bytes", "between slashes", &upto(name, key - least), &known.to_string());
        if key < rules.max_bytes.min(most) || key > rules.max_bytes {
            found.differs.insert("max_bytes".into(), key.into());
        }
        if name < known.min(key - least) {
            found.differs.insert("max_segment_bytes".into(), name.into());
        } else if name > rules.max_segment_bytes {
            let all = if name == key - least { key } else { name };
            found.differs.insert("max_segment_bytes".into(), all.into());
        }
        Some(())
    }

    fn told<T>(&mut self, found: Result<T>) -> Option<T> {
        found.map_err(|error| self.step("keys", Err::<(), _>(error))).ok()
    }
}

impl<'a> Found<'a> {
    fn new(rules: &'a KeyRules) -> Self {
        Self {
            rules,
            differs: Map::new(),
            control: KeyHandling::Kept,
            kept: BTreeSet::new(),
            not_kept: BTreeSet::new(),
        }
    }

    fn add(&mut self, form: &Form, handling: KeyHandling) {
        match form.rule {
            Rule::Handling(name) if of_rules(self.rules, name).is_some_and(|known| known != handling) => {
                self.differs.insert(name.to_owned(), word(handling).into());
            }
            Rule::Utf8 if self.rules.utf8_only == (handling == KeyHandling::Kept) => {
                self.differs.insert("utf8_only".into(), (handling != KeyHandling::Kept).into());
            }
            Rule::Byte(byte) => {
                let bytes = if handling == KeyHandling::Kept { &mut self.kept } else { &mut self.not_kept };
                bytes.insert(byte);
                // The other control characters are assumed to be handled the same way.
                if byte == 1 {
                    self.control = handling;
                }
            }
            _ => (),
        }
    }

    /// The rules to set.
    fn differing(mut self) -> Map<String, Value> {
        if self.control != self.rules.control_characters {
            self.differs.insert("control_characters".into(), word(self.control).into());
        }
        let covered = |byte: &u8| self.control != KeyHandling::Kept && byte.is_ascii_control();
        let known: BTreeSet<u8> = self.rules.forbidden_bytes.iter().copied().collect();
        let right = known.iter().copied().filter(|byte| !self.kept.contains(byte));
        let needed = self.not_kept.iter().copied().filter(|byte| !covered(byte));
        let forbidden: BTreeSet<u8> = right.chain(needed).collect();
        if forbidden != known {
            let forbidden: Vec<u8> = forbidden.into_iter().collect();
            self.differs.insert("forbidden_bytes".into(), forbidden.into());
        }
        self.differs
    }
}

/// How the store handles a form of keys.
struct Fate {
    handling: KeyHandling,
    /// The error, if the store fails instead of refusing the key explicitly.
    failure: Option<String>,
}

impl Fate {
    fn word(&self) -> &'static str {
        if self.failure.is_some() { "fails" } else { word(self.handling) }
    }
}

/// How the store handles these keys. A failure is attributed to them if it recurs while a plain
/// key succeeds.
async fn fate(store: &SharedStorage, probe: &Probe, keys: &[ObjectKey]) -> Result<Fate> {
    for _ in 0..2 {
        if let Ok(handling) = handling(store, keys).await {
            return Ok(Fate { handling, failure: None });
        }
        plain(store, probe).await?;
    }
    match handling(store, keys).await {
        Ok(handling) => Ok(Fate { handling, failure: None }),
        Err(error) => Ok(Fate { handling: KeyHandling::Refused, failure: Some(error.full_message()) }),
    }
}

/// Fails unless the store keeps a plain key.
async fn plain(store: &SharedStorage, probe: &Probe) -> Result<()> {
    match handling(store, &[probe.key(b"-plain/x")?]).await? {
        KeyHandling::Kept => Ok(()),
        _ => {
            let message = "not even a plain key is read and listed as it was written";
            Err(Error::new(ErrorKind::Unexpected, message))
        }
    }
}

/// How the store handles these keys, written one after the other; they are deleted afterwards.
async fn handling(store: &SharedStorage, keys: &[ObjectKey]) -> Result<KeyHandling> {
    let handling = attempt(store, keys).await;
    for key in keys {
        // Whatever remains is found later by its name.
        let _ = store.remove(key).await;
    }
    handling
}

/// The keys are kept if each is read back with its own bytes under exactly that key, and is
/// listed under it.
async fn attempt(store: &SharedStorage, keys: &[ObjectKey]) -> Result<KeyHandling> {
    for (number, key) in keys.iter().enumerate() {
        match store.write(key, content(number)).await {
            Ok(_) => (),
            Err(error) if is_refusal(&error) => return Ok(KeyHandling::Refused),
            Err(error) => return Err(error),
        }
    }
    for (number, key) in keys.iter().enumerate() {
        if !is_kept(store, key, &content(number)).await? {
            return Ok(KeyHandling::Changed);
        }
    }
    Ok(KeyHandling::Kept)
}

fn content(number: usize) -> Bytes {
    format!("lepton doctor {number}").into()
}

async fn is_kept(store: &SharedStorage, key: &ObjectKey, bytes: &Bytes) -> Result<bool> {
    match store.read(key, 1 << 10).await {
        Ok(read) if read == *bytes => (),
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound || is_refusal(&error) => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(listed(store, &KeyPrefix::new(key.to_bytes())).await?.contains(key))
}

/// Whether the store refuses the key; every other error is a failure.
fn is_refusal(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidKey | ErrorKind::InvalidInput => true,
        ErrorKind::Unexpected => error.status() == Some(400),
        _ => false,
    }
}

/// The length in bytes of the longest key that is kept, up to `most`. Common limits are tried
/// first.
async fn longest(
    store: &SharedStorage,
    probe: &Probe,
    most: usize,
    usual: &[usize],
    key: impl Fn(usize) -> Option<ObjectKey>,
) -> Result<usize> {
    let fits = async |len: usize| match key(len) {
        Some(key) => Ok::<_, Error>(fate(store, probe, &[key]).await?.handling == KeyHandling::Kept),
        // Shorter than the common prefix of all probe names.
        None => Ok(true),
    };
    if fits(most).await? {
        return Ok(most);
    }
    let (mut kept, mut lost) = (0, most);
    for len in usual.iter().copied() {
        if kept < len && len < lost {
            if fits(len).await? { kept = len } else { lost = len }
        }
    }
    while kept + 1 < lost {
        let middle = kept.midpoint(lost);
        if fits(middle).await? { kept = middle } else { lost = middle }
    }
    Ok(kept)
}
