//! A JSON value against its slot: types, formats, enumerations, unknown and missing members.

use super::exceptions;
use super::format;
use super::model::{Contract, ObjectType, Shape, Slot, TypeId};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// More about one body would only repeat itself.
const FINDINGS_MAX: usize = 8;
/// Deeper than anything Graph nests; a client's body may be of any depth.
const DEPTH_MAX: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Answer,
}

/// One thing that does not fit.
#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: &'static str,
    /// JSON pointer into the body; empty for what is not in a body.
    pub pointer: String,
    pub reason: String,
}

impl Finding {
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, pointer: String::new(), reason: reason.into() }
    }
}

pub fn check(contract: &Contract, slot: &Slot, value: &Value, side: Side) -> Vec<Finding> {
    let mut check = Check { contract, side, found: Vec::new() };
    check.value(slot, value, &Place { step: Step::Root, parent: None, depth: 0 });
    check.found
}

struct Check<'a> {
    contract: &'a Contract,
    side: Side,
    found: Vec<Finding>,
}

/// Where in the body; written out only when something is wrong there.
struct Place<'a> {
    step: Step<'a>,
    parent: Option<&'a Place<'a>>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    fn under(&'a self, step: Step<'a>) -> Place<'a> {
        Place { step, parent: Some(self), depth: self.depth + 1 }
    }

    fn pointer(&self) -> String {
        let before = self.parent.map(Place::pointer).unwrap_or_default();
        match self.step {
            Step::Root => before,
            Step::Name(name) => format!("{before}/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("{before}/{index}"),
        }
    }
}

impl Check<'_> {
    fn note(&mut self, place: &Place, kind: &'static str, reason: impl Into<String>) {
        if self.found.len() < FINDINGS_MAX {
            self.found.push(Finding { kind, pointer: place.pointer(), reason: reason.into() });
        }
    }

    fn value(&mut self, slot: &Slot, value: &Value, place: &Place) {
        if value.is_null() {
            if !slot.nullable && !matches!(slot.shape, Shape::Any) {
                self.note(place, "null", "null where a value is obligatory");
            }
            return;
        }
        if place.depth > DEPTH_MAX {
            return self.note(place, "depth", format!("nested deeper than {DEPTH_MAX}"));
        }
        let fits = match (&slot.shape, value) {
            (Shape::Any, _) | (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => true,
            (Shape::Text(form), Value::String(text)) => {
                if !format::fits(text, *form) {
                    self.note(place, "format", format!("not of the format {form:?}"));
                }
                true
            }
            (Shape::OneOf(values), Value::String(text)) => {
                if !values.contains(text) {
                    self.note(place, "enum", format!("'{text}' is none of {values:?}"));
                }
                true
            }
            (Shape::Integer { min, max }, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            (Shape::List { of, most }, Value::Array(all)) => {
                if all.len() > *most {
                    self.note(place, "length", format!("{} entries, at most {most} are allowed", all.len()));
                }
                for (index, one) in all.iter().enumerate() {
                    self.value(of, one, &place.under(Step::Index(index)));
                }
                true
            }
            (Shape::Map(of), Value::Object(all)) => {
                for (name, one) in all {
                    self.value(of, one, &place.under(Step::Name(name)));
                }
                true
            }
            (Shape::Object(id), Value::Object(all)) => {
                self.object(*id, all, place);
                true
            }
            _ => false,
        };
        if !fits {
            let shape = self.describe(&slot.shape);
            self.note(place, "type", format!("{} where {shape} is expected", kind_of(value)));
        }
    }

    fn object(&mut self, declared: TypeId, all: &Map<String, Value>, place: &Place) {
        let named = all.get("@odata.type").and_then(Value::as_str);
        let id = match named.map(|named| self.contract.derived(declared, named)) {
            Some(Some(id)) => id,
            Some(None) => {
                let (named, declared) = (named.unwrap_or_default(), &self.contract.types[declared].name);
                return self.note(place, "odata_type", format!("{named} is no {declared}"));
            }
            None => declared,
        };
        // A change of a derived type has the members of that type and those of a change.
        let also = named.and_then(|named| self.contract.type_ids.get(named.trim_start_matches('#')).copied());
        let (one, other) = (&self.contract.types[id], also.map(|id| &self.contract.types[id]));
        for (name, value) in all {
            let place = place.under(Step::Name(name));
            match member(one, name).or_else(|| other.and_then(|other| member(other, name))) {
                Some(slot) => self.value(slot, value, &place),
                None if exceptions::is_annotation(name, self.side) => {
                    self.annotated(one, other, name, &place);
                }
                None if exceptions::is_extra_member(&one.name, name) => {}
                None => self.note(&place, "unknown_property", format!("no property of {}", self.describe_type(id))),
            }
        }
        for name in one.required.iter().filter(|name| !all.contains_key(name.as_str())) {
            self.note(place, "missing", format!("'{name}' is missing"));
        }
    }

    /// `name@odata.x` belongs to a property that the type has.
    fn annotated(&mut self, one: &ObjectType, other: Option<&ObjectType>, name: &str, place: &Place) {
        let property = name.split('@').next().unwrap_or_default();
        let known = property.is_empty()
            || member(one, property).is_some()
            || other.is_some_and(|other| member(other, property).is_some());
        if !known {
            self.note(place, "unknown_property", format!("annotates '{property}', which the type does not have"));
        }
    }

    fn describe_type(&self, id: TypeId) -> Cow<'_, str> {
        match self.contract.types[id].name.as_str() {
            "" => "this object".into(),
            name => name.to_owned().into(),
        }
    }

    fn describe(&self, shape: &Shape) -> String {
        match shape {
            Shape::Object(id) => self.describe_type(*id).into_owned(),
            Shape::Integer { min, max } => format!("an integer from {min} to {max}"),
            Shape::Text(_) | Shape::OneOf(_) => "a string".into(),
            Shape::List { .. } => "a list".into(),
            Shape::Map(_) => "an object".into(),
            Shape::Number => "a number".into(),
            Shape::Boolean => "a boolean".into(),
            Shape::Any => "anything".into(),
        }
    }
}

/// Parameters of actions have no type of their own, and Graph reads their names in any case.
fn member<'a>(of: &'a ObjectType, name: &str) -> Option<&'a Slot> {
    let exact = of.members.get(name);
    let found = if exact.is_none() && of.name.is_empty() {
        of.members.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, member)| member)
    } else {
        exact
    };
    found.map(|member| &member.slot)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `kind pointer` of what is wrong with an answer.
    fn wrong(contract: &Contract, of: &str, answer: &Value) -> Vec<String> {
        let slot = Slot { shape: Shape::Object(contract.type_ids[of]), nullable: false };
        let found = check(contract, &slot, answer, Side::Answer);
        found.into_iter().map(|finding| format!("{} {}", finding.kind, finding.pointer)).collect()
    }

    #[test]
    fn an_answer_that_graph_could_not_give_is_found_where_it_is_wrong() {
        let contract = Contract::compiled();
        let list = "messageCollectionResponse";
        for (message, expected) in [
            (json!({"id": "A", "@odata.etag": "W/1", "subject": null, "isRead": true}), ""),
            (json!({"attachments@odata.context": "c", "from": null}), ""),
            (
                json!({"@odata.type": "#microsoft.graph.eventMessageRequest", "meetingMessageType": "meetingRequest"}),
                "",
            ),
            (json!({"subjekt": "x"}), "unknown_property /value/0/subjekt"),
            (json!({"meetingMessageType": "meetingRequest"}), "unknown_property /value/0/meetingMessageType"),
            (json!({"bodies@odata.count": 1}), "unknown_property /value/0/bodies@odata.count"),
            (json!({"isRead": "true"}), "type /value/0/isRead"),
            (json!({"toRecipients": null}), "null /value/0/toRecipients"),
            (
                json!({"toRecipients": [{"emailAddress": {"address": 1}}]}),
                "type /value/0/toRecipients/0/emailAddress/address",
            ),
            (json!({"receivedDateTime": "2026-01-02 03:04"}), "format /value/0/receivedDateTime"),
            (json!({"importance": "High"}), "enum /value/0/importance"),
            (json!({"@odata.type": "#microsoft.graph.contact"}), "odata_type /value/0"),
            (json!({"@removed": {"reason": "deleted"}}), "unknown_property /value/0/@removed"),
        ] {
            let found = wrong(&contract, list, &json!({"value": [message]}));
            let expected: Vec<&str> = Some(expected).filter(|one| !one.is_empty()).into_iter().collect();
            assert_eq!(found, expected, "{message}");
        }
        assert_eq!(wrong(&contract, list, &json!({"values": []})), ["unknown_property /values", "missing "]);
        let removed = json!({"@odata.type": "#microsoft.graph.message", "id": "A", "@removed": {"reason": "deleted"}});
        assert!(wrong(&contract, "messageDeltaResponse", &json!({"value": [removed]})).is_empty());
        let size = json!({"value": [{"@odata.type": "#microsoft.graph.fileAttachment", "size": 3_000_000_000_u64}]});
        assert_eq!(wrong(&contract, "attachmentCollectionResponse", &size), ["type /value/0/size"]);
    }
}
