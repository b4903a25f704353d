//! Reading properties as Graph writes them.

use chrono::{DateTime, Utc};
use serde_json::Value;

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Texts in a list.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|text| !text.trim().is_empty()).collect()
}

pub fn instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.with_timezone(&Utc))
}
