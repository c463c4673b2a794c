//! The suite can fail: each fault of a store is found, by the case made for it.

use std::sync::Arc;

use lepton_core::conformance::{Options, run};
use lepton_core::{MemoryStorage, SharedStorage};

use super::faulty::{Fault, Faulty};

/// Each fault, and a case that must find it.
const FAULTS: &[(Fault, &str)] = &[
    (Fault::HidesMultipart, "facets/facets_agree_with_capabilities"),
    (Fault::SameTagAlways, "objects/an_etag_is_the_md5_where_declared"),
    (Fault::NamesUndeclaredChecks, "objects/a_receipt_names_a_declared_check"),
    (Fault::SameTagAlways, "objects/an_overwrite_replaces_everything"),
    (Fault::KeepsBrokenBodies, "objects/a_broken_body_leaves_nothing"),
    (Fault::KeepsBrokenBodies, "objects/a_broken_body_leaves_the_old_object"),
    (Fault::KeepsBrokenBodies, "objects/a_short_body_is_refused"),
    (Fault::RewordsErrors, "objects/a_broken_body_leaves_nothing"),
    (Fault::RewordsErrors, "objects/what_is_not_there_is_not_found"),
    (Fault::EndsBodiesEarly, "objects/sizes_around_the_leaf_come_back"),
    (Fault::EndsBodiesEarly, "ranges/ranges_give_their_bytes"),
    (Fault::IgnoresRanges, "ranges/ranges_give_their_bytes"),
    (Fault::IgnoresRanges, "ranges/a_range_beyond_the_end_is_refused"),
    (Fault::DropsAttributes, "attributes/each_attribute_is_kept_or_refused"),
    (Fault::DropsAttributes, "attributes/all_attributes_are_kept_together"),
    (Fault::DropsAttributes, "multipart/attributes_are_kept"),
    (Fault::DropsAttributes, "copies/a_copy_can_have_other_attributes"),
    (Fault::AlwaysGivesTags, "attributes/tags_come_only_when_asked_for"),
    (Fault::IgnoresConditions, "conditions/put_if_absent_never_overwrites"),
    (Fault::IgnoresConditions, "conditions/one_of_many_puts_if_absent_wins"),
    (Fault::IgnoresConditions, "conditions/put_if_match_demands_the_tag"),
    (Fault::IgnoresConditions, "conditions/get_if_match_demands_the_tag"),
    (Fault::IgnoresConditions, "conditions/delete_if_match_demands_the_tag"),
    (Fault::IgnoresConditions, "uploads/conditions_hold_at_completion"),
    (Fault::IgnoresConditions, "copies/conditions_on_the_source_hold"),
    (Fault::IgnoresConditions, "copies/conditions_on_the_destination_hold_or_are_refused"),
    (Fault::DeletesNothing, "deletes/what_is_deleted_is_gone"),
    (Fault::MissesAbsentOnes, "deletes/deleting_what_is_absent_succeeds"),
    (Fault::LosesResults, "deletes/a_batch_has_a_result_for_each"),
    (Fault::ListsBackwards, "lists/keys_come_in_the_declared_order"),
    (Fault::ListsFolders, "lists/a_prefix_is_compared_byte_by_byte"),
    (Fault::ListsFromInclusive, "lists/start_after_is_exclusive_and_need_not_exist"),
    (Fault::ListsFromInclusive, "lists/a_listing_can_be_taken_up_again"),
    (Fault::LosesPageEnds, "lists/pages_lose_and_repeat_nothing"),
    (Fault::LosesPageEnds, "lists/many_objects_are_all_listed"),
    (Fault::IgnoresDelimiters, "lists/a_delimiter_rolls_folders_up"),
    (Fault::IgnoresDelimiters, "lists/folders_are_not_repeated_over_pages"),
    (Fault::CleansKeys, "keys/odd_keys_are_held_exactly_or_refused"),
    (Fault::CleansKeys, "keys/a_leading_slash_is_held_or_refused"),
    (Fault::CleansKeys, "keys/a_key_that_climbs_out_is_held_or_refused"),
    (Fault::CutsLongKeys, "keys/the_longest_keys_are_held_and_longer_ones_refused"),
    (Fault::ListsOtherUploads, "multipart/uploads_are_listed_by_exact_key"),
    (Fault::ListsPartsBackwards, "multipart/parts_are_listed"),
    (Fault::KeepsAbortedUploads, "uploads/an_aborted_upload_is_gone"),
    (Fault::KeepsBrokenBodies, "uploads/a_broken_body_leaves_no_part"),
    (Fault::ReachesEverything, "copies/a_store_reaches_itself_and_not_everything"),
    (Fault::CopiesWhenAsked, "copies/asking_whether_a_copy_is_cheaper_leaves_nothing"),
    (Fault::ListsVersionsBackwards, "versions/versions_are_listed_newest_first"),
    (Fault::IgnoresVersions, "versions/each_write_makes_a_version"),
    (Fault::IgnoresVersions, "versions/a_version_can_be_deleted_for_good"),
    (Fault::IgnoresVersions, "versions/a_delete_hides_and_can_be_undone"),
    (Fault::GivesBytesBefore, "ranges/ranges_give_their_bytes"),
    (Fault::StopsAtRefusals, "interruptions/deletes_that_fail_do_not_keep_others_back"),
    (Fault::RefusesLongBatches, "limits/one_delete_takes_its_limit"),
    (Fault::ShowsHalves, "interruptions/a_put_that_is_dropped_leaves_the_old_object_or_the_new"),
    (Fault::LosesPageEnds, "interruptions/a_listing_during_writes_has_all_that_stays"),
    (Fault::FoldsCase, "keys/keys_that_differ_in_case_are_two"),
    (Fault::LetsOthersFetchWhatItChanges, "copies/another_store_fetches_what_a_read_gives"),
];

async fn fails(fault: Fault, case: &str) {
    let inner = MemoryStorage::builder().versioned(true).build();
    let store: SharedStorage = Arc::new(Faulty::new(inner, fault));
    let report = run(&store, Options::new().many(1100).only(case)).await;
    assert_eq!(report.cases.len(), 1, "there is no case {case}");
    let failed: Vec<_> = report.failures().map(|(name, _)| name).collect();
    assert_eq!(failed, [case], "{fault:?} was not found");
    let error = report.check().unwrap_err().to_string();
    assert!(error.contains(case), "{error}");
}

#[tokio::test]
async fn each_fault_is_found() {
    for (fault, case) in FAULTS {
        fails(*fault, case).await;
    }
}

#[tokio::test]
async fn without_a_fault_the_wrapper_passes() {
    let inner = MemoryStorage::builder().versioned(true).build();
    let store: SharedStorage = Arc::new(Faulty::new(inner, Fault::None));
    run(&store, Options::new()).await.check().unwrap();
}
