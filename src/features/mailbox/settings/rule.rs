//! An inbox rule as JSON: what makes it the same as another, what it could do to people, and what of it can be written.
//! Pure.

use serde_json::{Map, Value, json};

use super::rule_folders;
use crate::features::entries::text;

/// Actions that name a folder.
const TO_FOLDER: [&str; 2] = ["moveToFolder", "copyToFolder"];
/// Actions that send mail to somebody.
const TO_PEOPLE: [&str; 3] = ["forwardTo", "forwardAsAttachmentTo", "redirectTo"];
const DELETING: [&str; 2] = ["delete", "permanentDelete"];
const BIN: &str = "deleteditems";
const TURNED_OFF: &str = "it comes back turned off, because it sends mail on or deletes it: its owner can turn it on";

/// A rule as it is written to a target.
#[derive(Debug)]
pub(super) struct Translated {
    pub rule: Value,
    pub remarks: Vec<String>,
}

/// Name, conditions, exceptions and actions in one form only. Folders are not in it: they have other ids elsewhere.
pub(super) fn essence(rule: &Value) -> String {
    let mut actions = tidy(&rule["actions"]);
    actions.retain(|name, _| !TO_FOLDER.contains(&name.as_str()));
    json!([text(&rule["displayName"]).to_lowercase(), tidy(&rule["conditions"]), tidy(&rule["exceptions"]), actions])
        .to_string()
}

/// Only what says something; people by their addresses, and lists in order.
fn tidy(parts: &Value) -> Map<String, Value> {
    let says_something = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(all) => !all.is_empty(),
        _ => true,
    };
    let all = parts.as_object().into_iter().flatten();
    let mut told: Vec<(String, Value)> = all
        .filter(|(name, value)| !name.starts_with('@') && says_something(value))
        .map(|(name, value)| (name.clone(), one_form(value)))
        .collect();
    told.sort_by(|(a, _), (b, _)| a.cmp(b));
    told.into_iter().collect()
}

fn one_form(value: &Value) -> Value {
    let Value::Array(all) = value else { return value.clone() };
    let mut told: Vec<String> = all
        .iter()
        .map(|one| match one["emailAddress"]["address"].as_str() {
            Some(address) => address.to_lowercase(),
            None => one.as_str().map_or_else(|| one.to_string(), str::to_owned),
        })
        .collect();
    told.sort();
    json!(told)
}

/// The ids of the folders that it moves or copies to.
pub(super) fn folders(rule: &Value) -> Vec<&str> {
    TO_FOLDER.iter().filter_map(|name| rule["actions"][*name].as_str()).filter(|id| !id.is_empty()).collect()
}

/// Whether it sends mail on or makes it disappear.
pub(super) fn is_dangerous(rule: &Value) -> bool {
    let actions = &rule["actions"];
    let sends = |name: &str| actions[name].as_array().is_some_and(|people| !people.is_empty());
    TO_PEOPLE.iter().any(|name| sends(name))
        || DELETING.iter().any(|name| actions[*name] == true)
        || folders(rule).iter().any(|folder| rule_folders::is_well_known(rule, folder, BIN))
}

/// What is written to a target, where `folders` has the ids of those that are there. An error: nothing of what it does
/// can be had there.
pub(super) fn translated(stored: &Value, folders: &Map<String, Value>) -> Result<Translated, String> {
    let mut remarks = Vec::new();
    let mut actions = written(&stored["actions"]);
    for name in TO_FOLDER {
        let Some(id) = actions.get(name).and_then(Value::as_str) else { continue };
        match folders.get(id) {
            Some(found) => drop(actions.insert(name.to_owned(), found.clone())),
            None => {
                let folder = rule_folders::path_text(stored, id).unwrap_or_else(|| "its folder".to_owned());
                remarks.push(format!("{name} is left out: {folder} is not there"));
                actions.remove(name);
            }
        }
    }
    if !actions.iter().any(|(name, value)| name != "stopProcessingRules" && *value != false) {
        let why = if remarks.is_empty() { "it has no action that Graph knows".to_owned() } else { remarks.join("; ") };
        return Err(format!("the rule is not created: {why}"));
    }
    let is_dangerous = is_dangerous(stored);
    if is_dangerous && stored["isEnabled"] == true {
        remarks.push(TURNED_OFF.to_owned());
    }
    let mut rule = json!({
        "displayName": stored["displayName"],
        // Exchange counts from one.
        "sequence": stored["sequence"].as_u64().unwrap_or(1).max(1),
        "isEnabled": stored["isEnabled"] == true && !is_dangerous,
        "actions": actions,
    });
    for name in ["conditions", "exceptions"] {
        let parts = written(&stored[name]);
        if !parts.is_empty() {
            rule[name] = Value::Object(parts);
        }
    }
    Ok(Translated { rule, remarks })
}

fn written(parts: &Value) -> Map<String, Value> {
    let all = parts.as_object().into_iter().flatten();
    all.filter(|(name, value)| !name.starts_with('@') && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What makes `current` be `rule`.
pub(super) fn changes(rule: &Value, current: &Value) -> Map<String, Value> {
    let mut changes = Map::new();
    for name in ["displayName", "sequence", "isEnabled"] {
        if rule[name] != current[name] {
            changes.insert(name.to_owned(), rule[name].clone());
        }
    }
    for name in ["conditions", "exceptions", "actions"] {
        if tidy(&rule[name]) != tidy(&current[name]) {
            changes.insert(name.to_owned(), Value::Object(written(&rule[name])));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(actions: Value) -> Value {
        json!({
            "id": "r", "displayName": "Bills", "sequence": 3, "isEnabled": true, "hasError": false,
            "conditions": {"subjectContains": ["b", "a"], "hasAttachments": null}, "actions": actions,
        })
    }

    fn to(address: &str) -> Value {
        json!([{"emailAddress": {"name": "x", "address": address}}])
    }

    #[test]
    fn rules_that_say_the_same_are_the_same_wherever_their_folders_are() {
        let mut other = rule(json!({"moveToFolder": "there", "markAsRead": true, "delete": false}));
        other["conditions"] = json!({"subjectContains": ["a", "b"]});
        other["sequence"] = json!(9);

        assert_eq!(essence(&rule(json!({"moveToFolder": "here", "markAsRead": true}))), essence(&other));
        assert_ne!(essence(&rule(json!({"markAsRead": true}))), essence(&rule(json!({"forwardTo": to("a@b.c")}))));
        assert_eq!(
            essence(&rule(json!({"forwardTo": to("A@b.c")}))),
            essence(&rule(json!({"forwardTo": to("a@B.c")})))
        );
    }

    #[test]
    fn what_sends_or_deletes_comes_back_turned_off() {
        for actions in [
            json!({"forwardTo": to("thief@example.com")}),
            json!({"redirectTo": to("thief@example.com")}),
            json!({"delete": true}),
            json!({"permanentDelete": true}),
        ] {
            let Translated { rule, remarks } = translated(&rule(actions), &Map::new()).unwrap();
            assert_eq!((&rule["isEnabled"], remarks.as_slice()), (&json!(false), &[TURNED_OFF.to_owned()][..]));
        }
        let harmless = translated(&rule(json!({"markAsRead": true, "forwardTo": []})), &Map::new()).unwrap();
        assert_eq!((&harmless.rule["isEnabled"], &harmless.rule["sequence"]), (&json!(true), &json!(3)));
        assert_eq!(harmless.remarks, [] as [&str; 0]);
    }

    #[test]
    fn a_folder_that_is_not_there_takes_its_action_along_and_no_other() {
        let mut stored = rule(json!({"moveToFolder": "f", "copyToFolder": "g", "stopProcessingRules": true}));
        let known = Map::from_iter([("g".to_owned(), json!("there"))]);

        let some = translated(&stored, &known).unwrap();
        let none = translated(&stored, &Map::new()).unwrap_err();
        stored["kodo"] = json!({"folders": {"f": [{"name": "A", "well_known": null, "hidden": false}]}});
        let named = translated(&stored, &known).unwrap();

        assert_eq!(some.rule["actions"], json!({"copyToFolder": "there", "stopProcessingRules": true}));
        assert!(none.contains("moveToFolder") && none.contains("copyToFolder"), "{none}");
        assert!(named.remarks[0].contains("\"A\""), "{:?}", named.remarks);
    }

    #[test]
    fn only_what_differs_is_written() {
        let stored = translated(&rule(json!({"markAsRead": true})), &Map::new()).unwrap().rule;
        let mut now = rule(json!({"markAsRead": true, "delete": null}));
        assert_eq!(changes(&stored, &now), Map::new());

        now["isEnabled"] = json!(false);
        now["exceptions"] = json!({"sentToMe": true});
        assert_eq!(Value::Object(changes(&stored, &now)), json!({"isEnabled": true, "exceptions": {}}));
    }
}
