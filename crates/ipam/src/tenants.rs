//! Those who hold one address.

use std::collections::BTreeSet;

use metallb_config::ObjectKey;

/// The Services that hold one address: hardly ever more than one.
#[derive(Debug)]
pub(crate) enum Tenants {
    One(ObjectKey),
    /// At least two.
    #[expect(clippy::box_collection, reason = "keeps the usual case small")]
    Many(Box<BTreeSet<ObjectKey>>),
}

impl Tenants {
    pub(crate) fn add(&mut self, key: ObjectKey) {
        match self {
            Self::One(one) if *one == key => {}
            Self::One(one) => *self = Self::Many(Box::new([one.clone(), key].into())),
            Self::Many(many) => {
                many.insert(key);
            }
        }
    }

    /// One that is not the only one leaves.
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        if let Self::Many(many) = self {
            many.remove(key);
            if many.len() == 1
                && let Some(last) = many.pop_first()
            {
                *self = Self::One(last);
            }
        }
    }

    pub(crate) fn is_alone(&self, key: &ObjectKey) -> bool {
        matches!(self, Self::One(one) if one == key)
    }

    /// By their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ObjectKey> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => (None, Some(many.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_and_go() {
        let [a, b, c] = ["a", "b", "c"].map(|name| ObjectKey::new("ns", name));
        let listed = |tenants: &Tenants| {
            tenants
                .iter()
                .map(|it| it.name().to_owned())
                .collect::<String>()
        };
        let mut tenants = Tenants::One(b.clone());
        tenants.add(b.clone());
        assert!(tenants.is_alone(&b) && !tenants.is_alone(&a));
        for key in [&c, &a] {
            tenants.add(key.clone());
        }
        assert_eq!(listed(&tenants), "abc");
        tenants.remove(&b);
        assert_eq!(listed(&tenants), "ac");
        tenants.remove(&c);
        assert!(tenants.is_alone(&a));
    }
}
