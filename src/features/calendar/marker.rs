//! The mark on a restored event: which item it came from, and whether all that belongs to it is there.

use serde_json::Value;

use crate::features::marking;
use crate::ids::ItemKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub key: ItemKey,
    pub progress: Progress,
}

/// How far a restore came with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Attachments, exceptions or cancelled dates may be missing: it is deleted and created anew.
    Begun,
    Whole,
}

impl Progress {
    fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Whole => "whole",
        }
    }
}

impl Marker {
    pub(super) fn property(&self) -> Value {
        marking::property(&self.to_string())
    }

    /// The marker of an event that was read with [`marking::expand`]. A mark of a later format is none of ours.
    pub(super) fn of(event: &Value) -> Option<Self> {
        marking::mark_of(event)?.parse().ok()
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1:{}:{}", self.key, self.progress.name())
    }
}

impl std::str::FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (Some("1"), Some(key), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(());
        };
        let progress = [Progress::Begun, Progress::Whole].into_iter().find(|progress| progress.name() == name);
        Ok(Self { key: ItemKey::from_hex(key).ok_or(())?, progress: progress.ok_or(())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_from_its_text_and_nothing_else_is_one() {
        for progress in [Progress::Begun, Progress::Whole] {
            let marker = Marker { key: ItemKey::of("AAMk="), progress };
            assert_eq!(marker.to_string().parse(), Ok(marker));
        }
        for text in ["", "1", "1:zz:whole", "2:00112233445566778899aabbccddeeff:whole", "1:0011:begun"] {
            assert_eq!(text.parse::<Marker>(), Err(()), "{text}");
        }
    }
}
