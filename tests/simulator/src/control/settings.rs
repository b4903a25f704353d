//! What the owner of a mailbox does to its settings, categories and rules.

use super::edits::RandomEdits;
use super::{ControlError, Controlled, bad, tally};
use crate::app::User;
use crate::company::populate::guid;
use crate::dice::hash_text;
use crate::locks::{read, write};
use crate::store::ids;
use crate::store::settings::{Category, ReplyStatus, Rule, Settings, object};
use crate::store::zone::Zone;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsEdit {
    pub time_zone: Option<String>,
    /// Automatic replies with this text; an empty one turns them off.
    pub reply: Option<String>,
    pub add_category: Option<String>,
    pub remove_category: Option<String>,
    /// A rule of this name that marks as read what has the name in its subject.
    pub add_rule: Option<String>,
    /// A rule in Graph's own words, which its owner made, whatever it does; folders by path.
    pub rule: Option<Value>,
    pub remove_rule: Option<String>,
    /// No categories, no rules, and all settings as a new mailbox has them.
    pub wipe: bool,
}

pub fn single(user: &User, wanted: SettingsEdit) -> Controlled {
    let mut settings = write(&user.settings);
    if let Some(name) = &wanted.time_zone {
        settings.time_zone = Zone::find(name).ok_or_else(|| bad(format!("no zone '{name}'")))?.name().to_owned();
    }
    if let Some(text) = wanted.reply {
        set_reply(&mut settings, text);
    }
    if wanted.wipe {
        *settings = Settings { next_rule: settings.next_rule, ..Settings::default() };
    }
    if let Some(name) = wanted.add_category {
        add_category(&mut settings, name);
    }
    if let Some(name) = wanted.remove_category {
        settings.categories.retain(|category| category.name != name);
    }
    if let Some(name) = wanted.add_rule {
        add_rule(&mut settings, name);
    }
    if let Some(rule) = wanted.rule {
        settings.add_rule(read_rule(user, rule)?);
    }
    if let Some(name) = wanted.remove_rule {
        settings.rules.retain(|rule| rule.name != name);
    }
    Ok(json!({}))
}

fn read_rule(user: &User, mut rule: Value) -> Result<Rule, ControlError> {
    let mailbox = read(&user.mailbox);
    for name in ["moveToFolder", "copyToFolder"] {
        if let Some(path) = rule["actions"][name].as_str() {
            let folder = mailbox.folder_by_path(path).ok_or_else(|| bad(format!("no folder '{path}'")))?;
            rule["actions"][name] = json!(ids::folder_id(&mailbox.guid, folder));
        }
    }
    Ok(Rule {
        name: rule["displayName"].as_str().ok_or_else(|| bad("a rule has a displayName"))?.to_owned(),
        enabled: rule["isEnabled"] != false,
        conditions: object(rule["conditions"].take()),
        actions: object(rule["actions"].take()),
        exceptions: object(rule["exceptions"].take()),
        ..Rule::default()
    })
}

pub fn random(user: &User, wanted: &RandomEdits) -> Controlled {
    Ok(tally(wanted, 160, |dice| {
        let mut settings = write(&user.settings);
        let number = dice.below(1000);
        let kind = match dice.below(3) {
            0 => {
                set_reply(&mut settings, format!("Back in {number} days"));
                "reply"
            }
            1 => {
                add_category(&mut settings, format!("Category {number}"));
                "category"
            }
            _ => {
                add_rule(&mut settings, format!("Rule {number}"));
                "rule"
            }
        };
        (kind, String::new())
    }))
}

fn set_reply(settings: &mut Settings, text: String) {
    settings.replies.status = if text.is_empty() { ReplyStatus::Disabled } else { ReplyStatus::AlwaysEnabled };
    settings.replies.internal = text;
}

fn add_category(settings: &mut Settings, name: String) {
    if settings.categories.iter().all(|have| have.name != name) {
        let id = guid(&[hash_text(&name), settings.categories.len() as u64]);
        settings.categories.push(Category { id, name, color: Some(9) });
    }
}

fn add_rule(settings: &mut Settings, name: String) {
    settings.add_rule(Rule {
        conditions: object(json!({"subjectContains": [&name]})),
        actions: object(json!({"markAsRead": true, "stopProcessingRules": true})),
        name,
        enabled: true,
        ..Rule::default()
    });
}
