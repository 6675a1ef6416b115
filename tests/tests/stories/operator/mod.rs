//! What the operator does with the `MetalLB` object and all that it makes of it.
//!
//! `cargo xtask test operator` tells these stories after the tests of the crates that decide.

mod admission;
mod adoption;
mod diagnose;
mod others;
mod outage;
mod removal;
mod repair;
mod requests;
mod rollout;
mod status;

use metallb_tests::stories::Story;

use crate::world::Installed;

/// In the order in which they are told.
pub(crate) const STORIES: &[Story<Installed>] = &[
    (
        "operator::a_metallb_object_is_refused_or_told_why_it_is_ignored",
        admission::misplaced,
    ),
    (
        "operator::a_bad_metallb_object_is_refused_in_upstreams_words",
        admission::invalid,
    ),
    (
        "operator::the_operators_own_webhook_is_repaired",
        admission::repaired,
    ),
    ("operator::at_rest_nothing_is_written", repair::idle),
    (
        "operator::frr_mode_needs_no_configmap_and_is_as_quiet",
        repair::idle_with_frr,
    ),
    (
        "operator::a_secret_removed_by_hand_comes_back",
        repair::secret_removed,
    ),
    (
        "operator::each_operand_deleted_comes_back",
        repair::operands_deleted,
    ),
    (
        "operator::a_field_edited_by_hand_is_set_right",
        repair::edited_by_hand,
    ),
    (
        "operator::monitors_and_policies_come_and_go_on_request",
        requests::monitors_and_policies,
    ),
    ("operator::nothing_is_changed_while_paused", status::paused),
    (
        "operator::what_is_unmanaged_is_left_alone_and_told_of",
        status::unmanaged,
    ),
    (
        "operator::a_change_reaches_the_controllers_first_and_somebody_always_answers",
        rollout::in_order,
    ),
    (
        "operator::an_image_that_does_not_exist_stops_the_rollout_and_says_so",
        rollout::no_such_image,
    ),
    (
        "operator::a_program_that_crashes_is_quoted_in_the_status",
        rollout::crashes,
    ),
    (
        "operator::what_the_api_server_refuses_is_quoted_in_the_status",
        rollout::refused,
    ),
    (
        "operator::a_speaker_that_crashes_later_is_told_of_within_a_minute",
        outage::speaker_crashes,
    ),
    (
        "operator::what_is_under_way_when_the_api_server_is_lost_is_finished",
        outage::api_server_away,
    ),
    (
        "operator::what_it_may_still_do_it_does_without_the_rest_of_its_rights",
        outage::rights_withdrawn,
    ),
    (
        "operator::a_definition_that_is_gone_is_named",
        outage::definition_removed,
    ),
    (
        "operator::fields_of_others_are_kept_where_it_wants_nothing",
        others::fields_of_others,
    ),
    (
        "operator::an_older_operator_takes_nothing_back",
        others::older_operator,
    ),
    (
        "operator::addresses_in_use_can_be_protected_from_deletion",
        removal::protected,
    ),
    (
        "operator::what_a_configuration_is_at_odds_with_is_a_warning",
        diagnose::warned,
    ),
    (
        "operator::a_class_that_there_is_not_is_named",
        diagnose::no_such_class,
    ),
    (
        "operator::a_right_that_is_missing_is_named_and_all_goes_on_when_it_is_back",
        diagnose::right_withdrawn,
    ),
    (
        "operator::what_would_be_changed_and_what_is_configured_are_printed",
        diagnose::commands,
    ),
];

/// At the end, since it begins anew.
pub(crate) const END: &[Story<Installed>] = &[
    (
        "operator::deleting_metallb_leaves_only_what_is_the_users",
        removal::metallb_deleted,
    ),
    (
        "operator::deleting_the_operators_manifest_leaves_nothing",
        removal::operator_deleted,
    ),
    (
        "operator::what_metallbs_own_operator_installed_is_taken_over",
        adoption::taken_over,
    ),
    (
        "operator::a_namespace_that_is_deleted_goes_with_all_that_was_made_for_it",
        removal::namespace_deleted,
    ),
];
