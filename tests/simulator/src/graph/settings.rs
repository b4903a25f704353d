//! The small things of a mailbox: settings, master categories, inbox rules. Read only.

use super::{Call, folders};
use crate::app::{User, UserKind};
use crate::clock::iso;
use crate::locks::read;
use crate::reply::{Answer, Reply};
use crate::store::ids::{self, Name, What};
use crate::store::settings::{Category, Rule, Settings};
use crate::store::zone::Zone;
use serde_json::{Map, Value, json};

pub fn mailbox_settings(call: &Call) -> Answer {
    let user = call.user()?;
    let mut out = settings_json(call.user()?);
    if let Some(all) = out.as_object_mut() {
        all.retain(|name, _| call.query.wants(name));
    }
    out["@odata.context"] = json!(call.context(&format!("users('{}')/mailboxSettings", user.id)));
    Ok(Reply::ok(out))
}

pub fn settings_json(user: &User) -> Value {
    let purpose = match user.profile().kind {
        UserKind::Member | UserKind::Guest => "user",
        UserKind::Shared => "shared",
        UserKind::Room => "room",
    };
    let (guid, archive) = {
        let mailbox = read(&user.mailbox);
        (mailbox.guid.clone(), mailbox.well_known("archive").unwrap_or_default())
    };
    let settings = read(&user.settings);
    let (from, until) = settings.working_hours;
    json!({
        "archiveFolder": ids::folder_id(&guid, archive),
        "timeZone": settings.time_zone,
        "language": {"locale": settings.language.0, "displayName": settings.language.1},
        "dateFormat": "dd.MM.yyyy",
        "timeFormat": "HH:mm",
        "userPurpose": purpose,
        "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
        "workingHours": {
            "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "startTime": format!("{from:02}:00:00.0000000"),
            "endTime": format!("{until:02}:00:00.0000000"),
            "timeZone": {"name": settings.time_zone},
        },
        "automaticRepliesSetting": replies(&settings),
    })
}

fn replies(settings: &Settings) -> Value {
    let at = |seconds: i64| json!({"dateTime": iso(seconds).replace('Z', ".0000000"), "timeZone": Zone::Utc.name()});
    let replies = &settings.replies;
    json!({
        "status": replies.status.name(),
        "externalAudience": "all",
        "internalReplyMessage": replies.internal,
        "externalReplyMessage": replies.external,
        "scheduledStartDateTime": at(replies.start),
        "scheduledEndDateTime": at(replies.end),
    })
}

pub fn categories(call: &Call) -> Answer {
    call.query.check_select(&["id", "displayName", "color"], "outlookCategory")?;
    let user = call.user()?;
    let all: Vec<Value> = category_list(&read(&user.settings)).into_iter().map(|one| selected(call, one)).collect();
    let context = call.context(&format!("users('{}')/outlook/masterCategories", user.id));
    Ok(Reply::ok(json!({"@odata.context": context, "value": all})))
}

pub fn category_list(settings: &Settings) -> Vec<Value> {
    let one = |category: &Category| json!({"id": category.id, "displayName": category.name, "color": format!("preset{}", category.color)});
    settings.categories.iter().map(one).collect()
}

const RULE_PROPERTIES: [&str; 9] =
    ["id", "displayName", "sequence", "isEnabled", "isReadOnly", "hasError", "conditions", "actions", "exceptions"];

/// Rules are the inbox's; every other folder has none.
pub fn rules(call: &Call) -> Answer {
    call.query.check_select(&RULE_PROPERTIES, "messageRule")?;
    let user = call.user()?;
    let folder = folders::wanted(call, user)?;
    let guid = read(&user.mailbox).guid.clone();
    let is_inbox = read(&user.mailbox).well_known("inbox") == Some(folder);
    let all: Vec<Value> = if is_inbox { rule_list(&guid, &read(&user.settings)) } else { Vec::new() };
    let all: Vec<Value> = all.into_iter().map(|one| selected(call, one)).collect();
    let context = call.context(&format!("users('{}')/mailFolders('inbox')/messageRules", user.id));
    Ok(Reply::ok(json!({"@odata.context": context, "value": all})))
}

pub fn rule_list(guid: &str, settings: &Settings) -> Vec<Value> {
    settings.rules.iter().enumerate().map(|(index, rule)| rule_json(guid, index + 1, rule)).collect()
}

fn rule_json(guid: &str, sequence: usize, rule: &Rule) -> Value {
    let (mut conditions, mut actions) = (Map::new(), Map::new());
    if !rule.subject_contains.is_empty() {
        conditions.insert("subjectContains".into(), json!(rule.subject_contains));
    }
    if !rule.sender_contains.is_empty() {
        conditions.insert("senderContains".into(), json!(rule.sender_contains));
    }
    if let Some(folder) = rule.move_to {
        actions.insert("moveToFolder".into(), json!(ids::folder_id(guid, folder)));
    }
    if rule.mark_read {
        actions.insert("markAsRead".into(), json!(true));
    }
    if !rule.categories.is_empty() {
        actions.insert("assignCategories".into(), json!(rule.categories));
    }
    actions.insert("stopProcessingRules".into(), json!(true));
    json!({
        "id": Name::fixed(What::Rule, rule.number).write(guid),
        "displayName": rule.name,
        "sequence": sequence,
        "isEnabled": rule.enabled,
        "hasError": false,
        "isReadOnly": false,
        "conditions": conditions,
        "actions": actions,
    })
}

/// Everything that is told of the small things, for a fingerprint.
pub fn all(user: &User) -> Value {
    let guid = read(&user.mailbox).guid.clone();
    let settings = settings_json(user);
    let held = read(&user.settings);
    json!({"mailboxSettings": settings, "categories": category_list(&held), "rules": rule_list(&guid, &held)})
}

fn selected(call: &Call, mut one: Value) -> Value {
    if let Some(all) = one.as_object_mut() {
        all.retain(|name, _| name == "id" || call.query.wants(name));
    }
    one
}
