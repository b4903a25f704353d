//! What the features of a mailbox have in common: how calendars and contacts are walked, how errors of items are judged.

mod walking;

use bytes::Bytes;
use serde_json::Value;

use super::{CaptureError, KnownVersion, Lack, Need, RemoteItem, WalkError, change_tag};
use crate::graph::GraphError;

pub(super) use super::entries::{instant, text, walk_error, without_envelope};
pub(super) use walking::{Collection, page};

/// Preferences are not part of a link: this and the kind of ids are asked for with every page. Entries are a line long.
pub(super) const PAGE_SIZE: &str = "odata.maxpagesize=500";
/// For pages whose entries are whole items.
pub(super) const PAGE_SIZE_WHOLE: &str = "odata.maxpagesize=50";

/// The property under which a walk tells the state of an item; see [`need`].
pub(super) const STATE: &str = "state";

/// All of an item is read when its state is another than that of the known version: Exchange changes the key of an item
/// with whatever belongs to it.
pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    let state = item.properties.as_ref().and_then(|told| told[STATE].as_str());
    match (state, known) {
        (Some(state), Some(known)) if known.change_tag == change_tag(state) => Need::Nothing,
        _ => Need::Everything,
    }
}

/// Why the containers of a user cannot be had: whoever has none has no mailbox.
pub(super) fn containers_error(error: GraphError) -> WalkError {
    match error {
        GraphError::NotFound { .. } => WalkError::NotApplicable(error.to_string()),
        error => walk_error(error),
    }
}

/// Whether an error stops everything, or concerns what was asked for alone.
pub(super) enum Trouble {
    Gone,
    This { reason: &'static str, message: String },
    Everything(GraphError),
}

impl Trouble {
    pub(super) fn of(error: GraphError) -> Self {
        let reason = match &error {
            GraphError::NotFound { .. } => return Self::Gone,
            GraphError::BadItem { answer } if answer.says("ErrorCannotOpenFileAttachment") => "attachment_unreadable",
            GraphError::BadItem { answer } if answer.says("ErrorInvalidRecipients") => "recipients_invalid",
            GraphError::BadItem { answer } if answer.says("ErrorMimeContentConversionFailed") => "mime_unavailable",
            GraphError::BadItem { .. } => "corrupt",
            GraphError::Transient { .. } => "transient",
            GraphError::Refused { .. } | GraphError::Conflict { .. } | GraphError::Resync { .. } => "refused",
            GraphError::TooLarge { .. } => "too_large",
            GraphError::Locked { .. } => "locked",
            GraphError::Protocol { .. } => "unreadable",
            GraphError::Throttled { .. }
            | GraphError::Ambiguous { .. }
            | GraphError::Login { .. }
            | GraphError::Forbidden { .. }
            | GraphError::NoService { .. }
            | GraphError::Quota { .. } => return Self::Everything(error),
        };
        Self::This { reason, message: error.to_string() }
    }

    /// Something that belongs to an item and could not be read; `None`: it is there no more.
    pub(super) fn lack(self, reason: &'static str) -> Result<Option<Lack>, CaptureError> {
        match self {
            Self::Gone => Ok(None),
            Self::This { reason: why, message } => Ok(Some(Lack { reason, may_pass: why == "transient", message })),
            Self::Everything(error) => Err(CaptureError::Graph(error)),
        }
    }
}

impl From<Trouble> for CaptureError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Gone => Self::Gone,
            Trouble::This { reason, message } => Self::Item { reason, message },
            Trouble::Everything(error) => Self::Graph(error),
        }
    }
}

pub(super) fn json_bytes(json: &Value) -> Bytes {
    Bytes::from(json.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_read_again_when_its_state_is_another() {
        let item = |properties| RemoteItem { id: "e".into(), properties };
        let known = KnownVersion { change_tag: change_tag("k"), flags: 0, has_content: false };

        assert_eq!(need(&item(Some(json!({"state": "k"}))), Some(&known)), Need::Nothing);
        assert_eq!(need(&item(Some(json!({"state": "l"}))), Some(&known)), Need::Everything);
        assert_eq!(need(&item(Some(json!({"state": "k"}))), None), Need::Everything);
        assert_eq!(need(&item(None), Some(&known)), Need::Everything);
    }
}
