//! `ServiceL2Status`, `ServiceBGPStatus` and `BGPSessionState`: which Services this node announces
//! and how its sessions are, for `kubectl get`.
//!
//! One object for each subject, made by the node that has something to say of it and removed by it
//! when it has no more. They belong to the speaker's pod and go with it. Where one node announces
//! alone, what a node leaves behind that died, the one that takes over removes.

mod kinds;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU64;
use std::ops::Bound;

use arcstr::ArcStr;
use kube::ResourceExt as _;
use metallb_kit::watch::Change;
use serde::Serialize;
use smallvec::SmallVec;

pub(crate) use kinds::{Kind, SessionSubject};
pub(crate) use writer::{Place, Statuses};

/// What is to be there, and what is.
#[derive(Debug)]
struct Book<K: Kind> {
    node: String,
    lines: BTreeMap<K::Subject, Line<K::Said>>,
    /// Whose each of this node's objects is, by its name.
    whose: HashMap<ArcStr, K::Subject>,
    /// The subjects where the two may differ.
    due: BTreeSet<K::Subject>,
    /// The one that could not be done last: others come first.
    put_off: Option<K::Subject>,
}

/// What there is about one subject.
#[derive(Debug)]
struct Line<S> {
    /// What is to be said of it, if anything.
    wanted: Option<S>,
    /// The objects of this node, by name. More than one is too many.
    seen: SmallVec<[Seen; 1]>,
}

/// An object: its name, and what it says, if it says something.
type Seen = (ArcStr, Option<Digest>);

/// Stands for what an object says: there are as many as Services, and each may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digest(NonZeroU64);

impl Digest {
    fn of(status: &impl Serialize) -> Self {
        let mut hasher = DefaultHasher::new();
        let text = serde_json::to_vec(status).expect("a status is JSON");
        text.hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }
}

/// What to do about one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step<S> {
    /// Make an object.
    Create,
    /// Write the status of this object.
    Status(String, S),
    /// Delete this object.
    Delete(String),
}

impl<K: Kind> Book<K> {
    fn new(node: String) -> Self {
        Self {
            node,
            lines: BTreeMap::new(),
            whose: HashMap::new(),
            due: BTreeSet::new(),
            put_off: None,
        }
    }

    /// This is to be said of the subject, or nothing.
    fn want(&mut self, subject: K::Subject, said: Option<K::Said>) {
        let line = self.line(&subject);
        let is_news = line.wanted.is_none();
        line.wanted = said;
        if is_news {
            self.known_as(&subject);
        }
        self.tidy(subject);
    }

    /// From now on the subject is in the memory of this one, which others have, too: there are
    /// thousands, and objects that were there before us have brought their own.
    fn known_as(&mut self, subject: &K::Subject) {
        let Some(line) = self.lines.remove(subject) else {
            return;
        };
        for (name, _) in &line.seen {
            if let Some(whose) = self.whose.get_mut(name) {
                whose.clone_from(subject);
            }
        }
        self.lines.insert(subject.clone(), line);
    }

    fn line(&mut self, subject: &K::Subject) -> &mut Line<K::Said> {
        self.lines.entry(subject.clone()).or_insert_with(|| Line {
            wanted: None,
            seen: SmallVec::new(),
        })
    }

    /// Something is new about the subject. If there is nothing about it any more, it is forgotten.
    fn tidy(&mut self, subject: K::Subject) {
        let is_nothing = |it: &Line<_>| it.wanted.is_none() && it.seen.is_empty();
        if self.lines.get(&subject).is_some_and(is_nothing) {
            self.lines.remove(&subject);
        }
        self.due.insert(subject);
    }

    /// Takes in what a watch of this node's objects tells.
    fn see(&mut self, change: Change<K>) {
        match change {
            Change::Apply(object) => self.made(&object),
            Change::Delete(key) => self.deleted(key.name()),
            Change::Listing | Change::Synced => {}
        }
    }

    fn made(&mut self, object: &K) {
        let label = |name: &str| object.labels().get(name).map_or("", String::as_str);
        let subject = self.shared(K::subject(label));
        let name = ArcStr::from(object.name_any());
        if let Some(before) = self.whose.insert(name.clone(), subject.clone())
            && before != subject
        {
            // Somebody changed its labels.
            self.unsee(before, &name);
        }
        let digest = object.status().map(Digest::of);
        let seen = &mut self.line(&subject).seen;
        match seen.binary_search_by(|(it, _)| it.cmp(&name)) {
            Ok(at) => seen[at].1 = digest,
            Err(at) => seen.insert(at, (name, digest)),
        }
        self.due.insert(subject);
    }

    /// The subject, in the memory of the one that is known.
    fn shared(&self, subject: K::Subject) -> K::Subject {
        let known = self.lines.get_key_value(&subject);
        known.map_or(subject, |(known, _)| known.clone())
    }

    fn deleted(&mut self, name: &str) {
        if let Some(subject) = self.whose.remove(name) {
            self.unsee(subject, name);
        }
    }

    fn unsee(&mut self, subject: K::Subject, name: &str) {
        if let Some(line) = self.lines.get_mut(&subject) {
            line.seen.retain(|(it, _)| **it != *name);
        }
        self.tidy(subject);
    }

    /// The next thing to do, about which subject.
    fn next(&mut self) -> Option<(K::Subject, Step<K::Status>)> {
        loop {
            let subject = self.first()?.clone();
            if let Some(step) = self.step(&subject) {
                return Some((subject, step));
            }
            self.due.remove(&subject);
        }
    }

    fn first(&self) -> Option<&K::Subject> {
        let put_off = self.put_off.as_ref();
        let behind = |it| self.due.range((Bound::Excluded(it), Bound::Unbounded));
        let others = put_off.and_then(|it| behind(it).next());
        others.or_else(|| self.due.first())
    }

    /// It cannot be done now: what the API server does not take holds up no other.
    fn put_off(&mut self, subject: K::Subject) {
        self.put_off = Some(subject);
    }

    fn step(&self, subject: &K::Subject) -> Option<Step<K::Status>> {
        let line = self.lines.get(subject)?;
        let mut objects = line.seen.iter();
        let Some(wanted) = &line.wanted else {
            return objects
                .next()
                .map(|(name, _)| Step::Delete(name.to_string()));
        };
        let Some((name, status)) = objects.next() else {
            return Some(Step::Create);
        };
        if let Some((name, _)) = objects.next() {
            return Some(Step::Delete(name.to_string()));
        }
        let wanted = K::say(&self.node, subject, wanted);
        (*status != Some(Digest::of(&wanted))).then(|| Step::Status(name.to_string(), wanted))
    }
}

/// The most bytes of a label's value.
const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use metallb_crds::names;
    use metallb_crds::v1beta1::{ServiceL2Status, ServiceL2StatusStatus};
    use metallb_kit::watch::ObjectKey;
    use metallb_l2::Interfaces;
    use serde_json::json;

    use super::*;

    fn web() -> ObjectKey {
        ObjectKey::new("shop", "web")
    }

    fn object(name: &str, status: Option<ServiceL2StatusStatus>) -> ServiceL2Status {
        let mut object: ServiceL2Status = serde_json::from_value(json!({
            "metadata": {
                "namespace": "metallb-system", "name": name,
                "labels": {
                    "metallb.io/node": "n1",
                    "metallb.io/service-name": "web",
                    "metallb.io/service-namespace": "shop",
                },
            },
        }))
        .unwrap();
        object.status = status;
        object
    }

    fn book() -> Book<ServiceL2Status> {
        Book::new("n1".to_owned())
    }

    fn eth0() -> Interfaces {
        Interfaces::Named(["eth0".to_owned()].into())
    }

    fn next(book: &mut Book<ServiceL2Status>) -> Option<Step<ServiceL2StatusStatus>> {
        book.next().map(|(service, step)| {
            assert_eq!(service, web());
            step
        })
    }

    #[test]
    fn an_object_is_made_written_and_deleted_once() {
        let mut book = book();
        book.want(web(), Some(eth0()));
        assert_eq!(next(&mut book), Some(Step::Create));
        book.made(&object("l2-a", None));
        let Some(Step::Status(name, status)) = next(&mut book) else {
            panic!("no status")
        };
        assert_eq!(
            (name.as_str(), json!(status)),
            (
                "l2-a",
                json!({
                    "node": "n1", "serviceName": "web", "serviceNamespace": "shop",
                    "interfaces": [{ "name": "eth0" }],
                })
            )
        );
        book.see(Change::Apply(object("l2-a", Some(status))));
        assert_eq!(next(&mut book), None);
        // The same again is no reason to write.
        book.want(web(), Some(eth0()));
        assert_eq!(next(&mut book), None);
        book.want(web(), Some(Interfaces::All));
        assert!(matches!(next(&mut book), Some(Step::Status(..))));
        book.want(web(), None);
        assert_eq!(next(&mut book), Some(Step::Delete("l2-a".into())));
        book.deleted("l2-a");
        assert_eq!(next(&mut book), None);
        assert!(book.lines.is_empty() && book.whose.is_empty());
    }

    #[test]
    fn an_object_whose_labels_somebody_changes_is_that_services_no_more() {
        let mut book = book();
        book.want(web(), Some(Interfaces::All));
        book.made(&object("l2-a", None));
        let mut others = object("l2-a", None);
        let label = names::SERVICE_NAME_LABEL.to_owned();
        others.labels_mut().insert(label, "other".to_owned());
        book.see(Change::Apply(others));
        let other = ObjectKey::new("shop", "other");
        assert_eq!(book.next(), Some((other, Step::Delete("l2-a".into()))));
        book.deleted("l2-a");
        assert_eq!(book.next(), Some((web(), Step::Create)));
    }

    #[test]
    fn what_somebody_deletes_is_made_again_and_what_is_too_much_goes() {
        let mut book = book();
        book.want(web(), Some(Interfaces::All));
        book.made(&object("l2-a", None));
        book.made(&object("l2-b", None));
        assert_eq!(next(&mut book), Some(Step::Delete("l2-b".into())));
        book.deleted("l2-b");
        book.deleted("l2-a");
        assert_eq!(next(&mut book), Some(Step::Create));
    }

    #[test]
    fn what_an_earlier_start_left_behind_goes() {
        let mut book = book();
        book.see(Change::Apply(object("l2-a", None)));
        assert_eq!(next(&mut book), Some(Step::Delete("l2-a".into())));
    }

    #[test]
    fn an_object_that_was_there_before_shares_its_services_key() {
        let mut book = book();
        book.made(&object("l2-a", None));
        let service = web();
        book.want(service.clone(), Some(Interfaces::All));
        let memory = |key: &ObjectKey| key.name().as_ptr();
        let known = book.lines.keys().chain(book.whose.values());
        assert!(known.into_iter().all(|it| memory(it) == memory(&service)));
    }

    #[test]
    fn what_cannot_be_done_holds_up_no_other() {
        let mut book = book();
        let (first, second) = (ObjectKey::new("a", "a"), ObjectKey::new("b", "b"));
        book.want(first.clone(), Some(Interfaces::All));
        book.want(second.clone(), Some(Interfaces::All));
        for turn in [&first, &second, &first, &second] {
            assert_eq!(book.next(), Some((turn.clone(), Step::Create)));
            book.put_off(turn.clone());
        }
    }
}
