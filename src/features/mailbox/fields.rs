//! Reading a message's properties as Graph writes them.

use serde_json::{Value, json};

pub(super) use crate::features::entries::{instant as time, text, without_envelope};

use super::{KIND_INVITATION, KIND_MESSAGE};
use crate::features::words::Words;
use crate::features::{Summary, change_tag, flag};

/// Without these a message cannot be told from another state of it, nor restored. Delta may leave out what did not
/// change.
const REQUIRED: [&str; 6] = ["id", "changeKey", "isDraft", "parentFolderId", "receivedDateTime", "subject"];

pub(super) fn is_complete(message: &Value) -> bool {
    REQUIRED.iter().all(|name| message.get(name).is_some()) && message["changeKey"].is_string()
}

pub(super) fn is_draft(message: &Value) -> bool {
    message["isDraft"].as_bool().unwrap_or(false)
}

pub(super) fn is_invitation(message: &Value) -> bool {
    text(&message["@odata.type"]).to_ascii_lowercase().starts_with("#microsoft.graph.eventmessage")
}

/// The columns for browse and search.
pub(super) fn summary(message: &Value) -> Summary {
    let from = &message["from"]["emailAddress"];
    let party = if text(&from["address"]).is_empty() { text(&from["name"]) } else { text(&from["address"]) };
    let times = ["receivedDateTime", "sentDateTime", "createdDateTime"];
    Summary {
        kind: if is_invitation(message) { KIND_INVITATION } else { KIND_MESSAGE },
        flags: flags(message),
        change_tag: change_tag(text(&message["changeKey"])),
        name: text(&message["subject"]).to_owned(),
        party: party.to_owned(),
        time: times.iter().find_map(|name| time(&message[name])).unwrap_or_default(),
        parent: None,
        words: String::new(),
    }
}

/// What is searched of a message besides its columns.
pub(super) fn words(message: &Value, attached: &[String]) -> String {
    let mut words = Words::default();
    words.text(text(&message["from"]["emailAddress"]["name"]));
    for recipients in ["toRecipients", "ccRecipients", "bccRecipients"] {
        words.recipients(&message[recipients]);
    }
    for name in attached {
        words.attachment(name);
    }
    words.take()
}

pub(super) fn flags(message: &Value) -> u16 {
    let is = |name: &str| message[name].as_bool().unwrap_or(false);
    let importance = text(&message["importance"]);
    [
        (is("isRead"), flag::READ),
        (is("isDraft"), flag::DRAFT),
        (text(&message["flag"]["flagStatus"]).eq_ignore_ascii_case("flagged"), flag::FLAGGED),
        (is("hasAttachments"), flag::ATTACHMENTS),
        (importance.eq_ignore_ascii_case("high"), flag::HIGH_IMPORTANCE),
        (importance.eq_ignore_ascii_case("low"), flag::LOW_IMPORTANCE),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

/// Folded from all that can change of a message which is no draft.
pub(super) fn state(message: &Value) -> u64 {
    let mut categories: Vec<&str> = message["categories"].as_array().into_iter().flatten().map(text).collect();
    categories.sort_unstable();
    let status = text(&message["flag"]["flagStatus"]);
    let flagged = if status.is_empty() { "notflagged".to_owned() } else { status.to_ascii_lowercase() };
    let importance = text(&message["importance"]).to_ascii_lowercase();
    let importance = if importance.is_empty() { "normal" } else { &importance };
    change_tag(&json!([message["isRead"] == true, flagged, importance, categories]).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_is_read_from_the_properties() {
        let message = json!({
            "@odata.type": "#microsoft.graph.eventMessageRequest", "changeKey": "CQ", "subject": "Lunch",
            "from": {"emailAddress": {"name": "Ann", "address": "ann@contoso.com"}}, "isRead": true,
            "flag": {"flagStatus": "flagged"}, "importance": "high", "receivedDateTime": "2024-02-03T04:05:06Z",
        });

        let summary = summary(&message);

        assert_eq!(summary.kind, KIND_INVITATION);
        assert_eq!(summary.flags, flag::READ | flag::FLAGGED | flag::HIGH_IMPORTANCE);
        assert_eq!((summary.name.as_str(), summary.party.as_str()), ("Lunch", "ann@contoso.com"));
        assert_eq!(summary.time.to_rfc3339(), "2024-02-03T04:05:06+00:00");
        assert_eq!(summary.change_tag, change_tag("CQ"));
    }

    #[test]
    fn a_draft_without_a_date_is_dated_by_its_creation() {
        let message = json!({"receivedDateTime": null, "createdDateTime": "2024-01-01T00:00:00Z", "isDraft": true});

        assert_eq!(summary(&message).time.timestamp(), 1_704_067_200);
        assert_eq!(summary(&json!({})).time.timestamp(), 0);
    }

    #[test]
    fn an_update_with_changed_properties_alone_is_incomplete() {
        let whole = json!({"id": "m", "changeKey": "k", "isDraft": false, "parentFolderId": "f",
                           "receivedDateTime": null, "subject": null});

        assert!(is_complete(&whole));
        assert!(!is_complete(&json!({"id": "m", "isRead": true})));
    }

    #[test]
    fn the_envelope_is_not_kept() {
        let kept =
            without_envelope(json!({"@odata.etag": "W/1", "@odata.context": "c", "@odata.type": "t", "id": "m"}));

        assert_eq!(kept, json!({"@odata.type": "t", "id": "m"}));
    }
}
