//! What the speaker speaks, with which routers, and the story that shows it: the table of
//! docs/bgp.md.
//!
//! A story is told to the routers that its row names, so the table says what is tried.

use std::fmt::Write as _;

use crate::Router;

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    /// What is spoken.
    pub spoken: &'static str,
    /// The story that shows it.
    pub story: &'static str,
    /// Routers that it cannot be shown on, and why.
    pub without: &'static [(Router, &'static str)],
}

/// The columns: what each router runs, and how its version begins.
pub const COLUMNS: [(Router, &str, &str); 3] = [
    (Router::Frr, "FRR", "8.4"),
    (Router::Bird, "BIRD", "2.0.12"),
    (Router::Gobgp, "GoBGP", "3.10"),
];

impl Row {
    const fn of_all(spoken: &'static str, story: &'static str) -> Self {
        Self {
            spoken,
            story,
            without: &[],
        }
    }

    const fn of_bfd(spoken: &'static str, story: &'static str) -> Self {
        Self {
            spoken,
            story,
            without: &[(Router::Gobgp, "it has no BFD")],
        }
    }

    /// Why it is not shown on this router, if it is not.
    pub fn why_not(&self, router: Router) -> Option<&'static str> {
        let mut without = self.without.iter();
        without.find(|(it, _)| *it == router).map(|(_, why)| *why)
    }
}

/// The table as Markdown; `shown` says what is in the cells of a story.
pub fn table(shown: impl Fn(&Row) -> &'static str) -> String {
    let mut text = String::new();
    for (_, name, version) in COLUMNS {
        let _ = write!(text, " | {name} {version}");
    }
    text.push_str(" | shown by |\n|---|---|---|---|---|\n");
    text.insert(0, '|');
    for row in ROWS {
        let _ = write!(text, "| {}", row.spoken);
        for (router, ..) in COLUMNS {
            let _ = write!(
                text,
                " | {}",
                row.why_not(router).unwrap_or_else(|| shown(row))
            );
        }
        let _ = writeln!(text, " | `{}` |", row.story);
    }
    text
}

/// BGP itself.
pub const ROUTES: Row = Row::of_all(
    "eBGP on IPv4 and on IPv6; communities and large ones",
    "bgp::every_router_has_the_routes_and_what_is_said_of_them",
);
/// Sessions stay.
pub const CHANGES: Row = Row::of_all(
    "Services come and go, no session ends",
    "bgp::services_come_and_go_and_no_session_ends",
);
/// Fewer, longer routes.
pub const AGGREGATES: Row = Row::of_all(
    "aggregates",
    "bgp::communities_and_preferences_change_and_no_session_ends",
);
/// RFC 8326.
pub const DRAINED: Row = Row::of_all(
    "GRACEFUL_SHUTDOWN of a drained node",
    "bgp::a_node_is_drained_and_routers_prefer_others_first",
);
/// Who the nodes are.
pub const IDENTITY: Row = Row::of_all(
    "four-octet AS numbers, `localASN`, `dynamicASN`, `routerID`, timers",
    "bgp::every_router_sees_who_the_nodes_are",
);
/// iBGP.
pub const INTERNAL: Row = Row::of_all(
    "iBGP and local preference",
    "bgp::within_an_as_routes_have_a_preference",
);
/// RFC 4760 and 8950.
pub const DUAL_STACK: Row = Row::of_all(
    "both families on one session",
    "bgp::both_families_on_one_session",
);
/// RFC 4724.
pub const RESTART: Row = Row::of_all(
    "routes stay while speakers are replaced (graceful restart)",
    "bgp::routes_stay_while_speakers_are_replaced",
);
/// RFC 2385.
pub const PASSWORD: Row = Row::of_all("passwords (TCP-MD5)", "bgp::a_password_is_wanted_and_given");
/// RFC 4861 section 6 and RFC 8950.
pub const UNNUMBERED: Row = Row::of_all(
    "found on an interface, both families over link-local addresses",
    "bgp::a_router_is_found_on_an_interface",
);
/// Many hops.
pub const BEHIND: Row = Row::of_all(
    "through another router (`ebgpMultiHop`)",
    "bgp::routers_behind_others_have_the_routes",
);
/// RFC 5881.
pub const BFD: Row = Row::of_bfd(
    "BFD on IPv4 and on IPv6",
    "bgp::bfd_notices_a_cut_cable_at_once",
);
/// RFC 5881 section 4 between link-local addresses.
pub const UNNUMBERED_BFD: Row = Row::of_bfd(
    "BFD on an interface, between link-local addresses",
    "bgp::bfd_works_on_an_interface",
);
/// RFC 5880 section 6.4.
pub const ECHO: Row = Row {
    spoken: "BFD echo, both ways",
    story: "bgp::a_router_that_stops_forwarding_is_noticed_by_echo",
    without: &[
        (Router::Bird, "it has no echo"),
        (Router::Gobgp, "it has no BFD"),
    ],
};
/// RFC 5883.
pub const BFD_BEHIND: Row = Row::of_bfd(
    "BFD through another router",
    "bgp::routers_behind_others_have_the_routes",
);

/// All of them.
pub const ROWS: &[Row] = &[
    ROUTES,
    CHANGES,
    AGGREGATES,
    DRAINED,
    IDENTITY,
    INTERNAL,
    DUAL_STACK,
    RESTART,
    PASSWORD,
    UNNUMBERED,
    BEHIND,
    BFD,
    UNNUMBERED_BFD,
    ECHO,
    BFD_BEHIND,
];
