//! The settings of a mailbox on their way back: what can be written, and automatic replies without turning them on.

use serde_json::{Map, Value, json};

use super::restore::{Side, restore_error};
use super::tag;
use crate::features::entries::text;
use crate::features::{Action, Identity, RestoreError, Restored, Source, change_tag};
use crate::graph::{Endpoint, GraphError};
use crate::ids::ItemKey;

const REPLIES: &str = "automaticRepliesSetting";
const TIME_ZONE: &str = "timeZone";
/// The rest is read-only: what the mailbox is for, and which folder archives.
const WRITABLE: [&str; 7] = [
    REPLIES,
    "dateFormat",
    "delegateMeetingMessageDeliveryOptions",
    "language",
    "timeFormat",
    TIME_ZONE,
    "workingHours",
];
/// A zone that came with some device: it has no name that could be set.
const CUSTOM_ZONE: &str = "tzone:";
const OFF: &str = "disabled";
const TURNED_OFF: &str = "automatic replies come back with their texts and turned off: turned on they would answer \
    people at once";
const ONCE: &str = "a mailbox has its settings once: replace them to have them as in the backup";

/// Settings in one form only, as far as they can be written.
fn shown(settings: &Value) -> Map<String, Value> {
    let held = WRITABLE.iter().filter(|name| !settings[**name].is_null());
    held.map(|name| ((*name).to_owned(), one_form(name, &settings[*name]))).collect()
}

fn one_form(name: &str, value: &Value) -> Value {
    match name {
        // What it is called follows from the locale.
        "language" => json!({ "locale": text(&value["locale"]) }),
        REPLIES => {
            let mut replies = json!({ "status": OFF });
            for name in ["externalAudience", "internalReplyMessage", "externalReplyMessage"] {
                if !value[name].is_null() {
                    replies[name] = value[name].clone();
                }
            }
            let status = text(&value["status"]);
            if !status.is_empty() && !status.eq_ignore_ascii_case(OFF) {
                replies["status"] = json!(status);
            }
            if status.eq_ignore_ascii_case("scheduled") {
                for name in ["scheduledStartDateTime", "scheduledEndDateTime"] {
                    replies[name] = value[name].clone();
                }
            }
            replies
        }
        _ => value.clone(),
    }
}

fn turned_off(mut replies: Value) -> Value {
    replies["status"] = json!(OFF);
    if let Some(all) = replies.as_object_mut() {
        all.retain(|name, _| !name.starts_with("scheduled"));
    }
    replies
}

pub(super) fn identity(settings: &Value, side: Side) -> Identity {
    let mut all = shown(settings);
    if side == Side::Stored
        && let Some(replies) = all.remove(REPLIES)
    {
        all.insert(REPLIES.to_owned(), turned_off(replies));
    }
    Identity {
        natural_key: Some(ItemKey::of("settings")),
        change_tag: Some(tag(settings)),
        state: Some(change_tag(&Value::Object(all).to_string())),
        modified: None,
    }
}

/// What makes `current` as the backup has it, and what could not be taken over.
fn update(stored: &Value, current: &Value) -> (Map<String, Value>, Vec<&'static str>) {
    let (wanted, held) = (shown(stored), shown(current));
    let mut body = Map::new();
    let mut remarks = Vec::new();
    for (name, value) in wanted.into_iter().filter(|(name, value)| held.get(name) != Some(value)) {
        if name == TIME_ZONE && text(&value).starts_with(CUSTOM_ZONE) {
            remarks.push("the time zone is one of a device: it has no name that could be set");
            continue;
        }
        if name != REPLIES {
            body.insert(name, value);
            continue;
        }
        let off = turned_off(value.clone());
        if held.get(&name) != Some(&off) {
            if off != value {
                remarks.push(TURNED_OFF);
            }
            body.insert(name, off);
        }
    }
    (body, remarks)
}

pub(super) async fn carry_out(target: Source<'_>, stored: &Value, action: &Action) -> Result<Restored, RestoreError> {
    if *action == Action::CreateBeside {
        return Ok(Restored::LeftAlone { why: ONCE });
    }
    let endpoint = Endpoint::MailboxSettings { user: target.user };
    let current = target.graph.get(endpoint).json().await.map_err(restore_error)?;
    let (body, remarks) = update(stored, &current);
    if body.is_empty() {
        return Ok(Restored::AlreadyThere);
    }
    let mut remarks: Vec<String> = remarks.into_iter().map(str::to_owned).collect();
    match target.graph.patch(endpoint).body(&Value::Object(body.clone())).done().await {
        Ok(()) => {}
        // One that is refused must not take the others along.
        Err(GraphError::Refused { .. } | GraphError::BadItem { .. }) if body.len() > 1 => {
            for (name, value) in body {
                match target.graph.patch(endpoint).body(&json!({ &name: value })).done().await {
                    Ok(()) => {}
                    Err(error @ (GraphError::Refused { .. } | GraphError::BadItem { .. })) => {
                        remarks.push(format!("{name} is left as it is: {error}"));
                    }
                    Err(error) => return Err(restore_error(error)),
                }
            }
        }
        Err(error) => return Err(restore_error(error)),
    }
    Ok(Restored::Updated { remarks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(status: &str, reply: &str, zone: &str) -> Value {
        json!({
            "archiveFolder": "AAMk", "userPurpose": "user", "timeZone": zone, "dateFormat": "dd.MM.yyyy",
            "language": {"locale": "de-DE", "displayName": "Deutsch"},
            "automaticRepliesSetting": {
                "status": status, "internalReplyMessage": reply, "externalAudience": "all",
                "scheduledStartDateTime": {"dateTime": "2026-01-01T00:00:00", "timeZone": "UTC"},
            },
        })
    }

    #[test]
    fn what_differs_is_written_and_nothing_else() {
        let (body, remarks) =
            update(&settings("disabled", "a", "UTC"), &settings("disabled", "a", "Tokyo Standard Time"));

        assert_eq!((Value::Object(body), remarks), (json!({"timeZone": "UTC"}), Vec::new()));
    }

    #[test]
    fn automatic_replies_come_back_turned_off_and_then_are_as_they_should_be() {
        let stored = settings("scheduled", "away", "UTC");
        let (body, remarks) = update(&stored, &settings("disabled", "old", "UTC"));

        let expected = json!({"status": "disabled", "internalReplyMessage": "away", "externalAudience": "all"});
        assert_eq!((&body[REPLIES], remarks), (&expected, vec![TURNED_OFF]));
        let after = settings("disabled", "away", "UTC");
        assert_eq!(update(&stored, &after), (Map::new(), Vec::new()));
        assert_eq!(identity(&stored, Side::Stored).state, identity(&after, Side::Target).state);
    }

    #[test]
    fn replies_that_are_on_as_in_the_backup_stay_on() {
        let (body, remarks) =
            update(&settings("alwaysEnabled", "away", "UTC"), &settings("alwaysEnabled", "away", "x"));

        assert_eq!((Value::Object(body), remarks), (json!({"timeZone": "UTC"}), Vec::new()));
    }

    #[test]
    fn a_zone_without_a_name_is_told_and_left() {
        let (body, remarks) =
            update(&settings("disabled", "a", "tzone://Microsoft/Custom"), &settings("disabled", "a", "UTC"));

        assert_eq!((body.len(), remarks.len()), (0, 1));
    }
}
