//! The small things of a mailbox, as somebody set them up once and forgot about them.

use super::{World, populate, text};
use crate::dice::Dice;
use crate::store::Mailbox;
use crate::store::settings::{Category, Replies, ReplyStatus, Rule, Settings};

pub fn settings(world: &World, salt: u64, mailbox: &Mailbox) -> Settings {
    let mut dice = Dice::of(&[world.seed, 130, salt]);
    let mut settings = Settings::default();
    if dice.percent(30) {
        settings.language = ("de-DE", "German (Germany)");
        settings.working_hours = (7, 16);
    }
    if dice.percent(30) {
        settings.replies = Replies {
            status: if dice.percent(50) { ReplyStatus::Scheduled } else { ReplyStatus::AlwaysEnabled },
            internal: "<html><body>I am away until Monday.</body></html>".into(),
            external: "<html><body>Bin im Urlaub.</body></html>".into(),
            start: 1_785_000_000,
            end: 1_786_000_000,
        };
    }
    for (index, name) in text::CATEGORIES.into_iter().enumerate() {
        let id = populate::guid(&[world.seed, 131, salt, index as u64]);
        settings.categories.push(Category { id, name: name.to_owned(), color: index as u8 });
    }
    let newsletters = mailbox.folder_by_path("Newsletters").or(mailbox.well_known("archive"));
    settings.add_rule(Rule {
        number: 0,
        name: "Newsletters".into(),
        enabled: true,
        subject_contains: vec!["newsletter".into(), "Rundschreiben".into()],
        sender_contains: Vec::new(),
        move_to: newsletters,
        mark_read: true,
        categories: Vec::new(),
    });
    settings.add_rule(Rule {
        number: 0,
        name: "Bank".into(),
        enabled: dice.percent(50),
        subject_contains: Vec::new(),
        sender_contains: vec!["mail.invalid-bank.example".into()],
        move_to: None,
        mark_read: false,
        categories: vec![dice.word(&text::CATEGORIES).to_owned()],
    });
    settings
}
