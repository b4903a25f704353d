//! The settings of a mailbox. Turning automatic replies on writes to people: no backup does that.

use super::super::Call;
use super::super::input::object;
use super::{check_names, wrong_value};
use crate::app::{User, UserKind};
use crate::clock::{iso, parse_iso};
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::store::ids;
use crate::store::settings::{Replies, ReplyStatus, Settings};
use crate::store::zone::Zone;
use serde_json::{Value, json};

const WRITABLE: [&str; 7] = [
    "automaticRepliesSetting",
    "dateFormat",
    "delegateMeetingMessageDeliveryOptions",
    "language",
    "timeFormat",
    "timeZone",
    "workingHours",
];
const READ_ONLY: [&str; 2] = ["archiveFolder", "userPurpose"];
const DELEGATE_OPTIONS: [&str; 3] =
    ["sendToDelegateAndInformationToPrincipal", "sendToDelegateAndPrincipal", "sendToDelegateOnly"];

pub fn get(call: &Call) -> Answer {
    let user = call.user()?;
    Ok(Reply::ok(shown(call, user)))
}

fn shown(call: &Call, user: &User) -> Value {
    let mut out = settings_json(user);
    if let Some(all) = out.as_object_mut() {
        all.retain(|name, _| call.query.wants(name));
    }
    out["@odata.context"] = json!(call.context(&format!("users('{}')/mailboxSettings", user.id)));
    out
}

pub fn patch(call: &Call) -> Answer {
    let user = call.user()?;
    let body = object(call)?;
    check_names(call, &body, &WRITABLE, &READ_ONLY)?;
    let mut changed = read(&user.settings).clone();
    for (name, value) in &body {
        set(&mut changed, name, value)?;
    }
    if changed.replies.status != ReplyStatus::Disabled && read(&user.settings).replies.status != changed.replies.status
    {
        call.violation("sends_mail", "automatic replies are turned on");
    }
    *write(&user.settings) = changed;
    Ok(Reply::ok(shown(call, user)))
}

fn set(settings: &mut Settings, name: &str, value: &Value) -> Result<(), Refusal> {
    let wrong = || wrong_value(name);
    let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
    match name {
        "timeZone" => {
            let zone = Zone::find(&text()?).ok_or_else(|| {
                Refusal::new(400, "ErrorInvalidTimeZone", "The time zone isn't one that the server supports.")
            })?;
            settings.time_zone = zone.name().to_owned();
        }
        "dateFormat" => settings.date_format = text()?,
        "timeFormat" => settings.time_format = text()?,
        "delegateMeetingMessageDeliveryOptions" => {
            settings.delegate_option =
                text().ok().filter(|one| DELEGATE_OPTIONS.contains(&one.as_str())).ok_or_else(wrong)?;
        }
        "language" => {
            let locale = value["locale"].as_str().filter(|locale| locale.contains('-')).ok_or_else(wrong)?;
            settings.language = (locale.to_owned(), language_name(locale));
        }
        "workingHours" if value.is_object() => {
            for (name, value) in value.as_object().into_iter().flatten() {
                settings.working_hours[name] = value.clone();
            }
        }
        "automaticRepliesSetting" if value.is_object() => {
            set_replies(&mut settings.replies, value).ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// What is not named stays as it is.
fn set_replies(replies: &mut Replies, value: &Value) -> Option<()> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    if let Some(status) = text("status") {
        replies.status = ReplyStatus::find(&status)?;
    }
    replies.internal = text("internalReplyMessage").unwrap_or(std::mem::take(&mut replies.internal));
    replies.external = text("externalReplyMessage").unwrap_or(std::mem::take(&mut replies.external));
    if let Some(audience) = text("externalAudience") {
        replies.audience = Some(audience).filter(|one| ["none", "contactsOnly", "all"].contains(&one.as_str()))?;
    }
    let at = |name: &str| parse_iso(&format!("{}Z", value[name]["dateTime"].as_str()?.trim_end_matches('Z')));
    if value.get("scheduledStartDateTime").is_some_and(|at| !at.is_null()) {
        replies.start = at("scheduledStartDateTime")?;
    }
    if value.get("scheduledEndDateTime").is_some_and(|at| !at.is_null()) {
        replies.end = at("scheduledEndDateTime")?;
    }
    (replies.status != ReplyStatus::Scheduled || replies.start < replies.end).then_some(())
}

fn language_name(locale: &str) -> String {
    match locale.to_ascii_lowercase().as_str() {
        "en-us" => "English (United States)".to_owned(),
        "de-de" => "German (Germany)".to_owned(),
        other => other.to_owned(),
    }
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
    json!({
        "archiveFolder": ids::folder_id(&guid, archive),
        "timeZone": settings.time_zone,
        "language": {"locale": settings.language.0, "displayName": settings.language.1},
        "dateFormat": settings.date_format,
        "timeFormat": settings.time_format,
        "userPurpose": purpose,
        "delegateMeetingMessageDeliveryOptions": settings.delegate_option,
        "workingHours": settings.working_hours,
        "automaticRepliesSetting": replies(&settings),
    })
}

fn replies(settings: &Settings) -> Value {
    let at = |seconds: i64| json!({"dateTime": iso(seconds).replace('Z', ".0000000"), "timeZone": Zone::Utc.name()});
    let replies = &settings.replies;
    json!({
        "status": replies.status.name(),
        "externalAudience": replies.audience,
        "internalReplyMessage": replies.internal,
        "externalReplyMessage": replies.external,
        "scheduledStartDateTime": at(replies.start),
        "scheduledEndDateTime": at(replies.end),
    })
}
