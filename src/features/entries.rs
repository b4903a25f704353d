//! What all features do with what Graph answers: entries of a page, properties, and errors of a walk.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Change, WalkError};
use crate::graph::GraphError;

/// The entries of a page, each id once: the last one counts. `None` when an entry has no id, or `change` makes nothing of
/// it.
pub(super) fn read(
    entries: Vec<Value>,
    mut change: impl FnMut(String, Value) -> Option<Change>,
) -> Option<Vec<Change>> {
    let mut changes: Vec<Option<Change>> = Vec::with_capacity(entries.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let id = entry["id"].as_str().filter(|id| !id.is_empty())?.to_owned();
        if let Some(earlier) = places.insert(id.clone(), changes.len()) {
            changes[earlier] = None;
        }
        changes.push(Some(change(id, entry)?));
    }
    Some(changes.into_iter().flatten().collect())
}

pub(super) fn is_removed(entry: &Value) -> bool {
    entry.get("@removed").is_some()
}

/// A text as Graph writes it; empty where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A moment as Graph writes it.
pub fn instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.to_utc())
}

/// The properties of an item without what an answer carried about itself.
pub(super) fn without_envelope(mut item: Value) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.retain(|name, _| name == "@odata.type" || !name.contains("@odata."));
    }
    item
}

/// Why the changes of a container cannot be had.
pub(super) fn walk_error(error: GraphError) -> WalkError {
    match error {
        GraphError::Resync { .. } => WalkError::Expired,
        GraphError::NoService { .. } => WalkError::NotApplicable(error.to_string()),
        error => WalkError::Graph(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::features::RemoteItem;

    fn present(id: String, entry: Value) -> Option<Change> {
        Some(if is_removed(&entry) {
            Change::Removed { id }
        } else {
            Change::Present(RemoteItem { id, properties: Some(entry) })
        })
    }

    #[test]
    fn the_last_entry_of_an_id_counts() {
        let entries = vec![
            json!({"id": "a", "n": 1}),
            json!({"id": "b", "@removed": {"reason": "deleted"}}),
            json!({"id": "a", "n": 2}),
            json!({"id": "c", "n": 3}),
            json!({"id": "b", "n": 4}),
            json!({"id": "c", "@removed": {"reason": "changed"}}),
        ];

        let changes = read(entries, present).unwrap();

        let told: Vec<(&str, Option<i64>)> = changes
            .iter()
            .map(|change| match change {
                Change::Present(item) => (item.id.as_str(), item.properties.as_ref().unwrap()["n"].as_i64()),
                Change::Removed { id } | Change::LeftOut { id } => (id.as_str(), None),
            })
            .collect();
        assert_eq!(told, [("a", Some(2)), ("b", Some(4)), ("c", None)]);
    }

    #[test]
    fn an_entry_without_an_id_is_not_passed_over() {
        assert!(read(vec![json!({"n": 1})], present).is_none());
    }

    #[test]
    fn the_envelope_is_not_kept() {
        let kept = without_envelope(json!({
            "@odata.etag": "W/1", "calendar@odata.navigationLink": "c", "@odata.type": "t", "id": "e",
        }));

        assert_eq!(kept, json!({"@odata.type": "t", "id": "e"}));
    }
}
