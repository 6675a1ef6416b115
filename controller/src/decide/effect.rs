//! What is to be done about a decision.

use std::sync::Arc;

use metallb_config::ObjectKey;
use metallb_ipam::{Assignment, Ips};
use metallb_kit::events::{About, EventType};

use crate::condition::AddressAssigned;
use crate::service::{Held, Material, Service};

/// Something to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Write a Service's status.
    Write(Write),
    /// Publish an Event.
    Event(Box<About>, Note),
    /// Write a line of log.
    Log(Line),
    /// Forget what is still to be written: we lead no more, or anew.
    Abandon,
}

/// A status to write, if the Service is still as it was when this was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    pub(crate) addresses: Addresses,
    /// What its condition is to say; nothing takes the condition away.
    pub(crate) condition: Option<AddressAssigned>,
    /// To be published once it is written.
    pub(crate) notes: Vec<Note>,
    /// What else must be written with it, if that is at hand.
    pub(crate) material: Option<Arc<Material>>,
}

/// What becomes of `status.loadBalancer` and of the annotation beside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Addresses {
    /// They become these addresses and their pool.
    Set(Assignment),
    /// Both go.
    Clear,
    /// Both stay.
    Leave,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    pub(crate) event_type: EventType,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A line of log about a Service, with upstream's keys and words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) service: ObjectKey,
    pub(crate) event: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) ips: Option<Ips>,
    pub(crate) pool: Option<Arc<str>>,
    /// Makes it an error.
    pub(crate) error: Option<String>,
    pub(crate) msg: &'static str,
}

impl Addresses {
    /// The addresses that the Service gets.
    #[cfg(test)]
    pub(crate) fn given(&self) -> Option<Ips> {
        match self {
            Self::Set(assignment) => Some(assignment.ips),
            Self::Clear | Self::Leave => None,
        }
    }
}

impl Write {
    /// To `service` as it is known.
    pub(crate) fn to(service: &Service, addresses: Addresses) -> Self {
        // What it holds and is to keep stays as it is, to the last field.
        let stays = addresses == Addresses::Leave && service.held != Held::Nothing;
        let material = service.material.clone().filter(|_| !stays);
        Self {
            key: service.key.clone(),
            uid: service.uid.clone(),
            resource_version: service.resource_version.clone(),
            addresses,
            condition: None,
            notes: Vec::new(),
            material,
        }
    }

    /// What Events about the Service refer to.
    pub(crate) fn reference(&self) -> About {
        reference(&self.key, &self.uid, &self.resource_version)
    }
}

impl Note {
    pub(crate) fn normal(reason: &'static str, message: String) -> Self {
        Self {
            event_type: EventType::Normal,
            reason,
            message,
        }
    }

    pub(crate) fn warning(reason: &'static str, message: String) -> Self {
        Self {
            event_type: EventType::Warning,
            reason,
            message,
        }
    }

    /// An Event about a Service.
    pub(crate) fn about(self, service: &Service) -> Effect {
        let about = reference(&service.key, &service.uid, &service.resource_version);
        Effect::Event(Box::new(about), self)
    }
}

impl Line {
    pub(crate) fn new(service: &ObjectKey, event: &'static str, msg: &'static str) -> Self {
        Self {
            service: service.clone(),
            event,
            reason: None,
            ips: None,
            pool: None,
            error: None,
            msg,
        }
    }
}

fn reference(service: &ObjectKey, uid: &str, resource_version: &str) -> About {
    About {
        resource_version: Some(resource_version.into()),
        ..About::service(service, Some(uid.into()))
    }
}
