//! The mark on a restored message: which item it came from and how many attachments it must have.
//!
//! It makes a repeated restore find its own work, and tells a message that was cut off half-way.

use serde_json::{Value, json};

use crate::ids::ItemKey;

/// A named property of our own. Written into mailboxes: never to be changed.
pub(super) const PROPERTY: &str = "String {9f6ad7a5-2c1c-4b6c-9d6e-2f4b8f0c7d31} Name KodoOrigin";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub key: ItemKey,
    pub n_attachments: usize,
}

impl Marker {
    pub(super) fn property(&self) -> Value {
        json!({ "id": PROPERTY, "value": self.to_string() })
    }

    /// The marker of a message that was listed with [`expand`]. A mark of a later format is none of ours.
    pub(super) fn of(message: &Value) -> Option<Self> {
        let properties = message["singleValueExtendedProperties"].as_array()?;
        let ours = |property: &&Value| property["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(PROPERTY));
        properties.iter().find(ours)?["value"].as_str()?.parse().ok()
    }
}

/// What to expand so that [`Marker::of`] finds the mark.
pub(super) fn expand() -> String {
    format!("singleValueExtendedProperties($filter=id eq '{PROPERTY}')")
}

/// Selects messages with exactly this mark.
pub(super) fn filter(marker: &Marker) -> String {
    format!("singleValueExtendedProperties/any(ep: ep/id eq '{PROPERTY}' and ep/value eq '{marker}')")
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1:{}:{}", self.key, self.n_attachments)
    }
}

impl std::str::FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (Some("1"), Some(key), Some(count), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(());
        };
        Ok(Self { key: ItemKey::from_hex(key).ok_or(())?, n_attachments: count.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_from_its_text() {
        let marker = Marker { key: ItemKey::of("AAMk="), n_attachments: 12 };

        assert_eq!(marker.to_string().parse(), Ok(marker));
        let message =
            json!({ "singleValueExtendedProperties": [{"id": PROPERTY.to_uppercase(), "value": marker.to_string()}] });
        assert_eq!(Marker::of(&message), Some(marker));
    }

    #[test]
    fn what_is_not_a_marker_is_none() {
        for text in [
            "",
            "1",
            "1:zz:3",
            "2:00112233445566778899aabbccddeeff:3",
            "1:00112233445566778899aabbccddeeff:x",
            "1:00112233445566778899aabbccddeeff:1:2",
            "1:0011:1",
        ] {
            assert_eq!(text.parse::<Marker>(), Err(()), "{text}");
        }
        assert_eq!(Marker::of(&json!({})), None);
    }
}
