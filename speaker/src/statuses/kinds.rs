//! What the kinds have in common, and what each says.

mod services;
mod session;

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use session::SessionSubject;

/// Keys and values.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// A kind of object in which a node says something of each of its subjects.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Default
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What an object speaks of.
    type Subject: Clone + Debug + Ord + Send + Sync + 'static;
    /// What is to be said. Kept for each subject.
    type Said: Clone + Debug + Send + Sync + 'static;
    /// What an object says.
    type Status: Clone + Debug + PartialEq + Serialize + Send + Sync + 'static;
    /// One node announces at a time, and so has to clean up after one that died.
    const ALONE: bool;

    /// What the names of this node's objects begin with.
    fn prefix(node: &str) -> String;

    /// The labels by which an object of this subject is known, beside that of the node.
    fn labels(subject: &Self::Subject) -> Labels;

    /// The subject of an object with these labels; those that it lacks are empty.
    fn subject<'a>(label: impl Fn(&str) -> &'a str) -> Self::Subject;

    /// An object that says nothing yet.
    fn blank(metadata: ObjectMeta) -> Self;

    /// What it says, if it says something.
    fn status(&self) -> Option<&Self::Status>;

    /// How this node says it of the subject.
    fn say(node: &str, subject: &Self::Subject, said: &Self::Said) -> Self::Status;
}
