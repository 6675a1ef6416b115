//! The condition `metallb.io/AddressAssigned` of a Service: why it has its addresses, or has none.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value, json};

/// What the condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressAssigned {
    /// Whether all is as the Service wants it.
    pub(crate) status: bool,
    /// One word.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// What a Service's condition says, short enough to be kept for every Service: enough to see
/// whether it would say something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    digest: u64,
}

impl AddressAssigned {
    /// That it has what it wants.
    pub(crate) fn yes(message: String) -> Self {
        Self {
            status: true,
            reason: "Assigned",
            message,
        }
    }

    /// That it has no address, and why.
    pub(crate) fn no(reason: &'static str, message: String) -> Self {
        Self {
            status: false,
            reason,
            message,
        }
    }

    /// It, in short.
    pub(crate) fn told(&self) -> Told {
        Told::of(self.status_text(), self.reason, &self.message)
    }

    /// Puts it among the conditions of a Service's status. `now` becomes the time of the
    /// transition, if there is one.
    pub(crate) fn put_into(&self, status: &mut Map<String, Value>, now: &str) {
        let mut time = now.to_owned();
        if let Some(before) = find(status)
            && before["status"] == self.status_text()
            && let Some(since) = before["lastTransitionTime"].as_str()
        {
            since.clone_into(&mut time);
        }
        remove_from(status);
        let condition = json!({
            "type": TYPE,
            "status": self.status_text(),
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": time,
        });
        if let Value::Array(conditions) = status
            .entry("conditions")
            .and_modify(|conditions| {
                if !conditions.is_array() {
                    *conditions = json!([]);
                }
            })
            .or_insert_with(|| json!([]))
        {
            conditions.push(condition);
        }
    }

    fn status_text(&self) -> &'static str {
        if self.status { "True" } else { "False" }
    }
}

impl Told {
    /// What the condition in a Service's status says; nothing when it has none.
    pub(crate) fn read(status: &Map<String, Value>) -> Option<Self> {
        let condition = find(status)?;
        let text = |field: &str| condition[field].as_str().unwrap_or("");
        Some(Self::of(text("status"), text("reason"), text("message")))
    }

    fn of(status: &str, reason: &str, message: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (status, reason, message).hash(&mut hasher);
        Self {
            digest: hasher.finish(),
        }
    }
}

/// Takes the condition out of a Service's status.
pub(crate) fn remove_from(status: &mut Map<String, Value>) {
    if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
        conditions.retain(|condition| condition["type"] != TYPE);
        if conditions.is_empty() {
            status.remove("conditions");
        }
    }
}

fn find(status: &Map<String, Value>) -> Option<&Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions.iter().find(|it| it["type"] == TYPE)
}

const TYPE: &str = "metallb.io/AddressAssigned";

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn it_is_dated_when_the_status_changes_and_leaves_others_alone() {
        let foreign = json!({ "type": "Foreign", "status": "True", "future": 1 });
        let mut status = map(json!({ "conditions": [foreign] }));
        let none = AddressAssigned::no("AllocationFailed", "no available IPs".to_owned());
        let other = AddressAssigned::no("AllocationFailed", "unknown pool".to_owned());
        let yes = AddressAssigned::yes("one".to_owned());
        let mut times = Vec::new();
        for (condition, now) in [(&none, "t1"), (&other, "t2"), (&yes, "t3"), (&yes, "t4")] {
            condition.put_into(&mut status, now);
            assert_eq!(Told::read(&status), Some(condition.told()));
            assert_eq!(status["conditions"][0], foreign);
            times.push(status["conditions"][1]["lastTransitionTime"].clone());
        }
        assert_eq!(times, ["t1", "t1", "t3", "t3"]);
        assert_ne!(none.told(), other.told());
        remove_from(&mut status);
        assert_eq!(status, map(json!({ "conditions": [foreign] })));
        assert_eq!(Told::read(&status), None);
    }

    #[test]
    fn a_status_without_conditions_stays_without() {
        for before in [json!({}), json!({ "conditions": "nonsense" })] {
            let mut status = map(before);
            AddressAssigned::yes(String::new()).put_into(&mut status, "now");
            assert_eq!(status["conditions"][0]["status"], "True");
            remove_from(&mut status);
            assert_eq!(status, Map::new());
        }
    }
}
