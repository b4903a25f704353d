//! The mark on a restored message: which item it came from and how many attachments it must have.
//!
//! It makes a repeated restore find its own work, and tells a message that was cut off half-way.

use serde_json::Value;

pub(super) use crate::features::marking::expand;

use crate::features::marking;
use crate::ids::ItemKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub key: ItemKey,
    pub n_attachments: usize,
}

impl Marker {
    pub(super) fn property(&self) -> Value {
        marking::property(&self.to_string())
    }

    /// The marker of a message that was listed with [`expand`]. A mark of a later format is none of ours.
    pub(super) fn of(message: &Value) -> Option<Self> {
        marking::mark_of(message)?.parse().ok()
    }
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
    use serde_json::json;

    use super::*;
    use crate::features::marking::PROPERTY;

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
