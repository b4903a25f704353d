//! What the owner of a mailbox does to its settings, categories and rules.

use super::edits::RandomEdits;
use super::{Controlled, bad, tally};
use crate::app::User;
use crate::company::populate::guid;
use crate::dice::hash_text;
use crate::locks::write;
use crate::store::settings::{Category, ReplyStatus, Rule, Settings};
use crate::store::zone::Zone;
use serde::Deserialize;
use serde_json::json;

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
    pub remove_rule: Option<String>,
}

pub fn single(user: &User, wanted: SettingsEdit) -> Controlled {
    let mut settings = write(&user.settings);
    if let Some(name) = &wanted.time_zone {
        settings.time_zone = Zone::find(name).ok_or_else(|| bad(format!("no zone '{name}'")))?.name();
    }
    if let Some(text) = wanted.reply {
        set_reply(&mut settings, text);
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
    if let Some(name) = wanted.remove_rule {
        settings.rules.retain(|rule| rule.name != name);
    }
    Ok(json!({}))
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
        settings.categories.push(Category { id, name, color: 9 });
    }
}

fn add_rule(settings: &mut Settings, name: String) {
    settings.add_rule(Rule {
        number: 0,
        subject_contains: vec![name.clone()],
        name,
        enabled: true,
        sender_contains: Vec::new(),
        move_to: None,
        mark_read: true,
        categories: Vec::new(),
    });
}
