//! A store that says one thing of itself that is not so fails just the cases about that.

use std::sync::Arc;

use lepton_core::conformance::{Options, run};
use lepton_core::{
    Attribute, Capabilities, KeyHandling, MemoryStorage, MultipartLimits, SharedStorage, Support, TagCharacters,
};

use super::faulty::Faulty;

/// What is so, what is said, and the cases that fail for it.
struct Lie {
    about: &'static str,
    so: fn(&mut Capabilities),
    said: fn(&mut Capabilities),
    fails: &'static [&'static str],
}

/// A store with limits that a test can reach.
fn honest() -> Capabilities {
    let mut can = Capabilities::everything("honest");
    can.versions = Support::Unsupported;
    can.max_single_put = 6 << 20;
    can.multipart = Some(limits());
    can.keys.trailing_dots = KeyHandling::Refused;
    can.keys.forbidden_prefixes = vec![".well-known/".into()];
    can.keys.max_chars = Some(500);
    can.keys.max_segment_bytes = 255;
    can
}

fn limits() -> MultipartLimits {
    MultipartLimits::new(200_000, 1 << 20, 50)
}

const LIES: &[Lie] = &[
    Lie {
        about: "max_single_put, too large",
        so: |_| {},
        said: |can| can.max_single_put = (6 << 20) + 1,
        fails: &["limits/one_put_takes_its_limit"],
    },
    Lie {
        about: "max_single_put, too small",
        so: |_| {},
        said: |can| can.max_single_put = (6 << 20) - 1,
        fails: &["limits/a_put_above_the_limit_is_refused_unread"],
    },
    Lie {
        about: "max_object, too large",
        so: |can| can.max_object = (6 << 20) - 1,
        said: |_| {},
        fails: &["limits/one_put_takes_its_limit"],
    },
    Lie {
        about: "max_part, too large",
        so: |_| {},
        said: |can| can.multipart = Some(MultipartLimits::new(200_000, (1 << 20) + 1, 50)),
        fails: &["limits/a_part_takes_its_limit_and_no_more"],
    },
    Lie {
        about: "max_part, too small",
        so: |_| {},
        said: |can| can.multipart = Some(MultipartLimits::new(200_000, (1 << 20) - 1, 50)),
        fails: &["limits/a_part_takes_its_limit_and_no_more"],
    },
    Lie {
        about: "max_parts, too many",
        so: |_| {},
        said: |can| can.multipart = Some(MultipartLimits::new(200_000, 1 << 20, 51)),
        fails: &["limits/part_numbers_go_up_to_the_limit_and_no_further"],
    },
    Lie {
        about: "max_parts, too few",
        so: |_| {},
        said: |can| can.multipart = Some(MultipartLimits::new(200_000, 1 << 20, 49)),
        fails: &["limits/part_numbers_go_up_to_the_limit_and_no_further"],
    },
    Lie {
        about: "min_part, too small",
        so: |_| {},
        said: |can| can.multipart = Some(MultipartLimits::new(199_999, 1 << 20, 50)),
        fails: &[
            "multipart/sizes_around_the_part_come_back",
            "multipart/parts_may_come_in_any_order",
            "multipart/a_part_sent_again_is_replaced",
            "multipart/the_object_becomes_whole_over_the_old_one",
            "multipart/an_upload_is_taken_up_from_what_is_listed",
            "uploads/a_broken_body_leaves_no_part",
            "uploads/wrong_parts_make_no_object",
            "copies/ranges_become_parts",
        ],
    },
    Lie {
        about: "max_bytes, too long",
        so: |can| (can.keys.max_bytes, can.keys.max_chars) = (400, None),
        said: |can| (can.keys.max_bytes, can.keys.max_chars) = (401, None),
        fails: &["keys/the_longest_keys_are_held_and_longer_ones_refused"],
    },
    Lie {
        about: "max_bytes, too short",
        so: |can| (can.keys.max_bytes, can.keys.max_chars) = (400, None),
        said: |can| (can.keys.max_bytes, can.keys.max_chars) = (399, None),
        fails: &["keys/the_longest_keys_are_held_and_longer_ones_refused"],
    },
    Lie {
        about: "max_chars, too many",
        so: |_| {},
        said: |can| can.keys.max_chars = Some(501),
        fails: &["keys/the_longest_keys_are_held_and_longer_ones_refused"],
    },
    Lie {
        about: "max_chars that are bytes",
        so: |can| (can.keys.max_bytes, can.keys.max_chars) = (500, None),
        said: |can| (can.keys.max_bytes, can.keys.max_chars) = (2000, Some(500)),
        fails: &["keys/the_longest_keys_are_held_and_longer_ones_refused"],
    },
    Lie {
        about: "max_segment_bytes, too long",
        so: |_| {},
        said: |can| can.keys.max_segment_bytes = 256,
        fails: &["keys/the_longest_keys_are_held_and_longer_ones_refused"],
    },
    Lie {
        about: "trailing_dots that are kept",
        so: |_| {},
        said: |can| can.keys.trailing_dots = KeyHandling::Kept,
        fails: &["keys/odd_keys_are_held_exactly_or_refused"],
    },
    Lie {
        about: "forbidden_prefixes that are not",
        so: |can| can.keys.forbidden_prefixes.clear(),
        said: |_| {},
        fails: &["keys/a_forbidden_beginning_is_refused"],
    },
    Lie {
        about: "put_if_absent that is refused",
        so: |can| can.put_if_absent = Support::Unsupported,
        said: |_| {},
        fails: &["conditions/put_if_absent_never_overwrites", "conditions/one_of_many_puts_if_absent_wins"],
    },
    Lie {
        about: "put_if_match that is refused",
        so: |can| can.put_if_match = Support::Unsupported,
        said: |_| {},
        fails: &["conditions/put_if_match_demands_the_tag"],
    },
    Lie {
        about: "put_if_match that is honoured and said not to be",
        so: |_| {},
        said: |can| can.put_if_match = Support::Unsupported,
        fails: &["conditions/conditional_puts_are_refused_where_unsupported"],
    },
    Lie {
        about: "conditional_get that is refused",
        so: |can| can.conditional_get = Support::Unsupported,
        said: |_| {},
        fails: &["conditions/get_if_match_demands_the_tag"],
    },
    Lie {
        about: "conditional_delete that is refused",
        so: |can| can.conditional_delete = Support::Unsupported,
        said: |_| {},
        fails: &["conditions/delete_if_match_demands_the_tag"],
    },
    Lie {
        about: "range_get that is refused",
        so: |can| can.range_get = Support::Unsupported,
        said: |_| {},
        fails: &[
            "ranges/ranges_give_their_bytes",
            "ranges/a_range_beyond_the_end_is_refused",
            "conditions/get_if_match_demands_the_tag",
        ],
    },
    Lie {
        about: "attributes that are refused",
        so: |can| can.attributes.retain(|attribute| *attribute != Attribute::CacheControl),
        said: |_| {},
        fails: &[
            "attributes/each_attribute_is_kept_or_refused",
            "attributes/all_attributes_are_kept_together",
            "attributes/an_overwrite_takes_old_attributes_away",
            "attributes/tags_come_only_when_asked_for",
            "multipart/attributes_are_kept",
            "copies/a_copy_has_bytes_and_attributes_of_its_source",
            "copies/a_copy_can_have_other_attributes",
        ],
    },
    Lie {
        about: "tags that are kept and said not to be",
        so: |_| {},
        said: |can| can.attributes.retain(|attribute| *attribute != Attribute::Tags),
        fails: &["attributes/each_attribute_is_kept_or_refused", "multipart/attributes_that_are_not_kept_are_refused"],
    },
    Lie {
        about: "tags of any characters, said to be of few",
        so: |_| {},
        said: |can| can.tag_characters = TagCharacters::Words,
        fails: &["attributes/names_and_tags_beyond_the_rules_are_refused"],
    },
    Lie {
        about: "storage_class that is kept and said not to be",
        so: |_| {},
        said: |can| can.storage_class = Support::Unsupported,
        fails: &["attributes/storage_classes_are_refused_where_unsupported"],
    },
    Lie {
        about: "keeps_mtime that is not",
        so: |_| {},
        said: |can| can.keeps_mtime = true,
        fails: &["attributes/a_time_of_the_writer_is_kept_where_declared"],
    },
    Lie {
        about: "trailing_slash that is refused",
        so: |can| can.keys.trailing_slash = KeyHandling::Refused,
        said: |_| {},
        fails: &["keys/odd_keys_are_held_exactly_or_refused", "keys/a_folder_marker_is_held_or_refused"],
    },
    Lie {
        about: "list_attributes that no listing tells",
        so: |_| {},
        said: |can| can.list_attributes = true,
        fails: &["lists/a_listing_tells_attributes_where_declared"],
    },
    Lie {
        about: "versions that are there and said not to be",
        so: |can| can.versions = Support::Native,
        said: |_| {},
        fails: &["facets/facets_agree_with_capabilities", "versions/versions_are_refused_where_unsupported"],
    },
];

#[tokio::test]
async fn a_store_that_lies_about_one_thing_fails_just_that() {
    let mut wrong = Vec::new();
    for lie in LIES {
        let mut so = honest();
        (lie.so)(&mut so);
        let mut said = honest();
        (lie.said)(&mut said);
        let inner = MemoryStorage::builder().versioned(so.versions.is_available()).capabilities(so).build();
        let store: SharedStorage = Arc::new(Faulty::lying(inner, said));
        let report = run(&store, Options::new().many(30)).await;
        let mut failed: Vec<_> = report.failures().map(|(name, _)| name).collect();
        let mut expected = lie.fails.to_vec();
        failed.sort_unstable();
        expected.sort_unstable();
        if failed != expected {
            wrong.push(format!("{}: {report}", lie.about));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_store_without_a_lie_passes() {
    let inner = MemoryStorage::builder().capabilities(honest()).build();
    let store: SharedStorage = Arc::new(Faulty::lying(inner, honest()));
    run(&store, Options::new()).await.check().unwrap();
}

/// Stores that are unusual and honest.
#[tokio::test]
async fn honest_stores_pass_whatever_they_cannot_do() {
    let inner = || MemoryStorage::builder().capabilities(honest()).build();
    let unordered: SharedStorage = Arc::new(Faulty::unordered(inner()));
    run(&unordered, Options::new()).await.check().unwrap();
    for most in [4096, 300_000, 1 << 20] {
        let mut small = honest();
        (small.max_single_put, small.max_object, small.multipart) = (most, most, None);
        small.server_copy = Support::Unsupported;
        let store: SharedStorage = Arc::new(MemoryStorage::builder().capabilities(small).build());
        run(&store, Options::new()).await.check().unwrap();
        let mut parts = honest();
        parts.max_single_put = most;
        let store: SharedStorage = Arc::new(MemoryStorage::builder().capabilities(parts).build());
        run(&store, Options::new()).await.check().unwrap();
    }
}
