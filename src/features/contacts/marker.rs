//! The mark on a restored contact: which item it came from, and whether its photo is still to come.

use serde_json::Value;

use crate::features::marking;
use crate::ids::ItemKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub key: ItemKey,
    /// It was created and does not have its photo yet: who finds it so, finds what was interrupted.
    pub is_partial: bool,
}

impl Marker {
    pub(super) fn property(&self) -> Value {
        marking::property(&self.to_string())
    }

    /// The marker of a contact that was read with it. A mark of a later format is none of ours.
    pub(super) fn of(contact: &Value) -> Option<Self> {
        marking::mark_of(contact)?.parse().ok()
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1:{}:{}", self.key, u8::from(self.is_partial))
    }
}

impl std::str::FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (Some("1"), Some(key), Some(rest), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(());
        };
        let is_partial = match rest {
            "0" => false,
            "1" => true,
            _ => return Err(()),
        };
        Ok(Self { key: ItemKey::from_hex(key).ok_or(())?, is_partial })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marker_comes_back_from_its_text_and_what_is_none_is_none() {
        for is_partial in [false, true] {
            let marker = Marker { key: ItemKey::of("AAMk="), is_partial };

            let contact = json!({ "singleValueExtendedProperties": [marker.property()] });
            assert_eq!(Marker::of(&contact), Some(marker));
        }
        for text in ["", "1", "1:zz:0", "2:00112233445566778899aabbccddeeff:0", "1:00112233445566778899aabbccddeeff:7"]
        {
            assert_eq!(text.parse::<Marker>(), Err(()), "{text}");
        }
    }
}
