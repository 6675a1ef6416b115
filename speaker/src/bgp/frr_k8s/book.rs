//! What the node's FRRConfiguration is to be, what is seen of it, and what to do about that.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metallb_crds::frrk8s::FRRConfigurationSpec;

/// What is wanted and what is known.
#[derive(Debug, Default)]
pub(super) struct Book {
    wanted: Wanted,
    seen: Option<ObjectMeta>,
    written: Option<Written>,
}

#[derive(Debug, Default)]
enum Wanted {
    /// It is not decided yet.
    #[default]
    Unknown,
    /// There is to be no object.
    Nothing,
    /// It is to say this.
    Object(Arc<FRRConfigurationSpec>),
}

#[derive(Debug)]
struct Written {
    spec: Arc<FRRConfigurationSpec>,
    uid: Option<String>,
    /// What the server made of it: it may have added defaults or dropped what it does not know,
    /// so that what comes back is not compared.
    generation: Option<i64>,
}

/// One write.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Create(Arc<FRRConfigurationSpec>),
    /// Others' labels and the like stay.
    Replace(Box<ObjectMeta>, Arc<FRRConfigurationSpec>),
    Delete,
}

impl Book {
    /// From now on the object is to be so, or is not to be.
    pub(super) fn want(&mut self, spec: Option<FRRConfigurationSpec>) {
        match (&self.wanted, spec) {
            // What is the same stays shared with what was written.
            (Wanted::Object(before), Some(spec)) if **before == spec => {}
            (_, Some(spec)) => self.wanted = Wanted::Object(Arc::new(spec)),
            (_, None) => self.wanted = Wanted::Nothing,
        }
    }

    /// The object is seen, or seen to be gone.
    pub(super) fn see(&mut self, meta: Option<ObjectMeta>) {
        self.seen = meta;
    }

    /// The object was written, and is so now.
    pub(super) fn written(&mut self, spec: Arc<FRRConfigurationSpec>, meta: &ObjectMeta) {
        self.written = Some(Written {
            spec,
            uid: meta.uid.clone(),
            generation: meta.generation,
        });
        self.seen = Some(meta.clone());
    }

    /// What to do now.
    pub(super) fn due(&self) -> Option<Step> {
        match (&self.wanted, &self.seen) {
            (Wanted::Unknown, _) | (Wanted::Nothing, None) => None,
            (Wanted::Nothing, Some(seen)) => {
                seen.deletion_timestamp.is_none().then_some(Step::Delete)
            }
            (Wanted::Object(spec), None) => Some(Step::Create(spec.clone())),
            (Wanted::Object(spec), Some(seen)) => {
                let is_as_written = |it: &Written| {
                    // News of what was before our last write come after it.
                    it.spec == *spec && it.uid == seen.uid && seen.generation <= it.generation
                };
                let done = self.written.as_ref().is_some_and(is_as_written);
                (!done).then(|| Step::Replace(Box::new(seen.clone()), spec.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(uid: &str, generation: i64) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        }
    }

    fn spec(node: &str) -> FRRConfigurationSpec {
        let mut spec = FRRConfigurationSpec::default();
        let label = ("kubernetes.io/hostname".to_owned(), node.to_owned());
        spec.node_selector.match_labels.extend([label]);
        spec
    }

    /// One that is written, as generation 1 of the object `a`.
    fn written() -> Book {
        let mut book = Book::default();
        book.want(Some(spec("n1")));
        let Some(Step::Create(it)) = book.due() else {
            panic!("{book:?}");
        };
        book.written(it, &meta("a", 1));
        assert_eq!(book.due(), None);
        book
    }

    #[test]
    fn nothing_is_done_before_anything_is_decided() {
        let mut book = Book::default();
        book.see(Some(meta("a", 7)));
        assert_eq!(book.due(), None);
        book.want(None);
        assert_eq!(book.due(), Some(Step::Delete));
        book.see(None);
        assert_eq!(book.due(), None);
    }

    #[test]
    fn one_of_an_earlier_life_is_written_once() {
        let mut book = Book::default();
        book.see(Some(meta("a", 7)));
        book.want(Some(spec("n1")));
        let Some(Step::Replace(seen, it)) = book.due() else {
            panic!("{book:?}");
        };
        // The server sees no difference.
        book.written(it, &seen);
        book.see(Some(meta("a", 7)));
        assert_eq!(book.due(), None);
    }

    #[test]
    fn an_edit_is_undone_and_a_deleted_one_comes_back() {
        let mut book = written();
        book.see(Some(meta("a", 2)));
        assert!(matches!(book.due(), Some(Step::Replace(..))));
        let mut book = written();
        book.see(None);
        assert!(matches!(book.due(), Some(Step::Create(_))));
        book.see(Some(meta("b", 1)));
        assert!(matches!(book.due(), Some(Step::Replace(..))), "another's");
    }

    #[test]
    fn late_news_of_an_own_write_is_no_edit() {
        let mut book = written();
        book.want(Some(spec("n2")));
        let Some(Step::Replace(_, it)) = book.due() else {
            panic!("{book:?}");
        };
        book.written(it, &meta("a", 2));
        book.see(Some(meta("a", 1)));
        assert_eq!(book.due(), None);
        book.see(Some(meta("a", 2)));
        assert_eq!(book.due(), None);
    }
}
