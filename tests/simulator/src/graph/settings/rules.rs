//! The rules of an inbox. One that is on and forwards writes to people: no backup makes such a one.

use super::super::input::object;
use super::super::{Call, folders};
use super::{check_names, selected, wrong_value};
use crate::app::User;
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::store::ids::{Name, What};
use crate::store::settings::{Rule, Settings};
use serde_json::{Map, Value, json};

const PROPERTIES: [&str; 9] =
    ["id", "displayName", "sequence", "isEnabled", "isReadOnly", "hasError", "conditions", "actions", "exceptions"];
const WRITABLE: [&str; 6] = ["displayName", "sequence", "isEnabled", "conditions", "actions", "exceptions"];
const READ_ONLY: [&str; 3] = ["id", "isReadOnly", "hasError"];
/// Actions that name a folder of the mailbox.
const TO_FOLDER: [&str; 2] = ["moveToFolder", "copyToFolder"];
/// Actions that name people.
const TO_PEOPLE: [&str; 3] = ["forwardTo", "forwardAsAttachmentTo", "redirectTo"];

/// Rules are the inbox's; every other folder has none.
pub fn list(call: &Call) -> Answer {
    call.query.check_select(&PROPERTIES, "messageRule")?;
    let user = call.user()?;
    let guid = read(&user.mailbox).guid.clone();
    let all: Vec<Value> = if is_inbox(call, user)? { all(&guid, &read(&user.settings)) } else { Vec::new() };
    let all: Vec<Value> = all.into_iter().map(|one| selected(call, one)).collect();
    let context = call.context(&format!("users('{}')/mailFolders('inbox')/messageRules", user.id));
    Ok(Reply::ok(json!({"@odata.context": context, "value": all})))
}

fn is_inbox(call: &Call, user: &User) -> Result<bool, Refusal> {
    let folder = folders::wanted(call, user)?;
    Ok(read(&user.mailbox).well_known("inbox") == Some(folder))
}

pub fn all(guid: &str, settings: &Settings) -> Vec<Value> {
    let mut rules: Vec<&Rule> = settings.rules.iter().collect();
    rules.sort_by_key(|rule| (rule.sequence, rule.number));
    rules.into_iter().map(|rule| shown(guid, rule)).collect()
}

fn shown(guid: &str, rule: &Rule) -> Value {
    let mut out = json!({
        "id": Name::fixed(What::Rule, rule.number).write(guid),
        "displayName": rule.name,
        "sequence": rule.sequence,
        "isEnabled": rule.enabled,
        "hasError": false,
        "isReadOnly": false,
        "conditions": rule.conditions,
        "actions": rule.actions,
    });
    if !rule.exceptions.is_empty() {
        out["exceptions"] = json!(rule.exceptions);
    }
    out
}

pub fn one(call: &Call) -> Answer {
    let user = call.user()?;
    let guid = read(&user.mailbox).guid.clone();
    let number = wanted(call, user, &guid)?;
    let settings = read(&user.settings);
    let rule = settings.rules.iter().find(|rule| rule.number == number).ok_or_else(Refusal::item_not_found)?;
    Ok(Reply::ok(selected(call, shown(&guid, rule))))
}

fn wanted(call: &Call, user: &User, guid: &str) -> Result<u32, Refusal> {
    if !is_inbox(call, user)? {
        return Err(Refusal::item_not_found());
    }
    let name = Name::read(guid, call.target.message.as_deref().unwrap_or_default());
    let name = name.filter(|name| name.what == What::Rule).ok_or_else(Refusal::bad_id)?;
    Ok(name.item as u32)
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    if !is_inbox(call, user)? {
        return Err(Refusal::bad_request("Rules are those of the inbox."));
    }
    let guid = read(&user.mailbox).guid.clone();
    let rule = changed(call, user, &Rule::default())?;
    watch(call, &rule);
    let mut settings = write(&user.settings);
    let number = settings.add_rule(rule);
    let made = settings.rules.iter().find(|rule| rule.number == number).ok_or_else(Refusal::item_not_found)?;
    Ok(Reply::json(201, shown(&guid, made)))
}

pub fn patch(call: &Call) -> Answer {
    let user = call.user()?;
    let guid = read(&user.mailbox).guid.clone();
    let number = wanted(call, user, &guid)?;
    let before = read(&user.settings).rules.iter().find(|rule| rule.number == number).cloned();
    let rule = changed(call, user, &before.ok_or_else(Refusal::item_not_found)?)?;
    watch(call, &rule);
    let answer = shown(&guid, &rule);
    let mut settings = write(&user.settings);
    let held = settings.rules.iter_mut().find(|rule| rule.number == number).ok_or_else(Refusal::item_not_found)?;
    *held = rule;
    Ok(Reply::ok(answer))
}

/// The rule with what the body says of it; whatever else it had stays.
fn changed(call: &Call, user: &User, before: &Rule) -> Result<Rule, Refusal> {
    let body = object(call)?;
    check_names(call, &body, &WRITABLE, &READ_ONLY)?;
    let mut rule = before.clone();
    let predicates =
        |name: &str| body.get(name).map(|value| value.as_object().cloned().ok_or_else(|| wrong_value(name)));
    if let Some(name) = body.get("displayName") {
        rule.name = name.as_str().map(str::to_owned).ok_or_else(|| wrong_value("displayName"))?;
    }
    if let Some(sequence) = body.get("sequence") {
        let sequence = sequence.as_u64().and_then(|sequence| u32::try_from(sequence).ok());
        rule.sequence = sequence.ok_or_else(|| wrong_value("sequence"))?;
    }
    if let Some(enabled) = body.get("isEnabled") {
        rule.enabled = enabled.as_bool().ok_or_else(|| wrong_value("isEnabled"))?;
    }
    rule.conditions = predicates("conditions").transpose()?.unwrap_or(rule.conditions);
    rule.exceptions = predicates("exceptions").transpose()?.unwrap_or(rule.exceptions);
    if let Some(actions) = predicates("actions").transpose()? {
        check_actions(user, &actions)?;
        rule.actions = actions;
    }
    if rule.name.is_empty() || rule.sequence == 0 || rule.actions.is_empty() {
        let text = "A rule has a name, a sequence above 0, and at least one action.";
        return Err(Refusal::new(400, "ErrorInvalidRule", text));
    }
    Ok(rule)
}

fn check_actions(user: &User, actions: &Map<String, Value>) -> Result<(), Refusal> {
    let mailbox = read(&user.mailbox);
    for name in TO_FOLDER {
        if let Some(folder) = actions.get(name) {
            folders::find(&mailbox, folder.as_str().ok_or_else(|| wrong_value(name))?)?;
        }
    }
    let is_address = |one: &Value| one["emailAddress"]["address"].as_str().is_some_and(|text| text.contains('@'));
    if TO_PEOPLE.iter().any(|name| !actions.get(*name).and_then(Value::as_array).into_iter().flatten().all(is_address))
    {
        return Err(Refusal::new(400, "ErrorInvalidRecipients", "At least one recipient is not valid."));
    }
    Ok(())
}

fn watch(call: &Call, rule: &Rule) {
    let writes = |name: &str| rule.actions.get(name).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if rule.enabled && TO_PEOPLE.iter().any(|name| writes(name)) {
        call.violation("sends_mail", "a rule that forwards mail is turned on");
    }
}
