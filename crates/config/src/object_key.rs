//! What an object is called.

use std::fmt;

use arcstr::ArcStr;
use kube::Resource;

/// An object's namespace (empty if it has none) and name. Cheap to clone.
///
/// One text, since every map of the programs keeps thousands of them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// `namespace/name`; neither has a slash.
    text: ArcStr,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            text: format!("{namespace}/{name}").into(),
        }
    }

    /// The key of `object`.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or(""),
        )
    }

    /// The key as one text, `namespace/name`, for [`from_text`](Self::from_text).
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// The key that has this [text](Self::as_text).
    ///
    /// # Panics
    /// It is none.
    pub fn from_text(text: &str) -> Self {
        assert!(text.contains('/'), "\"{text}\" is no namespace/name");
        Self { text: text.into() }
    }

    /// The namespace; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.text.split_once('/').expect("it is made with a slash")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.strip_prefix('/').unwrap_or(&self.text))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_parts_again() {
        for (namespace, name, text) in [("shop", "web", "shop/web"), ("", "n1", "n1")] {
            let key = ObjectKey::new(namespace, name);
            assert_eq!((key.namespace(), key.name()), (namespace, name));
            assert_eq!(key.to_string(), text);
            assert_eq!(ObjectKey::from_text(key.as_text()), key);
        }
    }
}
