//! The small things of a mailbox, as somebody set them up once and forgot about them.

use super::{World, populate, text};
use crate::dice::Dice;
use crate::store::settings::{Category, Replies, ReplyStatus, Rule, Settings, object, working_hours};
use crate::store::{Mailbox, ids};
use serde_json::json;

pub fn settings(world: &World, salt: u64, mailbox: &Mailbox) -> Settings {
    let mut dice = Dice::of(&[world.seed, 130, salt]);
    let mut settings = Settings::default();
    if dice.percent(30) {
        settings.language = ("de-DE".to_owned(), "German (Germany)".to_owned());
        settings.working_hours = working_hours(7, 16);
    }
    if dice.percent(30) {
        settings.replies = Replies {
            status: if dice.percent(50) { ReplyStatus::Scheduled } else { ReplyStatus::AlwaysEnabled },
            internal: "<html><body>I am away until Monday.</body></html>".into(),
            external: "<html><body>Bin im Urlaub.</body></html>".into(),
            start: 1_785_000_000,
            end: 1_786_000_000,
            ..Replies::default()
        };
    }
    for (index, name) in text::CATEGORIES.into_iter().enumerate() {
        let id = populate::guid(&[world.seed, 131, salt, index as u64]);
        settings.categories.push(Category { id, name: name.to_owned(), color: Some(index as u8) });
    }
    let newsletters = mailbox.folder_by_path("Newsletters").or(mailbox.well_known("archive"));
    let newsletters = newsletters.map(|folder| ids::folder_id(&mailbox.guid, folder));
    settings.add_rule(Rule {
        name: "Newsletters".into(),
        enabled: true,
        conditions: object(json!({"subjectContains": ["newsletter", "Rundschreiben"]})),
        actions: object(json!({"moveToFolder": newsletters, "markAsRead": true, "stopProcessingRules": true})),
        ..Rule::default()
    });
    settings.add_rule(Rule {
        name: "Bank".into(),
        enabled: dice.percent(50),
        conditions: object(json!({"senderContains": ["mail.invalid-bank.example"]})),
        actions: object(json!({"assignCategories": [dice.word(&text::CATEGORIES)], "stopProcessingRules": true})),
        ..Rule::default()
    });
    settings
}
