//! Changes to a mailbox that no client made: mail that arrives, users who read, flag, move and
//! delete, folders that come and go.

use super::{Controlled, bad};
use crate::app::{App, User};
use crate::company::{mail, populate, text};
use crate::dice::Dice;
use crate::locks::{read, write};
use crate::store::Mailbox;
use crate::store::folder::{Changed, TOP};
use crate::store::message::{FlagStatus, Importance};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn folders(user: &User) -> Value {
    let mailbox = read(&user.mailbox);
    let all: Vec<Value> = mailbox
        .folders()
        .filter(|f| mailbox.is_visible(f.id) && f.id != TOP)
        .map(|f| json!({
            "path": mailbox.path(f.id), "id": crate::store::ids::folder_id(&mailbox.guid, f.id),
            "hidden": f.hidden, "search": f.search, "well_known": f.well_known, "total": f.total, "unread": f.unread,
        }))
        .collect();
    json!({"folders": all})
}

fn folder(mailbox: &Mailbox, path: &str) -> Result<u32, super::ControlError> {
    if path.is_empty() {
        return Ok(TOP);
    }
    mailbox.folder_by_path(path).ok_or_else(|| bad(format!("no folder '{path}'")))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFolder {
    #[serde(default)]
    pub parent: String,
    pub name: String,
    #[serde(default)]
    pub hidden: bool,
}

pub fn add_folder(user: &User, wanted: NewFolder) -> Controlled {
    let mut mailbox = write(&user.mailbox);
    let parent = folder(&mailbox, &wanted.parent)?;
    let made = mailbox.create_folder(parent, &wanted.name, wanted.hidden).map_err(|why| bad(format!("{why:?}")))?;
    Ok(json!({"path": mailbox.path(made)}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderEdit {
    pub path: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub parent: Option<String>,
}

pub fn change_folder(user: &User, wanted: FolderEdit) -> Controlled {
    let mut mailbox = write(&user.mailbox);
    let id = folder(&mailbox, &wanted.path)?;
    if let Some(name) = &wanted.name {
        mailbox.rename_folder(id, name).map_err(|why| bad(format!("{why:?}")))?;
    }
    if let Some(parent) = &wanted.parent {
        let to = folder(&mailbox, parent)?;
        mailbox.move_folder(id, to).map_err(|why| bad(format!("{why:?}")))?;
    }
    Ok(json!({"path": mailbox.path(id)}))
}

pub fn remove_folder(user: &User, wanted: FolderEdit) -> Controlled {
    let mut mailbox = write(&user.mailbox);
    let id = folder(&mailbox, &wanted.path)?;
    mailbox.delete_folder(id).map_err(|why| bad(format!("{why:?}")))?;
    Ok(json!({}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// Path or well-known name.
    #[serde(default = "inbox")]
    pub folder: String,
    #[serde(default = "one")]
    pub count: usize,
    #[serde(default)]
    pub seed: u64,
}

fn inbox() -> String {
    "inbox".to_owned()
}

fn one() -> usize {
    1
}

pub fn arrive(app: &App, user: &User, wanted: Arrival) -> Controlled {
    let folder = folder(&read(&user.mailbox), &wanted.folder)?;
    let made = populate::arrive(app, user, folder, wanted.count, wanted.seed);
    let mailbox = read(&user.mailbox);
    let ids: Vec<String> = made.iter().filter_map(|item| mailbox.item(*item)).map(|f| f.internet_id()).collect();
    Ok(json!({"created": ids.len(), "internet_message_ids": ids}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomEdits {
    #[serde(default)]
    pub seed: u64,
    #[serde(default = "one")]
    pub count: usize,
}

pub fn random(app: &App, user: &User, wanted: RandomEdits) -> Controlled {
    let mut done: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut steps = Vec::new();
    for i in 0..wanted.count as u64 {
        let mut dice = Dice::of(&[wanted.seed, 80, i]);
        let (kind, id) = one_edit(app, user, &mut dice, wanted.seed.wrapping_add(i));
        *done.entry(kind).or_default() += 1;
        steps.push(json!({"kind": kind, "internet_message_id": id}));
    }
    Ok(json!({"counts": done, "edits": steps}))
}

fn one_edit(app: &App, user: &User, dice: &mut Dice, salt: u64) -> (&'static str, String) {
    let (folders, picked) = {
        let mailbox = read(&user.mailbox);
        let folders: Vec<u32> = mailbox
            .folders()
            .filter(|f| mailbox.is_visible(f.id) && f.id != TOP && !f.search && !f.hidden)
            .map(|f| f.id)
            .collect();
        (folders, pick_item(&mailbox, dice))
    };
    let roll = dice.below(100);
    let Some((item, is_draft)) = picked.filter(|_| roll < 85) else {
        let inbox = read(&user.mailbox).well_known("inbox").unwrap_or(TOP);
        let made = populate::arrive(app, user, inbox, 1, salt ^ 0x00A5_A5A5);
        let id = made.first().and_then(|item| read(&user.mailbox).item(*item)).map(|f| f.internet_id());
        return ("new_mail", id.unwrap_or_default());
    };
    let mut mailbox = write(&user.mailbox);
    let id = mailbox.item(item).map(|f| f.internet_id()).unwrap_or_default();
    let now = app.clock.now();
    let kind = match roll {
        0..=24 => {
            mailbox.update(item, Changed::READ, |m| m.is_read = !m.is_read);
            "read_state"
        }
        25..=36 => {
            mailbox.update(item, Changed::FLAG, |m| m.flag = mail::dated_flag(FlagStatus::Flagged, now));
            "flag"
        }
        37..=48 => {
            let category = (*dice.pick(&text::CATEGORIES)).to_owned();
            mailbox.update(item, Changed::CATEGORIES, |m| m.categories = vec![category]);
            "categories"
        }
        49..=64 => {
            let current = mailbox.item(item).map(|f| f.folder).unwrap_or_default();
            let others: Vec<u32> = folders.into_iter().filter(|f| *f != current).collect();
            mailbox.move_item(item, *dice.pick(&others));
            "move"
        }
        65..=76 => {
            discard(&mut mailbox, item);
            "delete"
        }
        _ if is_draft => {
            mailbox.update(item, Changed::ALL, |m| {
                m.subject.push_str(" (edited)");
                m.modified = now;
            });
            "edit_draft"
        }
        _ => {
            mailbox.update(item, Changed::ALL, |m| m.importance = Importance::High);
            "importance"
        }
    };
    (kind, id)
}

// What is deleted from Deleted Items can be recovered for a while; from there it goes for good.
fn discard(mailbox: &mut Mailbox, item: u64) {
    let here = mailbox.item(item).map(|found| found.folder);
    match mailbox.well_known("recoverableitemsdeletions") {
        Some(bin) if here.is_some() && here == mailbox.well_known("deleteditems") => mailbox.move_item(item, bin),
        Some(_) | None => mailbox.remove(item),
    };
}

fn pick_item(mailbox: &Mailbox, dice: &mut Dice) -> Option<(u64, bool)> {
    let full: Vec<(u32, i64)> =
        mailbox.folders().filter(|f| mailbox.is_visible(f.id) && f.total > 0).map(|f| (f.id, f.total)).collect();
    let all: i64 = full.iter().map(|(_, total)| total).sum();
    let mut at = dice.below(all.max(0) as u64) as i64;
    for (folder, total) in full {
        if at < total {
            // Far into a large folder a full list would be slow; the first thousand will do.
            let found = mailbox.items_after(folder, 0, (at as usize).min(1000) + 1).pop()?;
            return Some((found.item, found.message().is_draft));
        }
        at -= total;
    }
    None
}

/// One declared change of one message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleEdit {
    pub internet_message_id: String,
    /// Needed when several items have this id.
    #[serde(default)]
    pub folder: Option<String>,
    #[serde(default)]
    pub is_read: Option<bool>,
    #[serde(default)]
    pub flagged: Option<bool>,
    #[serde(default)]
    pub categories: Option<Vec<String>>,
    #[serde(default)]
    pub subject: Option<String>,
    #[serde(default)]
    pub move_to: Option<String>,
    #[serde(default)]
    pub delete: bool,
}

pub fn single(app: &App, user: &User, wanted: SingleEdit) -> Controlled {
    let mut mailbox = write(&user.mailbox);
    let within = wanted.folder.as_deref().map(|path| folder(&mailbox, path)).transpose()?;
    let item = mailbox
        .by_internet_id(&wanted.internet_message_id)
        .into_iter()
        .find(|item| within.is_none_or(|id| mailbox.item(*item).is_some_and(|f| f.folder == id)))
        .ok_or_else(|| bad("no such message"))?;
    let now = app.clock.now();
    if let Some(is_read) = wanted.is_read {
        mailbox.update(item, Changed::READ, |m| m.is_read = is_read);
    }
    if let Some(flagged) = wanted.flagged {
        let status = if flagged { FlagStatus::Flagged } else { FlagStatus::NotFlagged };
        mailbox.update(item, Changed::FLAG, |m| m.flag = mail::dated_flag(status, now));
    }
    if let Some(categories) = wanted.categories {
        mailbox.update(item, Changed::CATEGORIES, |m| m.categories = categories);
    }
    if let Some(subject) = wanted.subject {
        mailbox.update(item, Changed::ALL, |m| {
            m.subject = subject;
            m.modified = now;
        });
    }
    if let Some(path) = &wanted.move_to {
        let to = folder(&mailbox, path)?;
        mailbox.move_item(item, to);
    }
    if wanted.delete {
        discard(&mut mailbox, item);
    }
    Ok(json!({}))
}
