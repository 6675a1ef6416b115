//! Names that Kubernetes takes, from those that were possible before.

use anyhow::{Context as _, Result};

use super::legacy::Config;

/// Changes names as far as they have to; the lines say which. Upstream's rule.
pub(super) fn make_valid(config: &mut Config) -> Result<Vec<String>> {
    let pools = config
        .address_pools
        .iter_mut()
        .map(|pool| ("IpAddressPool", &mut pool.name));
    let profiles = config
        .bfd_profiles
        .iter_mut()
        .map(|profile| ("BFDProfile", &mut profile.name));
    let of_peers = config
        .peers
        .iter_mut()
        .map(|peer| ("BFDProfile", &mut peer.bfd_profile))
        .filter(|(_, name)| !name.is_empty());
    let mut changes = Vec::new();
    for (kind, name) in pools.chain(profiles).chain(of_peers) {
        if is_valid(name) {
            continue;
        }
        let valid =
            valid(name).with_context(|| format!("failed to make {kind} K8S compatible: {name}"))?;
        if valid != *name {
            changes.push(format!("Changing {kind} name from: {name} to: {valid}"));
            *name = valid;
        }
    }
    Ok(changes)
}

fn is_valid(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=63).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
}

/// At most 63 characters, in lower case, from the first letter on.
fn valid(name: &str) -> Option<String> {
    let short: String = name.chars().take(63).collect();
    let lower = short.to_lowercase().replace('_', "-");
    let first = lower.find(|c: char| c.is_ascii_lowercase())?;
    Some(lower[first..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_upstreams_tool_makes_of_them() {
        assert!(is_valid("pool-1"));
        for (name, expected) in [
            ("01-first", Some("first")),
            ("With_Underscores", Some("with-underscores")),
            ("a", Some("a")),
            ("123", None),
            (&"x".repeat(70), Some(&*"x".repeat(63))),
        ] {
            assert!(!is_valid(name), "{name}");
            assert_eq!(valid(name).as_deref(), expected);
        }
    }
}
