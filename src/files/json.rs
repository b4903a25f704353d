//! Reading properties as Graph writes them.

use serde_json::Value;

pub use crate::features::{instant, text};

/// Texts in a list.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|text| !text.trim().is_empty()).collect()
}
