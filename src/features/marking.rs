//! The mark on what was restored: a hidden property that says which item it came from.
//!
//! It makes a repeated restore find its own work, and tells what was cut off half-way. What the text of a mark says
//! besides the item is the feature's own.

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS};

/// A named property of our own. Written into mailboxes: never to be changed.
pub(super) const PROPERTY: &str = "String {9f6ad7a5-2c1c-4b6c-9d6e-2f4b8f0c7d31} Name KodoOrigin";

/// What was created can be looked for a moment before it can be found.
const LOOKS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(4)];
/// A filter that a server ignores makes it list everything.
const LOOK_PAGES_MAX: usize = 2_000;
const PAGE_SIZE: &str = "odata.maxpagesize=500";

/// What sets the mark.
pub(super) fn property(mark: &str) -> Value {
    json!({ "id": PROPERTY, "value": mark })
}

/// The mark of an item that was read with [`expand`].
pub(super) fn mark_of(item: &Value) -> Option<&str> {
    let properties = item["singleValueExtendedProperties"].as_array()?;
    let ours = |property: &&Value| property["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(PROPERTY));
    properties.iter().find(ours)?["value"].as_str()
}

/// What to expand so that [`mark_of`] finds the mark.
pub(super) fn expand() -> String {
    format!("singleValueExtendedProperties($filter=id eq '{PROPERTY}')")
}

/// The item with this mark in a collection, in case its creation was carried out.
pub(super) async fn find_marked(
    target: Source<'_>,
    endpoint: Endpoint<'_>,
    mark: &str,
    properties: &str,
) -> Result<Option<Value>, GraphError> {
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let call = target.graph.get(endpoint).query("$select", properties);
        let mut call = call.query("$filter", &filter(mark)).query("$expand", &expand());
        for _ in 0..LOOK_PAGES_MAX {
            let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await?;
            // A filter that is not understood may be ignored in silence: the mark itself decides.
            if let Some(found) = page.value.into_iter().find(|item| mark_of(item) == Some(mark)) {
                return Ok(Some(found));
            }
            match page.next {
                Some(next) => call = target.graph.follow(endpoint, &next)?,
                None => break,
            }
        }
    }
    Ok(None)
}

/// Selects items with exactly this mark.
fn filter(mark: &str) -> String {
    format!("singleValueExtendedProperties/any(ep: ep/id eq '{PROPERTY}' and ep/value eq '{mark}')")
}
