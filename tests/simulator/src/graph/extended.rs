//! Single-value extended properties as a client sets them, and the few that steer the message.

use super::Call;
use super::input::Purpose;
use crate::clock::parse_iso;
use crate::reply::Refusal;
use crate::store::message::{Class, Message};
use serde_json::Value;

// The draft state and the dates follow from these only when the message is made.
pub fn set_properties(call: &Call, m: &mut Message, value: &Value, purpose: Purpose) -> Result<(), Refusal> {
    for (id, value) in properties(value)? {
        let create = purpose == Purpose::Create;
        match well_known_tag(id).as_deref() {
            Some("e07") if create => {
                let bits: i64 = value.parse().map_err(|_| wrong())?;
                m.is_draft = bits & 8 != 0;
                m.is_read |= bits & 1 != 0;
            }
            Some("39") if create => m.sent = parse_iso(value).ok_or_else(wrong)?,
            Some("e06") if create => m.received = parse_iso(value).ok_or_else(wrong)?,
            Some("1a") if create => {
                m.class = match value {
                    "IPM.Note" => Class::Note,
                    "IPM.Note.SMIME.MultipartSigned" => Class::SmimeSigned,
                    other => Class::Other(other.to_owned()),
                };
            }
            Some(_) => call.violation("property_without_effect", format!("'{id}' has an effect only on create")),
            None => m.set_property(id, value),
        }
    }
    Ok(())
}

fn wrong() -> Refusal {
    Refusal::new(400, "ErrorInvalidProperty", "Extended properties need an id and a value.")
}

/// The ids and values of a list of extended properties.
pub fn properties(list: &Value) -> Result<Vec<(&str, &str)>, Refusal> {
    let all = list.as_array().ok_or_else(wrong)?;
    all.iter()
        .map(|one| {
            let (id, value) = one["id"].as_str().zip(one["value"].as_str()).ok_or_else(wrong)?;
            let text = format!("'{id}' is not the id of an extended property.");
            let known = is_property_id(id).then_some((id, value));
            known.ok_or_else(|| Refusal::new(400, "ErrorInvalidExtendedProperty", &text))
        })
        .collect()
}

fn well_known_tag(id: &str) -> Option<String> {
    let (kind, tag) = id.split_once(' ')?;
    let tag = tag.trim().to_ascii_lowercase();
    let tag = tag.strip_prefix("0x")?.trim_start_matches('0').to_owned();
    let known = matches!(
        (kind.to_ascii_lowercase().as_str(), tag.as_str()),
        ("integer", "e07") | ("systemtime", "39" | "e06") | ("string", "1a")
    );
    known.then_some(tag)
}

/// `Type 0xHHHH`, `Type {guid} Name x` or `Type {guid} Id 0xHHHH`.
pub fn is_property_id(id: &str) -> bool {
    const TYPES: [&str; 8] = ["String", "Integer", "SystemTime", "Boolean", "Binary", "Double", "Long", "CLSID"];
    let Some((kind, rest)) = id.split_once(' ') else {
        return false;
    };
    if !TYPES.iter().any(|have| have.eq_ignore_ascii_case(kind)) {
        return false;
    }
    let hex = |text: &str| text.strip_prefix("0x").is_some_and(|h| !h.is_empty() && u64::from_str_radix(h, 16).is_ok());
    match rest.split_once('}') {
        Some((guid, tail)) => {
            let guid = guid.trim_start_matches('{');
            let tail = tail.trim_start();
            uuid::Uuid::parse_str(guid).is_ok()
                && (tail.strip_prefix("Name ").is_some_and(|n| !n.is_empty())
                    || tail.strip_prefix("Id ").is_some_and(hex))
        }
        None => hex(rest),
    }
}
