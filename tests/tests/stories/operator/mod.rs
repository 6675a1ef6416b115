//! What the operator does with the `MetalLB` object and all that it makes of it.
//!
//! `cargo xtask test operator` tells these stories after the tests of the crates that decide.

mod admission;
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
        "operator::addresses_in_use_can_be_protected_from_deletion",
        removal::protected,
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
];
